package computetest

import "net/http"

// Fault is something that goes wrong. With Code it is an error inside the
// operation of an insert; with Status, of the HTTP answer; with LoseAnswer the
// request has its effect and the connection is cut.
type Fault struct {
	// Method ("compute.instances.insert"), Zone (or region) and MachineType
	// that it is about; "" is any. For a bulkInsert with Code, Zone and
	// MachineType are those of a pool.
	Method, Zone, MachineType string
	// OnlySpot: not for on-demand instances.
	OnlySpot bool

	Code    string // "ZONE_RESOURCE_POOL_EXHAUSTED"
	Status  int    // 503
	Reason  string // "backendError"
	Message string // a usual one, if empty
	Metric  string // of QUOTA_EXCEEDED; PREEMPTIBLE_CPUS if empty

	LoseAnswer bool

	// Times that it happens; 0: always.
	Times int
}

type activeFault struct {
	Fault
	left int
}

// Inject lets something go wrong until remove is called or it has happened
// often enough.
func (s *Server) Inject(f Fault) (remove func()) {
	active := &activeFault{Fault: f, left: f.Times}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, active)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range s.faults {
			if s.faults[i] == active {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
				return
			}
		}
	}
}

// take is the first fault that wanted says yes to; it is used up once more.
func (s *Server) take(wanted func(*activeFault) bool) *activeFault {
	for _, f := range s.faults {
		if f.Times > 0 && f.left == 0 || !wanted(f) {
			continue
		}
		if f.Times > 0 {
			f.left--
		}
		return f
	}
	return nil
}

func (f *activeFault) about(method, place string) bool {
	return (f.Method == "" || f.Method == method) && (f.Zone == "" || f.Zone == place)
}

// fault is an error to answer a request with.
func (s *Server) fault(r *request) *apiError {
	place := r.path["zone"] + r.path["region"]
	f := s.take(func(f *activeFault) bool { return f.Status != 0 && f.about(r.method.ID, place) })
	if f == nil {
		return nil
	}
	message := f.Message
	if message == "" {
		message = http.StatusText(f.Status)
	}
	return &apiError{status: f.Status, reason: f.Reason, message: message}
}

// loses reports whether the answer to a request is to be lost.
func (s *Server) loses(r *request) bool {
	place := r.path["zone"] + r.path["region"]
	return s.take(func(f *activeFault) bool { return f.LoseAnswer && f.about(r.method.ID, place) }) != nil
}

// capacityKey names a pool.
type capacityKey struct {
	zone, machineType string
	spot              bool
}

// SetCapacity says how many instances a pool has room for, all those that live
// there included; a negative number is no bound, which is the default.
func (s *Server) SetCapacity(zone, machineType string, spot bool, room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if room < 0 {
		delete(s.capacity, capacityKey{zone, machineType, spot})
		return
	}
	s.capacity[capacityKey{zone, machineType, spot}] = room
}

// refusal is why an instance cannot be created there; nil if it can.
func (s *Server) refusal(method string, p placement) *operationError {
	return s.refusalBeside(method, p, nil, nil)
}

// refusalBeside is refusal for one more beside those that were placed by the
// same request.
func (s *Server) refusalBeside(method string, p placement, placed []placement, taken map[string]float64) *operationError {
	f := s.take(func(f *activeFault) bool {
		return f.Code != "" && f.about(method, p.zone.name) &&
			(f.MachineType == "" || f.MachineType == p.machineType.name) && (p.spot || !f.OnlySpot)
	})
	if f != nil {
		return f.failure(p)
	}
	needs := map[string]float64{}
	for metric, amount := range p.demand {
		needs[metric] = amount + taken[metric]
	}
	if failure := s.overQuota(p.zone.region, needs); failure != nil {
		return failure
	}
	room, bounded := s.capacity[capacityKey{p.zone.name, p.machineType.name, p.spot}]
	if !bounded {
		return nil
	}
	for _, in := range s.instances {
		if in.alive() && in.zone == p.zone && in.machineType.name == p.machineType.name && in.spot == p.spot {
			room--
		}
	}
	for _, other := range placed {
		if other.zone == p.zone && other.machineType.name == p.machineType.name {
			room--
		}
	}
	if room > 0 {
		return nil
	}
	return exhausted("ZONE_RESOURCE_POOL_EXHAUSTED", p)
}

func (f *activeFault) failure(p placement) *operationError {
	var failure *operationError
	switch f.Code {
	case "QUOTA_EXCEEDED":
		metric := f.Metric
		if metric == "" {
			metric = "PREEMPTIBLE_CPUS"
		}
		region := p.zone.region
		if metric == "GPUS_ALL_REGIONS" || metric == "CPUS_ALL_REGIONS" {
			region = ""
		}
		failure = quotaError(metric, region, 0)
	default:
		failure = exhausted(f.Code, p)
	}
	if f.Message != "" {
		failure.message = f.Message
	}
	return failure
}

// exhausted is an error with the words that Compute has for its code.
func exhausted(code string, p placement) *operationError {
	failure := &operationError{code: code}
	where := "projects/p/zones/" + p.zone.name
	switch code {
	case "ZONE_RESOURCE_POOL_EXHAUSTED", "insufficientCapacity":
		failure.message = "The zone '" + where + "' does not have enough resources available to fulfill the request. Try a different zone, or try again later."
	case "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS":
		failure.message = "The zone '" + where + "' does not have enough resources available to fulfill the request.  '(resource type:compute)'."
		failure.details = []object{{"errorInfo": object{
			"reason": "resource_availability", "domain": "compute.googleapis.com",
			"metadatas": object{"zone": p.zone.name, "vmType": p.machineType.name, "attachment": ""},
		}}}
	case "UNSUPPORTED_OPERATION":
		failure.message = "Instance failed to start due to preemption."
	case "IP_SPACE_EXHAUSTED", "IP_SPACE_EXHAUSTED_WITH_DETAILS":
		failure.message = "IP space of 'projects/p/regions/" + p.zone.region + "/subnetworks/default' is exhausted."
	case "IAM_PERMISSION_DENIED":
		failure.message = "Permission 'iam.serviceAccounts.actAs' denied on resource 'projects/p/serviceAccounts/batch' (or it may not exist)."
	case "VPC_NOT_FOUND":
		failure.message = "The VPC network was not found."
	default:
		failure.message = "An error with the code " + code + "."
	}
	return failure
}
