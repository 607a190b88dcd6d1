package computetest_test

import (
	"net/http"
	"testing"
	"time"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"
	"github.com/googleapis/gax-go/v2"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// Every error of an operation arrives as Compute sends it: in the operation,
// not in the answer to the request.
func TestErrorsOfOperations(t *testing.T) {
	for _, code := range []string{
		"ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "insufficientCapacity",
		"UNSUPPORTED_OPERATION", "IP_SPACE_EXHAUSTED", "IP_SPACE_EXHAUSTED_WITH_DETAILS", "QUOTA_EXCEEDED",
		"IAM_PERMISSION_DENIED", "VPC_NOT_FOUND",
	} {
		t.Run(code, func(t *testing.T) {
			r := newRig(t, computetest.Options{})
			r.Inject(computetest.Fault{Code: code, Zone: zoneA, MachineType: "n2-standard-2", Times: 1})
			op := must(r.instances.Insert(t.Context(), r.insertRequest(spotInstance("one"))))(t)
			r.clock.Advance(time.Second)
			ended := must(r.zoneOps.Get(t.Context(), &computepb.GetZoneOperationRequest{Project: project, Zone: zoneA, Operation: op.Proto().GetName()}))(t)
			if errorOf(ended) != code || ended.GetHttpErrorStatusCode() < 400 || ended.GetError().GetErrors()[0].GetMessage() == "" {
				t.Errorf("the operation is %v", ended)
			}
			if r.status("one") != http.StatusNotFound {
				t.Error("the instance is there")
			}
			r.insert(spotInstance("one")) // once is over
		})
	}
}

func TestFaultsOfAnswers(t *testing.T) {
	r := newRig(t, computetest.Options{})
	remove := r.Inject(computetest.Fault{Method: "compute.instances.get", Zone: zoneA, Status: http.StatusServiceUnavailable, Reason: "backendError"})
	noRetry := gax.WithRetry(func() gax.Retryer { return nil })
	get := func() error {
		_, err := r.instances.Get(t.Context(), &computepb.GetInstanceRequest{Project: project, Zone: zoneA, Instance: "one"}, noRetry)
		return err
	}
	for range 3 {
		if err := get(); statusOf(err) != http.StatusServiceUnavailable {
			t.Errorf("the error is %v", err)
		}
	}
	remove()
	if err := get(); statusOf(err) != http.StatusNotFound {
		t.Errorf("after the fault: %v", err)
	}
}

// A lost answer: the client sees an error, the instance is there, and the
// repetition finds the operation.
func TestLostAnswer(t *testing.T) {
	r := newRig(t, computetest.Options{})
	r.Inject(computetest.Fault{Method: "compute.instances.insert", LoseAnswer: true, Times: 1})
	request := r.insertRequest(spotInstance("one"))
	if _, err := r.instances.Insert(t.Context(), request); err == nil {
		t.Fatal("the answer arrived")
	}
	must(r.instances.Insert(t.Context(), request))(t)
	r.clock.Advance(time.Second)
	if all := r.Instances(); len(all) != 1 || all[0].Status != "RUNNING" {
		t.Errorf("the instances are %+v", all)
	}
}

func TestThrottling(t *testing.T) {
	r := newRig(t, computetest.Options{})
	r.Limit("compute.instances.list", 1, 2, http.StatusForbidden)
	list := func() error {
		_, err := r.instances.List(t.Context(), &computepb.ListInstancesRequest{Project: project, Zone: zoneA}).Next()
		return err
	}
	statuses := func(n int) (found []int) {
		for range n {
			status := statusOf(list())
			found = append(found, status)
		}
		return found
	}
	if got := statuses(4); got[1] == http.StatusForbidden || got[2] != http.StatusForbidden || got[3] != http.StatusForbidden {
		t.Errorf("four calls at once: %v", got)
	}
	r.clock.Advance(time.Second)
	if got := statuses(2); got[0] == http.StatusForbidden || got[1] != http.StatusForbidden {
		t.Errorf("a second later: %v", got)
	}
	if n := r.Throttled("compute.instances.list"); n != 3 {
		t.Errorf("%d were refused, not 3", n)
	}
}

func TestProjectAndRegion(t *testing.T) {
	r := newRig(t, computetest.Options{})
	regions := must(compute.NewRegionsRESTClient(t.Context(), r.options...))(t)
	got := must(regions.Get(t.Context(), &computepb.GetRegionRequest{Project: project, Region: region}))(t)
	if len(got.GetZones()) != 4 || len(got.GetQuotas()) == 0 {
		t.Errorf("the region is %v", got)
	}
	r.insert(spotInstance("one"))
	got = must(regions.Get(t.Context(), &computepb.GetRegionRequest{Project: project, Region: region}))(t)
	for _, quota := range got.GetQuotas() {
		if quota.GetMetric() == "PREEMPTIBLE_CPUS" && quota.GetUsage() != 2 {
			t.Errorf("two CPUs are used, says nobody: %v", quota)
		}
	}
}
