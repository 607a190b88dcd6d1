package computetest_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"github.com/google/uuid"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// An insert takes its time: the operation and the instance go through their
// states as the clock moves.
func TestInsertTakesItsTime(t *testing.T) {
	r := newRig(t, computetest.Options{OperationTime: 3 * time.Second, BootTime: 2 * time.Second})
	op := must(r.instances.Insert(t.Context(), r.insertRequest(spotInstance("one"))))(t)
	if status := op.Proto().GetStatus(); status != computepb.Operation_PENDING {
		t.Errorf("the operation begins %s", status)
	}
	seen := func() string {
		t.Helper()
		now := must(r.zoneOps.Get(t.Context(), &computepb.GetZoneOperationRequest{Project: project, Zone: zoneA, Operation: op.Proto().GetName()}))(t)
		return now.GetStatus().String() + " " + r.get("one").GetStatus()
	}
	var history []string
	for range 7 {
		if s := seen(); len(history) == 0 || history[len(history)-1] != s {
			history = append(history, s)
		}
		r.clock.Advance(time.Second)
	}
	want := []string{"PENDING PROVISIONING", "RUNNING PROVISIONING", "DONE STAGING", "DONE RUNNING"}
	if !slices.Equal(history, want) {
		t.Errorf("it went %q, not %q", history, want)
	}
	if in := r.get("one"); in.GetScheduling().GetInstanceTerminationAction() != "DELETE" || in.GetLabels()["owner"] != "one" || in.GetId() == 0 {
		t.Errorf("the instance is %v", in)
	}
}

// Wait hangs until the operation is done.
func TestWait(t *testing.T) {
	r := newRig(t, computetest.Options{})
	op := must(r.instances.Insert(t.Context(), r.insertRequest(spotInstance("one"))))(t)
	done := make(chan string, 1)
	go func() {
		got, err := r.zoneOps.Wait(t.Context(), &computepb.WaitZoneOperationRequest{Project: project, Zone: zoneA, Operation: op.Proto().GetName()})
		done <- fmt.Sprint(got.GetStatus(), err)
	}()
	select {
	case got := <-done:
		t.Fatalf("it did not wait: %s", got)
	case <-time.After(50 * time.Millisecond):
	}
	r.clock.Advance(time.Second)
	if got := <-done; got != "DONE <nil>" {
		t.Error(got)
	}
}

// A preempted instance is 404 after its action DELETE; the operation stays, is
// found by the incarnation's number, and goes when its life is over.
func TestPreemption(t *testing.T) {
	r := newRig(t, computetest.Options{})
	in := r.insert(spotInstance("one"))
	r.Preempt(in.GetId())
	r.clock.Advance(time.Second)
	if status := r.get("one").GetStatus(); status != "STOPPING" {
		t.Errorf("within its 30 seconds it is %s", status)
	}
	r.clock.Advance(30 * time.Second)
	if status := r.status("one"); status != http.StatusNotFound {
		t.Errorf("after 30 seconds: %d", status)
	}
	again := r.insert(spotInstance("one"))
	if again.GetId() == in.GetId() {
		t.Error("the name came back with the same number")
	}
	found := r.operations(zoneA, fmt.Sprintf(`targetId=%d AND operationType="compute.instances.preempted"`, in.GetId()))
	if len(found) != 1 || found[0].GetUser() != "system" || found[0].GetTargetId() != in.GetId() {
		t.Errorf("the operations are %v", found)
	}
	if other := r.operations(zoneA, fmt.Sprintf(`(targetId=%d) AND (operationType="compute.instances.preempted")`, again.GetId())); len(other) > 0 {
		t.Errorf("the next of that name: %v", other)
	}
	r.clock.Advance(15 * 24 * time.Hour)
	if found := r.operations(zoneA, fmt.Sprintf("targetId=%d", in.GetId())); len(found) > 0 {
		t.Errorf("after 15 days there still is %v", found)
	}
}

// The notice that was asked for comes before the 30 seconds.
func TestPreemptionNoticeDuration(t *testing.T) {
	r := newRig(t, computetest.Options{})
	asked := spotInstance("one")
	asked.Scheduling.PreemptionNoticeDuration = &computepb.Duration{Seconds: ptr(int64(120))}
	in := r.insert(asked)
	r.Preempt(in.GetId())
	r.clock.Advance(119 * time.Second)
	if status := r.get("one").GetStatus(); status != "RUNNING" {
		t.Errorf("within the notice it is %s", status)
	}
	r.clock.Advance(2 * time.Second)
	if status := r.get("one").GetStatus(); status != "STOPPING" {
		t.Errorf("after the notice it is %s", status)
	}
	r.clock.Advance(30 * time.Second)
	if status := r.status("one"); status != http.StatusNotFound {
		t.Errorf("at the end: %d", status)
	}
}

// How instances end, and the operation that tells of it.
func TestEnds(t *testing.T) {
	for operation, c := range map[string]struct {
		end    func(*rig, uint64)
		status string // "" is 404
	}{
		"compute.instances.preempted":                  {func(r *rig, id uint64) { r.Kill(id) }, ""},
		"compute.instances.hostError":                  {func(r *rig, id uint64) { r.HostError(id) }, "TERMINATED"},
		"compute.instances.terminateOnHostMaintenance": {func(r *rig, id uint64) { r.HostMaintenance(id) }, "TERMINATED"},
		"compute.instances.guestTerminate":             {func(r *rig, id uint64) { r.PowerOff(id) }, "TERMINATED"},
		"compute.instances.deferredDelete":             {func(r *rig, _ uint64) { r.clock.Advance(time.Hour) }, ""},
		"stop":                                         {func(r *rig, id uint64) { r.StopBy(id, "eve@example.com") }, "TERMINATED"},
		"delete":                                       {func(r *rig, id uint64) { r.DeleteBy(id, "eve@example.com") }, ""},
	} {
		t.Run(operation, func(t *testing.T) {
			r := newRig(t, computetest.Options{})
			in := r.insert(spotInstance("one"))
			c.end(r, in.GetId())
			r.clock.Advance(time.Second)
			if c.status == "" {
				if status := r.status("one"); status != http.StatusNotFound {
					t.Errorf("get answers %d", status)
				}
			} else if status := r.get("one").GetStatus(); status != c.status {
				t.Errorf("it is %s", status)
			}
			found := r.operations(zoneA, fmt.Sprintf("(targetId=%d) AND (operationType=%q)", in.GetId(), operation))
			if len(found) != 1 || found[0].GetStatus() != computepb.Operation_DONE {
				t.Errorf("the operations are %v", found)
			}
		})
	}
}

// A request id stands for one request for an hour.
func TestRequestID(t *testing.T) {
	r := newRig(t, computetest.Options{TolerateFaults: true})
	request := r.insertRequest(spotInstance("one"))
	first := must(r.instances.Insert(t.Context(), request))(t)
	r.clock.Advance(time.Second)
	second := must(r.instances.Insert(t.Context(), request))(t)
	if first.Proto().GetName() != second.Proto().GetName() || first.Proto().GetClientOperationId() != request.GetRequestId() {
		t.Errorf("the repetition has the operation %v, the first %v", second.Proto(), first.Proto())
	}
	other := r.insertRequest(spotInstance("two"))
	other.RequestId = request.RequestId
	if _, err := r.instances.Insert(t.Context(), other); statusOf(err) != http.StatusBadRequest {
		t.Errorf("the id with another request: %v", err)
	}
	for _, id := range []string{"00000000-0000-0000-0000-000000000000", "x"} {
		other.RequestId = &id
		if _, err := r.instances.Insert(t.Context(), other); statusOf(err) != http.StatusBadRequest {
			t.Errorf("the id %q: %v", id, err)
		}
	}
	r.clock.Advance(2 * time.Hour) // the instance's hour is over too
	if third := must(r.instances.Insert(t.Context(), request))(t); third.Proto().GetName() == first.Proto().GetName() {
		t.Error("the id is still known after two hours")
	}
}

// A name can be taken once; an instance can be named by its number.
func TestNames(t *testing.T) {
	r := newRig(t, computetest.Options{})
	in := r.insert(spotInstance("one"))
	if _, err := r.instances.Insert(t.Context(), r.insertRequest(spotInstance("one"))); statusOf(err) != http.StatusConflict {
		t.Errorf("the name a second time: %v", err)
	}
	id := fmt.Sprint(in.GetId())
	if got := r.get(id); got.GetName() != "one" {
		t.Errorf("%s is %v", id, got)
	}
	must(r.instances.Delete(t.Context(), &computepb.DeleteInstanceRequest{Project: project, Zone: zoneA, Instance: id, RequestId: ptr(uuid.NewString())}))(t)
	r.clock.Advance(time.Second)
	if status := r.status(id); status != http.StatusNotFound {
		t.Errorf("after its delete: %d", status)
	}
}

func TestSerialPort(t *testing.T) {
	r := newRig(t, computetest.Options{})
	r.insert(spotInstance("one"))
	ask := func(start int64) *computepb.SerialPortOutput {
		return must(r.instances.GetSerialPortOutput(t.Context(), &computepb.GetSerialPortOutputInstanceRequest{Project: project, Zone: zoneA, Instance: "one", Start: &start}))(t)
	}
	whole := ask(0)
	if whole.GetContents() == "" || whole.GetNext() != int64(len(whole.GetContents())) {
		t.Errorf("the output is %v", whole)
	}
	if end := ask(-5); end.GetContents() != whole.GetContents()[len(whole.GetContents())-5:] {
		t.Errorf("the last five bytes are %q", end.GetContents())
	}
	if none := ask(whole.GetNext()); none.GetContents() != "" {
		t.Errorf("beyond its end there is %q", none.GetContents())
	}
}

func TestSimulateMaintenanceEvent(t *testing.T) {
	r := newRig(t, computetest.Options{})
	in := r.insert(spotInstance("one"))
	must(r.instances.SimulateMaintenanceEvent(t.Context(), &computepb.SimulateMaintenanceEventInstanceRequest{Project: project, Zone: zoneA, Instance: "one"}))(t)
	r.clock.Advance(40 * time.Second)
	if status := r.status("one"); status != http.StatusNotFound {
		t.Errorf("get answers %d", status)
	}
	if found := r.operations(zoneA, fmt.Sprintf("targetId=%d", in.GetId())); len(found) != 3 { // insert too
		t.Errorf("the operations are %v", found)
	}
}
