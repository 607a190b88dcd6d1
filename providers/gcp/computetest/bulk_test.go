package computetest_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"github.com/google/uuid"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// bulkRequest asks for count instances with names of their own.
func bulkRequest(count int, types ...string) *computepb.BulkInsertRegionInstanceRequest {
	one := spotInstance("x")
	names := map[string]*computepb.BulkInsertInstanceResourcePerInstanceProperties{}
	for i := range count {
		names[fmt.Sprintf("bulk-%04d", i)] = &computepb.BulkInsertInstanceResourcePerInstanceProperties{}
	}
	resource := &computepb.BulkInsertInstanceResource{
		Count: ptr(int64(count)), MinCount: ptr(int64(1)), PerInstanceProperties: names,
		LocationPolicy: &computepb.LocationPolicy{TargetShape: ptr("ANY"), Locations: map[string]*computepb.LocationPolicyLocation{
			"zones/us-central1-a": {Preference: ptr("ALLOW")}, "zones/us-central1-b": {Preference: ptr("ALLOW")},
			"zones/us-central1-c": {Preference: ptr("DENY")}, "zones/us-central1-f": {Preference: ptr("DENY")},
		}},
		InstanceProperties: &computepb.InstanceProperties{
			Labels: one.Labels, Disks: one.Disks, NetworkInterfaces: one.NetworkInterfaces, Scheduling: one.Scheduling,
			Metadata: one.Metadata, ServiceAccounts: one.ServiceAccounts,
		},
	}
	if len(types) == 1 {
		resource.InstanceProperties.MachineType = &types[0]
	} else {
		selections := map[string]*computepb.InstanceFlexibilityPolicyInstanceSelection{}
		for i, name := range types {
			selections[fmt.Sprint("rank-", i)] = &computepb.InstanceFlexibilityPolicyInstanceSelection{Rank: ptr(int64(i)), MachineTypes: []string{name}}
		}
		resource.InstanceFlexibilityPolicy = &computepb.InstanceFlexibilityPolicy{InstanceSelections: selections}
	}
	return &computepb.BulkInsertRegionInstanceRequest{Project: project, Region: region, RequestId: ptr(uuid.NewString()), BulkInsertInstanceResourceResource: resource}
}

// run makes a bulk insert and gives its ended operation.
func (r *rig) run(request *computepb.BulkInsertRegionInstanceRequest) *computepb.Operation {
	r.t.Helper()
	op := must(r.regional.BulkInsert(r.t.Context(), request))(r.t)
	r.clock.Advance(time.Second)
	return must(r.regionOps.Get(r.t.Context(), &computepb.GetRegionOperationRequest{Project: project, Region: region, Operation: op.Proto().GetName()}))(r.t)
}

func errorOf(op *computepb.Operation) string {
	if errs := op.GetError().GetErrors(); len(errs) > 0 {
		return errs[0].GetCode()
	}
	return ""
}

func TestBulkInsertPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*rig)
		request func() *computepb.BulkInsertRegionInstanceRequest
		failure string
		places  map[string]int // "zone type" to living ones
	}{
		"all in one pool": {
			request: func() *computepb.BulkInsertRegionInstanceRequest { return bulkRequest(3, "n2-standard-2") },
			places:  map[string]int{zoneA + " n2-standard-2": 3},
		},
		"the next zone takes the rest": {
			prepare: func(r *rig) { r.SetCapacity(zoneA, "n2-standard-2", true, 2) },
			request: func() *computepb.BulkInsertRegionInstanceRequest { return bulkRequest(3, "n2-standard-2") },
			places:  map[string]int{zoneA + " n2-standard-2": 2, zoneB + " n2-standard-2": 1},
		},
		"the next type by rank": {
			prepare: func(r *rig) {
				r.SetCapacity(zoneA, "n2-standard-2", true, 0)
				r.SetCapacity(zoneB, "n2-standard-2", true, 0)
			},
			request: func() *computepb.BulkInsertRegionInstanceRequest {
				return bulkRequest(2, "n2-standard-2", "e2-standard-2")
			},
			places: map[string]int{zoneA + " e2-standard-2": 2},
		},
		"fewer than count": {
			prepare: func(r *rig) {
				r.SetCapacity(zoneA, "n2-standard-2", true, 1)
				r.SetCapacity(zoneB, "n2-standard-2", true, 1)
			},
			request: func() *computepb.BulkInsertRegionInstanceRequest { return bulkRequest(4, "n2-standard-2") },
			places:  map[string]int{zoneA + " n2-standard-2": 1, zoneB + " n2-standard-2": 1},
		},
		"fewer than minCount": {
			prepare: func(r *rig) {
				r.SetCapacity(zoneA, "n2-standard-2", true, 1)
				r.SetCapacity(zoneB, "n2-standard-2", true, 1)
			},
			request: func() *computepb.BulkInsertRegionInstanceRequest {
				request := bulkRequest(4, "n2-standard-2")
				request.BulkInsertInstanceResourceResource.MinCount = nil
				return request
			},
			failure: "ZONE_RESOURCE_POOL_EXHAUSTED", places: map[string]int{},
		},
		"balanced": {
			request: func() *computepb.BulkInsertRegionInstanceRequest {
				request := bulkRequest(4, "n2-standard-2")
				request.BulkInsertInstanceResourceResource.LocationPolicy.TargetShape = ptr("BALANCED")
				return request
			},
			places: map[string]int{zoneA + " n2-standard-2": 2, zoneB + " n2-standard-2": 2},
		},
		"over the quota": {
			prepare: func(r *rig) { r.SetQuota(region, "PREEMPTIBLE_CPUS", 3) },
			request: func() *computepb.BulkInsertRegionInstanceRequest { return bulkRequest(2, "n2-standard-2") },
			places:  map[string]int{zoneA + " n2-standard-2": 1},
		},
		"no quota": {
			prepare: func(r *rig) { r.SetQuota(region, "PREEMPTIBLE_CPUS", 1) },
			request: func() *computepb.BulkInsertRegionInstanceRequest { return bulkRequest(2, "n2-standard-2") },
			failure: "QUOTA_EXCEEDED", places: map[string]int{},
		},
		"a pattern of names": {
			request: func() *computepb.BulkInsertRegionInstanceRequest {
				request := bulkRequest(2, "n2-standard-2")
				request.BulkInsertInstanceResourceResource.PerInstanceProperties = nil
				request.BulkInsertInstanceResourceResource.NamePattern = ptr("bulk-####")
				return request
			},
			places: map[string]int{zoneA + " n2-standard-2": 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, computetest.Options{})
			if c.prepare != nil {
				c.prepare(r)
			}
			op := r.run(c.request())
			if op.GetStatus() != computepb.Operation_DONE || errorOf(op) != c.failure {
				t.Errorf("the operation is %v", op)
			}
			places, created := map[string]int{}, int32(0)
			for _, in := range r.Living() {
				places[in.Zone+" "+in.MachineType]++
			}
			for place, want := range c.places {
				if places[place] != want {
					t.Errorf("%d in %s, not %d", places[place], place, want)
				}
			}
			if len(places) != len(c.places) {
				t.Errorf("they are in %v, not %v", places, c.places)
			}
			for _, status := range op.GetInstancesBulkInsertOperationMetadata().GetPerLocationStatus() {
				created += status.GetCreatedVmCount() - status.GetDeletedVmCount()
			}
			if int(created) != len(r.Living()) {
				t.Errorf("%d were created, says the operation; %d live", created, len(r.Living()))
			}
			failed := 0
			for _, zone := range []string{zoneA, zoneB} {
				for _, op := range r.operations(zone, fmt.Sprintf(`(operationGroupId=%q) AND (operationType="insert")`, op.GetOperationGroupId())) {
					if errorOf(op) != "" {
						failed++
					}
				}
			}
			if asked := len(r.Instances()); failed != asked-len(r.Living()) {
				t.Errorf("%d of %d have an insert that failed; %d live", failed, asked, len(r.Living()))
			}
		})
	}
}

// A name that is taken refuses the whole request.
func TestBulkInsertTakenName(t *testing.T) {
	r := newRig(t, computetest.Options{})
	r.run(bulkRequest(2, "n2-standard-2"))
	if _, err := r.regional.BulkInsert(t.Context(), bulkRequest(3, "n2-standard-2")); statusOf(err) != http.StatusConflict {
		t.Errorf("the error is %v", err)
	}
	if len(r.Instances()) != 2 {
		t.Errorf("there are %d instances", len(r.Instances()))
	}
}
