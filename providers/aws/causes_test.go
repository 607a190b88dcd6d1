package aws

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
)

// endReasons is the reference's table of StateReason codes, row by row.
var endReasons = []struct {
	code, message string
	cause         providers.EndCause
}{
	{"Server.SpotInstanceTermination", "", providers.EndReclaimed},
	{"Server.SpotInstanceShutdown", "", providers.EndReclaimed},
	{"Server.InsufficientInstanceCapacity", "", providers.EndCapacity},
	{"Server.InternalError", "Server.InternalError: Internal error on launch", providers.EndHostEvent},
	{"Server.InternalError", "Client.VolumeLimitExceeded: Volume limit exceeded", providers.EndConfiguration},
	{"Server.ScheduledStop", "", providers.EndHostEvent},
	{"Client.UserInitiatedShutdown", "", providers.EndByUser},
	{"Client.InstanceInitiatedShutdown", "", providers.EndFromInside},
	{"Client.InternalError", "", providers.EndConfiguration},
	{"Client.VolumeLimitExceeded", "", providers.EndConfiguration},
	{"Client.InvalidSnapshot.NotFound", "", providers.EndConfiguration},
	{"Client.NeverHeardOf", "", providers.EndUnknown},
}

func TestStateReasons(t *testing.T) {
	tested := map[string]bool{}
	for _, row := range endReasons {
		tested[row.code] = true
		t.Run(row.code+" "+row.message, func(t *testing.T) {
			r := newRig(t, ec2test.Options{}, "")
			// On-demand: no spot request helps.
			id := r.launch(r.request("tok", 1, r.offers(providers.Need{}, providers.OnDemand, "m5.large")))[0]
			r.visible(id)
			r.cloud.End(id, ec2test.Reason{Code: row.code, Message: orElse(row.message, row.code+": so it was")})
			e := r.evidence(id)[0]
			if e.Cause != row.cause || e.State != providers.StateTerminated || e.Code != row.code || e.Message == "" {
				t.Errorf("the evidence is %+v; want cause %q", e, row.cause)
			}
		})
	}
	for code := range stateReasons {
		if !tested[code] {
			t.Errorf("the row %s has no test", code)
		}
	}
}

// spotRows is the reference's list of spot request statuses: what each says of
// an instance that still runs, and of one that is gone without a StateReason.
var spotRows = []struct {
	code          string
	running, gone providers.EndCause
}{
	{"instance-terminated-no-capacity", providers.EndNoticed, providers.EndReclaimed},
	{"instance-terminated-by-price", providers.EndNoticed, providers.EndReclaimed},
	{"instance-terminated-launch-group-constraint", providers.EndNoticed, providers.EndReclaimed},
	{"instance-stopped-no-capacity", providers.EndNoticed, providers.EndReclaimed},
	{"instance-stopped-by-price", providers.EndNoticed, providers.EndReclaimed},
	{"marked-for-termination", providers.EndNoticed, providers.EndReclaimed},
	{"instance-terminated-by-experiment", providers.EndNoticed, providers.EndReclaimed},
	{"instance-stopped-by-experiment", providers.EndNoticed, providers.EndReclaimed},
	{"marked-for-stop-by-experiment", providers.EndNoticed, providers.EndReclaimed},
	{"instance-terminated-capacity-oversubscribed", providers.EndNoticed, providers.EndReclaimed},
	{"marked-for-stop", providers.EndRunning, providers.EndUnknown},
	{"instance-terminated-by-user", providers.EndRunning, providers.EndByUser},
	{"spot-instance-terminated-by-user", providers.EndRunning, providers.EndByUser},
	{"instance-stopped-by-user", providers.EndRunning, providers.EndByUser},
	{"request-canceled-and-instance-running", providers.EndRunning, providers.EndUnknown},
	{"capacity-not-available", providers.EndRunning, providers.EndCapacity},
	{"price-too-low", providers.EndRunning, providers.EndCapacity},
	{"constraint-not-fulfillable", providers.EndRunning, providers.EndCapacity},
	{"pending-evaluation", providers.EndRunning, providers.EndUnknown},
	{"pending-fulfillment", providers.EndRunning, providers.EndUnknown},
	{"bad-parameters", providers.EndRunning, providers.EndConfiguration},
	{"system-error", providers.EndRunning, providers.EndHostEvent},
	{"schedule-expired", providers.EndRunning, providers.EndCapacity},
	{"canceled-before-fulfillment", providers.EndRunning, providers.EndByUser},
	{"fulfilled", providers.EndRunning, providers.EndUnknown},
}

func TestSpotStatuses(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	ids := r.spot("tok", len(spotRows))
	r.visible(ids...)
	tested := map[string]bool{}
	for i, row := range spotRows {
		tested[row.code] = true
		r.cloud.SetSpotStatus(ids[i], row.code)
	}
	for i, e := range r.evidence(ids...) {
		if row := spotRows[i]; e.Cause != row.running || e.State != providers.StateRunning {
			t.Errorf("%s, running: the evidence is %+v; want cause %q", row.code, e, row.running)
		}
	}
	for i, row := range spotRows {
		r.cloud.End(ids[i], ec2test.Reason{})
		r.cloud.SetSpotStatus(ids[i], row.code)
	}
	for i, e := range r.evidence(ids...) {
		if row := spotRows[i]; e.Cause != row.gone || e.State != providers.StateTerminated {
			t.Errorf("%s, gone: the evidence is %+v; want cause %q", row.code, e, row.gone)
		}
	}
	for code := range spotStatuses {
		if !tested[code] {
			t.Errorf("the row %s has no test", code)
		}
	}
}

// TestMarkedForStop: StateReason decides whose stop it was.
func TestMarkedForStop(t *testing.T) {
	for reason, want := range map[string]providers.EndCause{
		"Server.SpotInstanceShutdown":  providers.EndReclaimed,
		"Client.UserInitiatedShutdown": providers.EndByUser,
	} {
		stopped := &types.Instance{
			State:       &types.InstanceState{Name: types.InstanceStateNameStopped},
			StateReason: &types.StateReason{Code: aws.String(reason)},
		}
		e := evidenceOf("i-1", sight{instance: stopped, request: request("marked-for-stop")})
		if e.Cause != want || e.State != providers.StateStopped {
			t.Errorf("%s: %+v; want %q", reason, e, want)
		}
	}
}

func request(status string) *types.SpotInstanceRequest {
	return &types.SpotInstanceRequest{Status: &types.SpotInstanceStatus{Code: aws.String(status)}}
}

// TestForgottenInstance: EC2 forgets an instance within the hour, its spot
// request in four.
func TestForgottenInstance(t *testing.T) {
	e := evidenceOf("i-1", sight{request: request("instance-terminated-no-capacity")})
	if e.Cause != providers.EndReclaimed || e.State != providers.StateTerminated {
		t.Errorf("%+v", e)
	}
	if e := evidenceOf("i-1", sight{}); e.Cause != providers.EndUnknown || e.State != "" {
		t.Errorf("of nothing at all: %+v", e)
	}
}

// TestEvidenceIsSound: whatever EC2 says, an instance that runs has not ended,
// only we are called us, and a reclaim is not taken for somebody's call.
func TestEvidenceIsSound(t *testing.T) {
	states := sortedKeys(instanceStates)
	rapid.Check(t, func(t *rapid.T) {
		s := sight{endedByUs: rapid.Bool().Draw(t, "ours")}
		if rapid.Bool().Draw(t, "visible") {
			s.instance = &types.Instance{State: &types.InstanceState{Name: rapid.SampledFrom(states).Draw(t, "state")}}
			if rapid.Bool().Draw(t, "reasoned") {
				s.instance.StateReason = &types.StateReason{Code: aws.String(rapid.SampledFrom(append(sortedKeys(stateReasons), "odd")).Draw(t, "reason"))}
			}
		}
		if rapid.Bool().Draw(t, "spot") {
			s.request = request(rapid.SampledFrom(append(sortedKeys(spotStatuses), "odd")).Draw(t, "status"))
		}
		e := evidenceOf("i-1", s)
		alive := e.State == providers.StateRunning || e.State == providers.StatePending
		switch {
		case e.ID != "i-1" || e.Cause == "" || e.Cause == byAnAPICall:
			t.Fatalf("%+v", e)
		case alive != (e.Cause == providers.EndRunning || e.Cause == providers.EndNoticed):
			t.Fatalf("alive is %v: %+v", alive, e)
		case e.Cause == providers.EndByUs && !s.endedByUs, e.Cause == providers.EndByUser && s.endedByUs:
			t.Fatalf("ours is %v: %+v", s.endedByUs, e)
		case s.spotCause() == providers.EndReclaimed && !slices.Contains([]providers.EndCause{providers.EndNoticed, providers.EndReclaimed}, e.Cause):
			t.Fatalf("a reclaim passed over: %+v", e)
		case strings.HasPrefix(e.Code, "marked") && e.Cause == providers.EndByUser:
			t.Fatalf("%+v", e)
		}
	})
}
