package aws

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// byAnAPICall: somebody ended the instance through EC2. Whether it was us is
// not EC2's to know.
const byAnAPICall providers.EndCause = "by-an-api-call"

// stateReasons are the codes of an instance's StateReason ("StateReason" in the
// EC2 API reference).
var stateReasons = map[string]providers.EndCause{
	"Server.SpotInstanceTermination":      providers.EndReclaimed,
	"Server.SpotInstanceShutdown":         providers.EndReclaimed,
	"Server.InsufficientInstanceCapacity": providers.EndCapacity,
	"Server.InternalError":                providers.EndHostEvent, // unless its message says otherwise: see causeOf
	"Server.ScheduledStop":                providers.EndHostEvent,
	"Client.UserInitiatedShutdown":        byAnAPICall,
	"Client.InstanceInitiatedShutdown":    providers.EndFromInside,
	"Client.InternalError":                providers.EndConfiguration,
	"Client.VolumeLimitExceeded":          providers.EndConfiguration,
	"Client.InvalidSnapshot.NotFound":     providers.EndConfiguration,
}

// spotStatuses are the status codes of spot requests ("Get the status of a Spot
// Instance request"). What says nothing of an end is "".
var spotStatuses = map[string]providers.EndCause{
	// Reclaimed.
	"instance-terminated-no-capacity":             providers.EndReclaimed,
	"instance-terminated-by-price":                providers.EndReclaimed,
	"instance-terminated-launch-group-constraint": providers.EndReclaimed,
	"instance-stopped-no-capacity":                providers.EndReclaimed,
	"instance-stopped-by-price":                   providers.EndReclaimed,
	"marked-for-termination":                      providers.EndReclaimed,
	"instance-terminated-by-experiment":           providers.EndReclaimed,
	"instance-stopped-by-experiment":              providers.EndReclaimed,
	"marked-for-stop-by-experiment":               providers.EndReclaimed,
	"instance-terminated-capacity-oversubscribed": providers.EndReclaimed, // of old

	// It also appears when a user stops the instance: StateReason decides.
	"marked-for-stop": "",

	// Somebody, by the API.
	"instance-terminated-by-user":           byAnAPICall,
	"spot-instance-terminated-by-user":      byAnAPICall,
	"instance-stopped-by-user":              byAnAPICall,
	"request-canceled-and-instance-running": "", // the request is gone, the instance is not

	// Not fulfilled: there is no capacity, or not at the price.
	"capacity-not-available":     providers.EndCapacity,
	"price-too-low":              providers.EndCapacity,
	"constraint-not-fulfillable": providers.EndCapacity,
	"pending-evaluation":         "",
	"pending-fulfillment":        "",

	// Never will be.
	"bad-parameters":              providers.EndConfiguration,
	"system-error":                providers.EndHostEvent,
	"schedule-expired":            providers.EndCapacity,
	"canceled-before-fulfillment": byAnAPICall,

	"fulfilled": "",
}

// clientFaults are causes that the message of a launch's internal error may
// carry: they are the account's, not the host's.
var clientFaults = []string{"Client.VolumeLimitExceeded", "Client.InternalError", "Client.InvalidSnapshot.NotFound"}

// sight is what is seen of an instance at a moment.
type sight struct {
	instance  *types.Instance            // nil: not there
	request   *types.SpotInstanceRequest // nil: on-demand, or forgotten
	endedByUs bool                       // this process has called for its end
}

// evidenceOf weighs what is seen. A reclaim that the spot request tells of goes
// before StateReason, which our own call may have overwritten meanwhile.
func evidenceOf(id string, s sight) providers.Evidence {
	e := providers.Evidence{ID: id, Cause: providers.EndUnknown}
	alive := false
	if s.instance != nil {
		e.State = stateOf(s.instance)
		alive = e.State == providers.StatePending || e.State == providers.StateRunning
	}
	status, reason := s.spotCause(), s.reasonCause()
	switch {
	case status == providers.EndReclaimed && alive:
		e.Cause = providers.EndNoticed
		s.tellStatus(&e)
	case status == providers.EndReclaimed:
		e.Cause = status
		s.tellStatus(&e)
	case alive:
		e.Cause = providers.EndRunning
	case reason != "":
		e.Cause = reason
		s.tellReason(&e)
	case status != "":
		e.Cause = status
		s.tellStatus(&e)
	default:
		s.tellReason(&e)
	}
	if e.Cause == byAnAPICall {
		e.Cause = providers.EndByUser
		if s.endedByUs {
			e.Cause = providers.EndByUs
		}
	}
	if e.State == "" && e.Cause != providers.EndUnknown {
		e.State = providers.StateTerminated // EC2 has forgotten the instance, not its request
	}
	return e
}

func (s sight) spotCause() providers.EndCause {
	if s.request == nil || s.request.Status == nil {
		return ""
	}
	return spotStatuses[aws.ToString(s.request.Status.Code)]
}

func (s sight) reasonCause() providers.EndCause {
	if s.instance == nil || s.instance.StateReason == nil {
		return ""
	}
	code := aws.ToString(s.instance.StateReason.Code)
	if code == "Server.InternalError" {
		for _, fault := range clientFaults {
			if strings.Contains(aws.ToString(s.instance.StateReason.Message), fault) {
				return stateReasons[fault]
			}
		}
	}
	return stateReasons[code]
}

func (s sight) tellStatus(e *providers.Evidence) {
	status := s.request.Status
	e.Code, e.Message = aws.ToString(status.Code), aws.ToString(status.Message)
	e.At = aws.ToTime(status.UpdateTime).UTC()
}

func (s sight) tellReason(e *providers.Evidence) {
	if s.instance == nil || s.instance.StateReason == nil {
		return
	}
	e.Code, e.Message = aws.ToString(s.instance.StateReason.Code), aws.ToString(s.instance.StateReason.Message)
}
