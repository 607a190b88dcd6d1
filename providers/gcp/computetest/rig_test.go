package computetest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"
	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

const (
	project = "spotrelay-test"
	region  = "us-central1"
	zoneA   = "us-central1-a"
	zoneB   = "us-central1-b"
	image   = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"
)

// rig is a server whose clock the test moves, and the real clients.
type rig struct {
	t testing.TB
	*computetest.Server
	clock     *computetest.ManualClock
	options   []option.ClientOption
	instances *compute.InstancesClient
	regional  *compute.RegionInstancesClient
	zoneOps   *compute.ZoneOperationsClient
	regionOps *compute.RegionOperationsClient
}

func newRig(t testing.TB, o computetest.Options) *rig {
	r := &rig{t: t}
	if o.Clock == nil {
		r.clock = computetest.NewManualClock(time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC))
		o.Clock = r.clock
	}
	r.Server = computetest.Start(t, o)
	r.options = []option.ClientOption{
		option.WithEndpoint(r.URL), option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t"})),
	}
	ctx := context.Background()
	r.instances = must(compute.NewInstancesRESTClient(ctx, r.options...))(t)
	r.regional = must(compute.NewRegionInstancesRESTClient(ctx, r.options...))(t)
	r.zoneOps = must(compute.NewZoneOperationsRESTClient(ctx, r.options...))(t)
	r.regionOps = must(compute.NewRegionOperationsRESTClient(ctx, r.options...))(t)
	return r
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ptr[T any](value T) *T { return &value }

// spotInstance is one as the provider asks for it.
func spotInstance(name string) *computepb.Instance {
	return &computepb.Instance{
		Name: &name, MachineType: ptr("zones/" + zoneA + "/machineTypes/n2-standard-2"),
		Labels: map[string]string{"spotrelay-run": "r1", "owner": name},
		Disks: []*computepb.AttachedDisk{{
			Boot: ptr(true), AutoDelete: ptr(true),
			InitializeParams: &computepb.AttachedDiskInitializeParams{SourceImage: ptr(image), DiskSizeGb: ptr(int64(20))},
		}},
		NetworkInterfaces: []*computepb.NetworkInterface{{Network: ptr("global/networks/default")}},
		Scheduling:        spotScheduling(),
		Metadata:          &computepb.Metadata{Items: []*computepb.Items{{Key: ptr("startup-script"), Value: ptr("#!/bin/sh\n")}}},
		ServiceAccounts:   []*computepb.ServiceAccount{{Email: ptr("default"), Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}}},
	}
}

func spotScheduling() *computepb.Scheduling {
	return &computepb.Scheduling{
		ProvisioningModel: ptr("SPOT"), InstanceTerminationAction: ptr("DELETE"), OnHostMaintenance: ptr("TERMINATE"),
		AutomaticRestart: ptr(false), MaxRunDuration: &computepb.Duration{Seconds: ptr(int64(3600))},
	}
}

func onDemand(name string) *computepb.Instance {
	in := spotInstance(name)
	in.Scheduling = &computepb.Scheduling{ProvisioningModel: ptr("STANDARD"), OnHostMaintenance: ptr("MIGRATE"), AutomaticRestart: ptr(false)}
	return in
}

func (r *rig) insertRequest(in *computepb.Instance) *computepb.InsertInstanceRequest {
	return &computepb.InsertInstanceRequest{Project: project, Zone: zoneA, InstanceResource: in, RequestId: ptr(uuid.NewString())}
}

// insert makes an instance and waits until it runs.
func (r *rig) insert(in *computepb.Instance) *computepb.Instance {
	r.t.Helper()
	must(r.instances.Insert(r.t.Context(), r.insertRequest(in)))(r.t)
	r.clock.Advance(time.Second)
	got := r.get(in.GetName())
	if got.GetStatus() != "RUNNING" {
		r.t.Fatalf("%s is %s", in.GetName(), got.GetStatus())
	}
	return got
}

func (r *rig) get(name string) *computepb.Instance {
	r.t.Helper()
	return must(r.instances.Get(r.t.Context(), &computepb.GetInstanceRequest{Project: project, Zone: zoneA, Instance: name}))(r.t)
}

func (r *rig) status(name string) int {
	r.t.Helper()
	_, err := r.instances.Get(r.t.Context(), &computepb.GetInstanceRequest{Project: project, Zone: zoneA, Instance: name})
	return statusOf(err)
}

// statusOf is an error's HTTP status; 200 for none, 0 for an error without.
func statusOf(err error) int {
	var answer *googleapi.Error
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &answer):
		return answer.Code
	}
	return 0
}

// list is all instances of a zone that pass a filter.
func (r *rig) list(filter string) []string {
	r.t.Helper()
	request := &computepb.ListInstancesRequest{Project: project, Zone: zoneA}
	if filter != "" {
		request.Filter = &filter
	}
	var names []string
	for all := r.instances.List(r.t.Context(), request); ; {
		in, err := all.Next()
		if errors.Is(err, iterator.Done) {
			return names
		}
		if err != nil {
			r.t.Fatal(err)
		}
		names = append(names, in.GetName())
	}
}

// operations of a zone that pass a filter.
func (r *rig) operations(zone, filter string) []*computepb.Operation {
	r.t.Helper()
	var found []*computepb.Operation
	for all := r.zoneOps.List(r.t.Context(), &computepb.ListZoneOperationsRequest{Project: project, Zone: zone, Filter: &filter}); ; {
		op, err := all.Next()
		if errors.Is(err, iterator.Done) {
			return found
		}
		if err != nil {
			r.t.Fatal(err)
		}
		found = append(found, op)
	}
}
