package computetest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/api/option"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// Each of these breaks a rule of Compute's and is refused.
func TestRulesOfInsert(t *testing.T) {
	for name, change := range map[string]func(*computepb.Instance){
		"no name":                    func(in *computepb.Instance) { in.Name = nil },
		"a name in upper case":       func(in *computepb.Instance) { in.Name = ptr("One") },
		"a name with a hyphen last":  func(in *computepb.Instance) { in.Name = ptr("one-") },
		"a long name":                func(in *computepb.Instance) { in.Name = ptr("a" + strings.Repeat("b", 63)) },
		"a label in upper case":      func(in *computepb.Instance) { in.Labels["Run"] = "x" },
		"a label's value with a dot": func(in *computepb.Instance) { in.Labels["run"] = "a.b" },
		"a long label":               func(in *computepb.Instance) { in.Labels["run"] = strings.Repeat("a", 64) },
		"no disk":                    func(in *computepb.Instance) { in.Disks = nil },
		"an unknown image": func(in *computepb.Instance) {
			in.Disks[0].InitializeParams.SourceImage = ptr("projects/ubuntu-os-cloud/global/images/family/none")
		},
		"a small disk":       func(in *computepb.Instance) { in.Disks[0].InitializeParams.DiskSizeGb = ptr(int64(5)) },
		"no network":         func(in *computepb.Instance) { in.NetworkInterfaces = nil },
		"an unknown network": func(in *computepb.Instance) { in.NetworkInterfaces[0].Network = ptr("global/networks/none") },
		"a subnetwork elsewhere": func(in *computepb.Instance) {
			in.NetworkInterfaces[0].Subnetwork = ptr("regions/europe-west4/subnetworks/default")
		},
		"a custom network without it":  func(in *computepb.Instance) { in.NetworkInterfaces[0].Network = ptr("global/networks/batch") },
		"a type without its address":   func(in *computepb.Instance) { in.MachineType = ptr("n2-standard-2") },
		"a type of another zone":       func(in *computepb.Instance) { in.MachineType = ptr("zones/us-central1-b/machineTypes/n2-standard-2") },
		"an unknown type":              func(in *computepb.Instance) { in.MachineType = ptr("zones/us-central1-a/machineTypes/n9-standard-2") },
		"spot that restarts":           func(in *computepb.Instance) { in.Scheduling.AutomaticRestart = ptr(true) },
		"spot that migrates":           func(in *computepb.Instance) { in.Scheduling.OnHostMaintenance = ptr("MIGRATE") },
		"spot without a word on that":  func(in *computepb.Instance) { in.Scheduling.OnHostMaintenance = nil },
		"an unknown model":             func(in *computepb.Instance) { in.Scheduling.ProvisioningModel = ptr("CHEAP") },
		"a run of 29 s":                func(in *computepb.Instance) { in.Scheduling.MaxRunDuration.Seconds = ptr(int64(29)) },
		"a run of 121 days":            func(in *computepb.Instance) { in.Scheduling.MaxRunDuration.Seconds = ptr(int64(121 * 86400)) },
		"a bounded run without an end": func(in *computepb.Instance) { in.Scheduling.InstanceTerminationAction = nil },
		"a notice of 60 s": func(in *computepb.Instance) {
			in.Scheduling.PreemptionNoticeDuration = &computepb.Duration{Seconds: ptr(int64(60))}
		},
		"on-demand with a notice": func(in *computepb.Instance) {
			in.Scheduling = onDemand("x").Scheduling
			in.Scheduling.PreemptionNoticeDuration = &computepb.Duration{Seconds: ptr(int64(120))}
		},
		"on-demand with an action": func(in *computepb.Instance) {
			in.Scheduling = onDemand("x").Scheduling
			in.Scheduling.InstanceTerminationAction = ptr("DELETE")
		},
		"metadata twice":          func(in *computepb.Instance) { in.Metadata.Items = append(in.Metadata.Items, in.Metadata.Items[0]) },
		"much metadata":           func(in *computepb.Instance) { in.Metadata.Items[0].Value = ptr(strings.Repeat("x", 256<<10+1)) },
		"an account that is none": func(in *computepb.Instance) { in.ServiceAccounts[0].Email = ptr("me") },
		"a tag in upper case":     func(in *computepb.Instance) { in.Tags = &computepb.Tags{Items: []string{"SSH"}} },
		"a GPU for a type that has not": func(in *computepb.Instance) {
			in.GuestAccelerators = []*computepb.AcceleratorConfig{{AcceleratorType: ptr("zones/us-central1-a/acceleratorTypes/nvidia-tesla-t4"), AcceleratorCount: ptr(int32(1))}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, computetest.Options{TolerateFaults: true})
			in := spotInstance("one")
			change(in)
			if _, err := r.instances.Insert(t.Context(), r.insertRequest(in)); statusOf(err) != http.StatusBadRequest {
				t.Errorf("the error is %v", err)
			}
			if len(r.Instances()) > 0 {
				t.Errorf("it made %v", r.Instances())
			}
		})
	}
}

func TestRulesOfBulkInsert(t *testing.T) {
	for name, change := range map[string]func(*computepb.BulkInsertInstanceResource){
		"no count":             func(b *computepb.BulkInsertInstanceResource) { b.Count = nil },
		"minCount above count": func(b *computepb.BulkInsertInstanceResource) { b.MinCount = ptr(int64(3)) },
		"fewer names":          func(b *computepb.BulkInsertInstanceResource) { delete(b.PerInstanceProperties, "bulk-0000") },
		"names and a pattern":  func(b *computepb.BulkInsertInstanceResource) { b.NamePattern = ptr("x-##") },
		"a bad name": func(b *computepb.BulkInsertInstanceResource) {
			b.PerInstanceProperties = nil
			b.NamePattern = ptr("X-##")
		},
		"two rows of hashes": func(b *computepb.BulkInsertInstanceResource) {
			b.PerInstanceProperties = nil
			b.NamePattern = ptr("x-#-#")
		},
		"19 hashes": func(b *computepb.BulkInsertInstanceResource) {
			b.PerInstanceProperties = nil
			b.NamePattern = ptr("x-" + strings.Repeat("#", 19))
		},
		"a type with its zone": func(b *computepb.BulkInsertInstanceResource) {
			b.InstanceProperties.MachineType = ptr("zones/us-central1-a/machineTypes/n2-standard-2")
		},
		"no type": func(b *computepb.BulkInsertInstanceResource) { b.InstanceProperties.MachineType = nil },
		"a zone elsewhere": func(b *computepb.BulkInsertInstanceResource) {
			b.LocationPolicy.Locations["zones/europe-west4-a"] = &computepb.LocationPolicyLocation{}
		},
		"a location that's not": func(b *computepb.BulkInsertInstanceResource) {
			b.LocationPolicy.Locations[zoneA] = &computepb.LocationPolicyLocation{}
		},
		"no properties": func(b *computepb.BulkInsertInstanceResource) { b.InstanceProperties = nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, computetest.Options{TolerateFaults: true})
			request := bulkRequest(2, "n2-standard-2")
			change(request.BulkInsertInstanceResourceResource)
			if _, err := r.regional.BulkInsert(t.Context(), request); statusOf(err) != http.StatusBadRequest {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// Without permission a request is refused, and the permission is named.
func TestPermissions(t *testing.T) {
	r := newRig(t, computetest.Options{})
	r.insert(spotInstance("one"))
	used := r.UsedPermissions()
	for _, want := range []string{"compute.instances.create", "compute.disks.create", "compute.instances.setMetadata", "compute.instances.get"} {
		if !slices.Contains(used, want) {
			t.Errorf("%s was used, and is not among %q", want, used)
		}
	}
	for _, missing := range used {
		if missing == "compute.instances.get" {
			continue
		}
		r.Permit(slices.DeleteFunc(slices.Clone(used), func(p string) bool { return p == missing })...)
		_, err := r.instances.Insert(t.Context(), r.insertRequest(spotInstance("two")))
		if statusOf(err) != http.StatusForbidden || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	r.Permit(used...)
	r.insert(spotInstance("two"))
}

func TestToken(t *testing.T) {
	r := newRig(t, computetest.Options{TolerateFaults: true})
	client := must(compute.NewInstancesRESTClient(t.Context(), option.WithEndpoint(r.URL), option.WithoutAuthentication()))(t)
	if _, err := client.Get(t.Context(), &computepb.GetInstanceRequest{Project: project, Zone: zoneA, Instance: "x"}); statusOf(err) != http.StatusUnauthorized {
		t.Errorf("without a token: %v", err)
	}
	if _, err := r.instances.Get(t.Context(), &computepb.GetInstanceRequest{Project: "other-project", Zone: zoneA, Instance: "x"}); statusOf(err) != http.StatusNotFound {
		t.Errorf("in another project: %v", err)
	}
	if _, err := r.instances.Get(t.Context(), &computepb.GetInstanceRequest{Project: project, Zone: "us-central1-z", Instance: "x"}); statusOf(err) != http.StatusBadRequest {
		t.Errorf("in a zone that is not there: %v", err)
	}
}

// sink is a test that notes its failures.
type sink struct {
	testing.TB
	failures []string
}

func (s *sink) Errorf(format string, _ ...any) { s.failures = append(s.failures, format) }

// A request that breaks a rule fails the test, unless it wants to see that.
func TestBrokenRulesFailTheTest(t *testing.T) {
	s := &sink{TB: t}
	r := newRig(s, computetest.Options{})
	in := spotInstance("One")
	_, _ = r.instances.Insert(t.Context(), r.insertRequest(in))
	if len(s.failures) != 1 {
		t.Errorf("the failures are %q", s.failures)
	}
}
