//go:build linux

package relaytest

import (
	"errors"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// Why an instance ended is read from its operations; its status never says it.
func TestEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(*rig, computetest.Instance, providers.Instance)
		cause providers.EndCause
		state providers.InstanceState
	}{
		"compute.instances.preempted": {
			func(r *rig, in computetest.Instance, _ providers.Instance) { r.Kill(in.ID) },
			providers.EndReclaimed, providers.StateTerminated,
		},
		"compute.instances.hostError": {
			func(r *rig, in computetest.Instance, _ providers.Instance) { r.HostError(in.ID) },
			providers.EndHostEvent, providers.StateStopped,
		},
		"compute.instances.terminateOnHostMaintenance": {
			func(r *rig, in computetest.Instance, _ providers.Instance) { r.HostMaintenance(in.ID) },
			providers.EndHostEvent, providers.StateStopped,
		},
		"compute.instances.guestTerminate": {
			func(r *rig, in computetest.Instance, _ providers.Instance) { r.PowerOff(in.ID) },
			providers.EndFromInside, providers.StateStopped,
		},
		"delete by us": {
			func(r *rig, _ computetest.Instance, in providers.Instance) {
				if err := r.provider.Terminate(r.t.Context(), r.fleet, []string{in.ID}); err != nil {
					r.t.Fatal(err)
				}
			},
			providers.EndByUs, providers.StateTerminated,
		},
		"delete by somebody else": {
			func(r *rig, in computetest.Instance, _ providers.Instance) { r.DeleteBy(in.ID, "eve@example.com") },
			providers.EndByUser, providers.StateTerminated,
		},
		"stop by somebody else": {
			func(r *rig, in computetest.Instance, _ providers.Instance) { r.StopBy(in.ID, "eve@example.com") },
			providers.EndByUser, providers.StateStopped,
		},
		"stop by a service agent": {
			func(r *rig, in computetest.Instance, _ providers.Instance) {
				r.StopBy(in.ID, "service-123@compute-system.iam.gserviceaccount.com")
			},
			providers.EndMaxLife, providers.StateStopped, // only the leash ends instances that way
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, computetest.Options{}, nil)
			instance, in := r.one("t1")
			if e := r.evidence(instance.ID); e.Cause != providers.EndRunning {
				t.Errorf("alive, the evidence is %+v", e)
			}
			c.end(r, in, instance)
			var e providers.Evidence
			reached(t.Context(), t, "the end", func() bool {
				e = r.evidence(instance.ID)
				return e.State == c.state
			})
			if e.Cause != c.cause || e.Code == "" || e.At.IsZero() {
				t.Errorf("the evidence is %+v; want the cause %s", e, c.cause)
			}
		})
	}
}

// The leash: what ends an instance at the end of its longest life is no
// preemption.
func TestEvidenceOfMaxLife(t *testing.T) {
	r := newRig(t, computetest.Options{Scale: 3600 * 5}, nil) // an hour lasts 200 ms
	instance, _ := r.one("t1")
	reached(t.Context(), t, "the end", func() bool { return len(r.Living()) == 0 })
	if e := r.evidence(instance.ID); e.Cause != providers.EndMaxLife {
		t.Errorf("the evidence is %+v; want the cause %s", e, providers.EndMaxLife)
	}
}

// While the 30 seconds run, the instance is marked and not gone.
func TestEvidenceOfNotice(t *testing.T) {
	r := newRig(t, computetest.Options{SoftOff: time.Hour}, nil)
	instance, in := r.one("t1")
	r.Preempt(in.ID)
	reached(t.Context(), t, "the evidence", func() bool { return r.evidence(instance.ID).Cause != providers.EndRunning })
	if e := r.evidence(instance.ID); e.Cause != providers.EndNoticed && e.Cause != providers.EndReclaimed {
		t.Errorf("the evidence is %+v", e)
	}
}

// Ids are incarnations: what is known of one that had the name before is not
// said of the next, and operations outlive the instance.
func TestEvidenceIsOfTheIncarnation(t *testing.T) {
	r := newRig(t, computetest.Options{RequestLife: time.Millisecond}, nil)
	first, in := r.one("t1")
	r.Kill(in.ID)
	reached(t.Context(), t, "the end", func() bool { return len(r.Living()) == 0 })
	other := r.Foreign(in.Zone, in.Name, map[string]string{"owner": "somebody-else"})
	if e := r.evidence(first.ID); e.Cause != providers.EndReclaimed || e.State != providers.StateTerminated {
		t.Errorf("of the first: %+v", e)
	}
	if err := r.provider.Terminate(t.Context(), r.fleet, []string{first.ID}); err != nil {
		t.Errorf("ending the first again: %v", err)
	}
	if living := r.Living(); len(living) != 1 || living[0].ID != other.ID || living[0].Status != "RUNNING" {
		t.Errorf("the next of that name was touched: %+v", living)
	}
	r.DeleteBy(other.ID, "somebody@example.com")
}

func (r *rig) evidence(id string) providers.Evidence {
	r.t.Helper()
	all, err := r.provider.Evidence(r.t.Context(), r.fleet, []string{id})
	if err != nil || len(all) != 1 {
		r.t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

// A listing is whole or an error: a zone that cannot be reached is a warning in
// an answer that looks whole.
func TestListIsWhole(t *testing.T) {
	r := newRig(t, computetest.Options{}, nil)
	instance, _ := r.one("t1")
	r.SetUnreachable(zoneB, true)
	listed, err := r.provider.List(t.Context(), r.fleet, tags)
	var known *providers.Error
	if !errors.As(err, &known) || known.Code != providers.CodeUnavailable {
		t.Errorf("with a zone out of reach: %+v, %v", listed, err)
	}
	r.SetUnreachable(zoneB, false)
	listed, err = r.provider.List(t.Context(), r.fleet, tags)
	if err != nil || len(listed) != 1 || listed[0].ID != instance.ID {
		t.Errorf("%+v, %v", listed, err)
	}
}

// A stopped instance still costs its disk: it is listed, and can be ended.
func TestStoppedInstanceIsEnded(t *testing.T) {
	r := newRig(t, computetest.Options{}, nil)
	instance, in := r.one("t1")
	r.PowerOff(in.ID)
	listed, err := r.provider.List(t.Context(), r.fleet, tags)
	if err != nil || len(listed) != 1 || listed[0].State != providers.StateStopped {
		t.Fatalf("%+v, %v", listed, err)
	}
	if err := r.provider.Terminate(t.Context(), r.fleet, []string{instance.ID}); err != nil {
		t.Fatal(err)
	}
	reached(t.Context(), t, "its end", func() bool { return len(r.Living()) == 0 })
}
