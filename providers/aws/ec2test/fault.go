package ec2test

import (
	"slices"
	"time"
)

// Fault is an error to give.
type Fault struct {
	Operation string // "CreateFleet"
	// Pool makes it an error of the pools that match, in CreateFleet's Errors or
	// of RunInstances; nil is the whole call.
	Pool    *Pool
	Code    string
	Message string
	Status  int // HTTP; 0: by the code
	Times   int // 0: always
	// LoseAnswer lets the call have its effect and cuts the connection.
	LoseAnswer bool

	given int
}

func (f *Fault) refusal() *apiError {
	message := f.Message
	if message == "" {
		message = "injected by the test"
	}
	return &apiError{Status: f.Status, Code: f.Code, Message: message}
}

// Inject has a fault given from now on; stop ends it. Faults that match at once
// are given in the order of their injection.
func (s *Server) Inject(fault Fault) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &fault
	s.faults = append(s.faults, f)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(one *Fault) bool { return one == f })
	}
}

// takeFault is the fault to give now, of the whole call when pool is nil.
func (s *Server) takeFault(operation string, pool *Pool) *Fault {
	for i, f := range s.faults {
		if f.Operation != operation || (f.Pool == nil) != (pool == nil) || pool != nil && !f.Pool.matches(*pool) {
			continue
		}
		f.given++
		if f.Times > 0 && f.given >= f.Times {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return f
	}
	return nil
}

// BootFailure makes instances that were launched go from pending to terminated.
type BootFailure struct {
	Pool    Pool
	Code    string // of StateReason: "Server.InternalError"
	Message string
	Times   int // 0: always
}

// FailBoots has launched instances fail from now on.
func (s *Server) FailBoots(failure BootFailure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bootFaults = append(s.bootFaults, &failure)
}

func (s *Server) takeBootFailure(pool Pool) *BootFailure {
	for i, f := range s.bootFaults {
		if !f.Pool.matches(pool) {
			continue
		}
		if f.Times == 1 {
			s.bootFaults = slices.Delete(s.bootFaults, i, i+1)
		}
		f.Times--
		return f
	}
	return nil
}

// SetCapacity says how many more instances a pool has; all fields must be set.
func (s *Server) SetCapacity(pool Pool, instances int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity[pool] = instances
}

// SetSpotPrice of a type in a zone, dollars an hour.
func (s *Server) SetSpotPrice(zone, instanceType string, price float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prices[Pool{Zone: zone, InstanceType: instanceType}] = price
}

// SetQuota sets a quota of Service Quotas, in vCPUs: "L-34B43A08".
func (s *Server) SetQuota(code string, vcpus float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quotas[code] = vcpus
}

// Calls that were made, oldest first, of one operation or, with "", of all.
func (s *Server) Calls(operation string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c Call) bool { return operation != "" && c.Operation != operation })
}

// Violations so far: requests that EC2 would never take. Forgive drops them, for
// a test that makes some on purpose.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// Forgive drops the violations so far and gives them.
func (s *Server) Forgive() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	forgiven := s.violations
	s.violations = nil
	return forgiven
}

// Now is the server's time.
func (s *Server) Now() time.Time { return s.clock.now() }
