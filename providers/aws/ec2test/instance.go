package ec2test

import (
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// instance is one VM. Guarded by the server's lock.
type instance struct {
	id          string
	reservation string
	serial      int
	kind        InstanceType
	pool        Pool
	subnet      string
	image       string
	launched    time.Time
	listed      time.Time // from then on it is in listings
	runs        time.Time // from then on it runs
	clientToken string
	tags        map[string]string
	data        model.Values // of the launch
	fails       *BootFailure
	spot        *spotRequest // nil: on-demand

	stopped bool
	ending  time.Time // it began to shut down
	ended   time.Time // it is terminated
	reason  Reason

	released bool // its address is free again

	interruption *Interruption
	rebalance    time.Time
	events       []ScheduledEvent
	answers      map[string]metadataAnswer // of the metadata service, by path
	tokenEpoch   int                       // the metadata service's tokens of earlier ones are refused
	machine      *machine
	console      func() []byte
}

// Reason is why an instance ended: the StateReason.
type Reason struct {
	Code    string
	Message string
}

// What ends instances, as EC2 says it (EC2 API Reference, "StateReason").
var (
	reasonUser   = Reason{"Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown"}
	reasonInside = Reason{"Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown"}
	reasonSpot   = Reason{"Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination"}
)

// states with their codes.
var stateCodes = map[string]int64{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

func (i *instance) state(now time.Time) string {
	switch {
	case !i.ended.IsZero() && !now.Before(i.ended):
		return "terminated"
	case !i.ending.IsZero():
		return "shutting-down"
	case i.stopped:
		return "stopped"
	case now.Before(i.runs) || i.machine != nil && !i.machine.running():
		return "pending"
	}
	return "running"
}

// live reports whether it is not on its way out.
func (i *instance) live() bool { return i.ending.IsZero() }

func stateValue(name string) model.Values {
	return model.Values{"Code": stateCodes[name], "Name": name}
}

// end begins the end of an instance. What ended stays as it ended.
func (s *Server) end(i *instance, reason Reason) {
	if !i.live() {
		return
	}
	now := s.clock.now()
	i.reason, i.ending, i.ended, i.stopped = reason, now, now.Add(s.options.Ending), false
	if i.spot != nil {
		i.spot.ended(reason, now)
	}
	if i.machine != nil {
		i.machine.kill()
	}
}

// settle lets happen what is due.
func (s *Server) settle() {
	now := s.clock.now()
	gone := 0
	for _, i := range s.instances {
		switch {
		case i.live() && i.fails != nil && !now.Before(i.runs):
			s.end(i, Reason{i.fails.Code, i.fails.Message})
		case i.live() && i.interruption != nil && !now.Before(i.interruption.Deadline):
			s.end(i, reasonSpot)
		case !i.live() && now.Sub(i.ended) > s.options.Visible:
			delete(s.byID, i.id)
			gone++
		}
		if !i.released && i.state(now) == "terminated" {
			i.released = true
			s.network.subnetNamed(i.subnet).free++
		}
	}
	if gone > 0 {
		s.instances = slices.DeleteFunc(s.instances, func(i *instance) bool { return s.byID[i.id] == nil })
	}
}

var instanceID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

// instanceNamed finds an instance by its id, once it is in listings.
func (s *Server) instanceNamed(id string) (*instance, *apiError) {
	if !instanceID.MatchString(id) {
		return nil, violate("InvalidInstanceID.Malformed", "Invalid id: \"%s\"", id)
	}
	i := s.byID[id]
	if i == nil || s.clock.now().Before(i.listed) {
		return nil, refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
	}
	return i, nil
}

// mostTerminated at once (EC2 API Reference, TerminateInstances).
const mostTerminated = 1000

func (s *Server) terminateInstances(input model.Values) (model.Values, *apiError) {
	ids := input.Strings("InstanceIds")
	if len(ids) == 0 || len(ids) > mostTerminated {
		return nil, violate("InvalidParameterValue", "%d instance ids; 1 to %d are allowed", len(ids), mostTerminated)
	}
	var found []*instance
	for _, id := range ids { // one that is unknown fails all
		i, refused := s.instanceNamed(id)
		if refused != nil {
			return nil, refused
		}
		found = append(found, i)
	}
	var answer []any
	for _, i := range found {
		before := i.state(s.clock.now())
		s.end(i, reasonUser)
		answer = append(answer, model.Values{
			"InstanceId":    i.id,
			"PreviousState": stateValue(before),
			"CurrentState":  stateValue(i.state(s.clock.now())),
		})
	}
	return model.Values{"TerminatingInstances": answer}, nil
}

func (s *Server) consoleOutput(input model.Values) (model.Values, *apiError) {
	i, refused := s.instanceNamed(input.String("InstanceId"))
	if refused != nil {
		return nil, refused
	}
	answer := model.Values{"InstanceId": i.id, "Timestamp": s.clock.now()}
	if i.console != nil {
		text := i.console()
		const most = 64 << 10
		answer["Output"] = encode64(text[max(0, len(text)-most):])
	}
	return answer, nil
}

// describe is the instance in DescribeInstances.
func (i *instance) describe(s *Server) model.Values {
	state := i.state(s.clock.now())
	v := model.Values{
		"InstanceId": i.id, "InstanceType": i.kind.Name, "ImageId": i.image,
		"State": stateValue(state), "LaunchTime": i.launched, "AmiLaunchIndex": int64(0),
		"Placement":    model.Values{"AvailabilityZone": i.pool.Zone, "Tenancy": "default"},
		"Architecture": i.kind.Arch, "Hypervisor": "xen", "VirtualizationType": "hvm",
		"RootDeviceType": "ebs", "Monitoring": model.Values{"State": "disabled"},
		"Tags": tagList(i.tags),
	}
	if i.clientToken != "" {
		v["ClientToken"] = i.clientToken
	}
	if i.spot != nil {
		v["InstanceLifecycle"], v["SpotInstanceRequestId"] = "spot", i.spot.id
	}
	if state != "terminated" {
		v["SubnetId"], v["VpcId"] = i.subnet, s.network.vpc
		v["PrivateIpAddress"] = "172.31." + strconv.Itoa(i.serial/250%256) + "." + strconv.Itoa(4+i.serial%250)
	}
	if i.reason.Code != "" {
		v["StateReason"] = model.Values{"Code": i.reason.Code, "Message": i.reason.Message}
		v["StateTransitionReason"] = "User initiated (" + i.ending.UTC().Format("2006-01-02 15:04:05 GMT") + ")"
		if i.reason != reasonUser {
			v["StateTransitionReason"] = i.reason.Code + ": " + i.reason.Message
		}
	}
	return v
}

func (i *instance) attributes(s *Server) attributes {
	lifecycle := []string(nil) // on-demand instances have none
	if i.spot != nil {
		lifecycle = []string{"spot"}
	}
	return attributes{
		"instance-id": {i.id}, "instance-type": {i.kind.Name}, "availability-zone": {i.pool.Zone},
		"instance-state-name": {i.state(s.clock.now())}, "instance-lifecycle": lifecycle,
		"image-id": {i.image}, "subnet-id": {i.subnet}, "vpc-id": {s.network.vpc},
		"client-token": {i.clientToken}, "reservation-id": {i.reservation},
	}.addTags(i.tags)
}

// Bounds of a page of DescribeInstances (EC2 API Reference).
const (
	leastInstances = 5
	mostInstances  = 1000
)

func (s *Server) describeInstances(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "tag", "tag-key", "instance-id", "instance-type", "availability-zone", "instance-state-name",
		"instance-lifecycle", "image-id", "subnet-id", "vpc-id", "client-token", "reservation-id")
	if refused != nil {
		return nil, refused
	}
	ids := input.Strings("InstanceIds")
	if len(ids) > 0 && input.Has("MaxResults") {
		return nil, violate("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
	}
	var found []*instance
	if len(ids) > 0 {
		for _, id := range ids {
			i, refused := s.instanceNamed(id)
			if refused != nil {
				return nil, refused
			}
			found = append(found, i)
		}
	} else {
		found = s.instances
	}
	now := s.clock.now()
	matching := []*instance{}
	for _, i := range found {
		if !now.Before(i.listed) && all.match(i.attributes(s)) {
			matching = append(matching, i)
		}
	}
	part, next, refused := page(matching, input, leastInstances, mostInstances)
	if refused != nil {
		return nil, refused
	}
	return model.Values{"Reservations": s.reservations(part), "NextToken": next}, nil
}

// reservations groups instances by the call that launched them.
func (s *Server) reservations(part []*instance) []any {
	var list []any
	var last model.Values
	for _, i := range part {
		if last == nil || last.String("ReservationId") != i.reservation {
			last = model.Values{"ReservationId": i.reservation, "OwnerId": Account, "Instances": []any{}}
			list = append(list, last)
		}
		instances, _ := last["Instances"].([]any) // set above
		last["Instances"] = append(instances, i.describe(s))
	}
	return list
}
