package gcp

import (
	"testing"

	"cloud.google.com/go/compute/apiv1/computepb"

	"github.com/spotrelay/spotrelay/providers"
)

const number = 4711

func operation(kind, at string, change ...func(*computepb.Operation)) *computepb.Operation {
	o := &computepb.Operation{OperationType: &kind, InsertTime: &at, TargetId: ptr(uint64(number))}
	for _, f := range change {
		f(o)
	}
	return o
}

func by(user string) func(*computepb.Operation) {
	return func(o *computepb.Operation) { o.User = &user }
}

func asking(id string) func(*computepb.Operation) {
	return func(o *computepb.Operation) { o.ClientOperationId = &id }
}

func failing(code string) func(*computepb.Operation) {
	return func(o *computepb.Operation) { o.Error = &computepb.Error{Errors: []*computepb.Errors{{Code: &code}}} }
}

const (
	early = "2026-01-01T10:00:00.000-08:00"
	late  = "2026-01-01T19:00:00.000+01:00" // the same moment, and so later only in text
	later = "2026-01-01T18:00:05.000Z"
)

// Each operation type by which an instance ends, once by itself.
func TestEndings(t *testing.T) {
	want := map[string]providers.EndCause{
		"compute.instances.preempted":                    providers.EndReclaimed,
		"compute.instances.hostError":                    providers.EndHostEvent,
		"compute.instances.terminateOnHostMaintenance":   providers.EndHostEvent,
		"compute.instances.guestTerminate":               providers.EndFromInside,
		"compute.instances.deferredDelete":               providers.EndMaxLife,
		"compute.instances.deferredStop":                 providers.EndMaxLife,
		"compute.instances.stoppedDueToPdDoubleServe":    providers.EndHostEvent,
		"compute.instances.localSsdInitializationError":  providers.EndHostEvent,
		"compute.instances.localSsdRecoveryFailedError":  providers.EndHostEvent,
		"compute.instances.localSsdRecoveryTimeoutError": providers.EndHostEvent,
		"compute.instances.scratchDiskCreationFailed":    providers.EndHostEvent,
		"compute.instances.baremetalCaretakerPreempted":  providers.EndHostEvent,
		"compute.instances.kmsKeyError":                  providers.EndConfiguration,
		"compute.instances.invalidVmImage":               providers.EndConfiguration,
	}
	for kind, cause := range want {
		e := judge("id", number, facts{operations: []*computepb.Operation{operation(kind, early)}}, "")
		if e.Cause != cause || e.Code != kind || e.State != providers.StateTerminated || e.At.IsZero() {
			t.Errorf("%s: %+v; want %s", kind, e, cause)
		}
	}
	for kind := range endings {
		if want[kind] == "" {
			t.Errorf("the operation %s has no row here", kind)
		}
	}
}

func TestJudge(t *testing.T) {
	const account = "vm@p.iam.gserviceaccount.com"
	ours, leaves := endRequest(markTerminate, number), endRequest(markLeave, number)
	for name, c := range map[string]struct {
		status     string // "": it is not there
		operations []*computepb.Operation
		want       providers.EndCause
		state      providers.InstanceState
	}{
		"running":                                    {"RUNNING", []*computepb.Operation{operation("insert", early)}, providers.EndRunning, providers.StateRunning},
		"booting":                                    {"STAGING", nil, providers.EndRunning, providers.StatePending},
		"nothing is known":                           {"", nil, providers.EndUnknown, ""},
		"stopped, and nothing says why":              {"TERMINATED", nil, providers.EndUnknown, providers.StateStopped},
		"marked, still running":                      {"RUNNING", []*computepb.Operation{operation("compute.instances.preempted", early)}, providers.EndNoticed, providers.StateRunning},
		"marked, shutting down":                      {"STOPPING", []*computepb.Operation{operation("compute.instances.preempted", early)}, providers.EndReclaimed, providers.StateStopping},
		"reclaimed, and it left itself before":       {"", []*computepb.Operation{operation("delete", early, by(account), asking(leaves)), operation("compute.instances.preempted", later)}, providers.EndReclaimed, providers.StateTerminated},
		"reclaimed, then swept by us":                {"", []*computepb.Operation{operation("delete", later, asking(ours)), operation("compute.instances.preempted", early)}, providers.EndReclaimed, providers.StateTerminated},
		"ended by us before it was reclaimed":        {"", []*computepb.Operation{operation("delete", early, asking(ours)), operation("compute.instances.preempted", later)}, providers.EndByUs, providers.StateTerminated},
		"times of another zone":                      {"", []*computepb.Operation{operation("delete", later, by("eve@example.com")), operation("delete", late, asking(ours))}, providers.EndByUs, providers.StateTerminated},
		"deleted by us, whoever's credentials":       {"", []*computepb.Operation{operation("delete", early, by("eve@example.com"), asking(ours))}, providers.EndByUs, providers.StateTerminated},
		"it left":                                    {"", []*computepb.Operation{operation("delete", early, by(account), asking(leaves))}, providers.EndFromInside, providers.StateTerminated},
		"a program on it deleted it":                 {"", []*computepb.Operation{operation("delete", early, by(account))}, providers.EndFromInside, providers.StateTerminated},
		"deleted by somebody else":                   {"", []*computepb.Operation{operation("delete", early, by("eve@example.com"))}, providers.EndByUser, providers.StateTerminated},
		"deleted with the request id of another end": {"", []*computepb.Operation{operation("delete", early, by("eve@example.com"), asking(endRequest(markTerminate, 12)))}, providers.EndByUser, providers.StateTerminated},
		"stopped by somebody else":                   {"TERMINATED", []*computepb.Operation{operation("stop", early, by("eve@example.com"))}, providers.EndByUser, providers.StateStopped},
		"suspended by somebody else":                 {"SUSPENDED", []*computepb.Operation{operation("suspend", early, by("eve@example.com"))}, providers.EndByUser, providers.StateStopped},
		"a delete that failed":                       {"RUNNING", []*computepb.Operation{operation("delete", early, by("eve@example.com"), failing("INTERNAL_ERROR"))}, providers.EndRunning, providers.StateRunning},
		"deleted by a service agent":                 {"", []*computepb.Operation{operation("delete", early, by("service-1@compute-system.iam.gserviceaccount.com"))}, providers.EndMaxLife, providers.StateTerminated},
		"stopped by Google's own":                    {"TERMINATED", []*computepb.Operation{operation("stop", early, by("1@cloudservices.gserviceaccount.com"))}, providers.EndMaxLife, providers.StateStopped},
		"deleted by the system":                      {"", []*computepb.Operation{operation("delete", early, by("system"))}, providers.EndMaxLife, providers.StateTerminated},
		"never made: capacity":                       {"", []*computepb.Operation{operation("insert", early, failing("ZONE_RESOURCE_POOL_EXHAUSTED"))}, providers.EndCapacity, providers.StateTerminated},
		"never made: addresses":                      {"", []*computepb.Operation{operation("insert", early, failing("IP_SPACE_EXHAUSTED"))}, providers.EndCapacity, providers.StateTerminated},
		"never made: quota":                          {"", []*computepb.Operation{operation("insert", early, failing("QUOTA_EXCEEDED"))}, providers.EndConfiguration, providers.StateTerminated},
		"never made: permission":                     {"", []*computepb.Operation{operation("insert", early, failing("IAM_PERMISSION_DENIED"))}, providers.EndConfiguration, providers.StateTerminated},
		"never made: an accident":                    {"", []*computepb.Operation{operation("insert", early, failing("INTERNAL_ERROR"))}, providers.EndHostEvent, providers.StateTerminated},
	} {
		e := judge("id", number, facts{there: c.status != "", status: c.status, operations: c.operations}, account)
		if e.Cause != c.want || e.State != c.state {
			t.Errorf("%s: %+v; want %s, %q", name, e, c.want, c.state)
		}
	}
}

func TestStates(t *testing.T) {
	for _, status := range computepb.Instance_Status_name {
		if status == "UNDEFINED_STATUS" {
			continue
		}
		if _, ok := states[status]; !ok {
			t.Errorf("the status %s has no state", status)
		}
	}
	if stateOf("UNHEARD_OF") != providers.StateRunning {
		t.Error("a status that is new is not taken for running")
	}
}
