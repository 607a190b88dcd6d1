package gcp

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
)

func rentalOf(zone, machineType, arch string, gpus int) rental {
	m := machine{name: machineType, base: machineType, family: strings.Split(machineType, "-")[0], arch: arch}
	if gpus > 0 {
		m.gpus, m.gpuType, m.attached = gpus, "nvidia-tesla-t4", true
		m.name = fmt.Sprintf("%s+%dx-%s", m.base, gpus, m.gpuType)
	}
	return rental{providers.Offer{Zone: zone, InstanceType: m.name, Capacity: providers.Spot}, m}
}

// Whatever is offered, the waves together are exactly that: none can give a
// pool that was not asked for, and none is left out.
func TestWaves(t *testing.T) {
	types := []struct {
		name, arch string
		gpus       int
	}{{"n2-standard-2", archAMD64, 0}, {"c3-standard-4", archAMD64, 0}, {"c4-standard-4", archAMD64, 0}, {"t2a-standard-2", archARM64, 0}, {"n1-standard-8", archAMD64, 0}, {"n1-standard-8", archAMD64, 1}, {"n1-standard-8", archAMD64, 2}}
	zones := []string{"us-central1-a", "us-central1-b", "us-central1-c"}
	rapid.Check(t, func(t *rapid.T) {
		var all []rental
		for i := range rapid.IntRange(0, 12).Draw(t, "offers") {
			kind := rapid.SampledFrom(types).Draw(t, fmt.Sprint("type", i))
			r := rentalOf(rapid.SampledFrom(zones).Draw(t, fmt.Sprint("zone", i)), kind.name, kind.arch, kind.gpus)
			if !slices.ContainsFunc(all, func(o rental) bool { return o.offer == r.offer }) {
				all = append(all, r)
			}
		}
		covered := map[providers.Pool]int{}
		waves := wavesOf(all, config{})
		for _, w := range waves {
			for _, machineType := range w.types {
				for _, zone := range w.zones {
					name := machineType
					if w.gpus > 0 {
						name = fmt.Sprintf("%s+%dx-%s", machineType, w.gpus, w.gpuType)
					}
					covered[providers.Pool{Zone: zone, InstanceType: name, Capacity: providers.Spot}]++
				}
			}
			for _, r := range w.rentals {
				if r.machine.arch != w.arch || w.disk != (config{}).diskFor(r.machine) {
					t.Fatalf("%+v in the wave %+v", r, w)
				}
			}
		}
		for _, r := range all {
			if covered[r.offer.Pool()] != 1 {
				t.Fatalf("%+v stands in %d waves", r.offer, covered[r.offer.Pool()])
			}
		}
		if len(covered) != len(all) {
			t.Fatalf("%d pools of %d offers", len(covered), len(all))
		}
		if len(all) > 0 && waves[0].rentals[0].offer != all[0].offer {
			t.Fatal("the most preferred offer is not tried first")
		}
	})
}

func TestWavesAreBounded(t *testing.T) {
	var all []rental
	for i := range typesInWave + 5 {
		all = append(all, rentalOf("us-central1-a", fmt.Sprintf("n2-standard-%d", i), archAMD64, 0))
	}
	if waves := wavesOf(all, config{}); len(waves) != 2 || len(waves[0].types) != typesInWave || len(waves[1].types) != 5 {
		t.Errorf("%d waves", len(waves))
	}
}

func launchOf(t *testing.T, more map[string]any, change func(*providers.LaunchRequest)) *launch {
	t.Helper()
	c, faults := readConfig(plain(more))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	request := providers.LaunchRequest{
		Token: "t-1", Count: 3, Offers: []providers.Offer{{Zone: "us-central1-a", InstanceType: "n2-standard-2", Capacity: providers.Spot}},
		Tags: map[string]string{providers.TagRun: "r", "Owner": "Ann"},
		Bootstrap: providers.Bootstrap{Bucket: "gs://b", Agents: map[string]providers.AgentProgram{
			"linux-amd64": {Key: "agents/x/agent", SHA256: strings.Repeat("0", 64)},
		}},
	}
	if change != nil {
		change(&request)
	}
	return &launch{config: c, request: request, digest: "d", region: place{zones: []string{"us-central1-a", "us-central1-b", "us-central1-c"}}}
}

// The rows of the reference on a launch's scheduling.
func TestScheduling(t *testing.T) {
	onDemand := func(r *providers.LaunchRequest) { r.Offers[0].Capacity = providers.OnDemand }
	for name, c := range map[string]struct {
		more   map[string]any
		change func(*providers.LaunchRequest)
		gpus   int
		want   string
	}{
		"spot":                   {nil, nil, 0, `{"automaticRestart":false,"instanceTerminationAction":"DELETE","onHostMaintenance":"TERMINATE","provisioningModel":"SPOT"}`},
		"spot with a notice":     {map[string]any{"preemption_notice": "120s"}, nil, 0, `{"automaticRestart":false,"instanceTerminationAction":"DELETE","onHostMaintenance":"TERMINATE","preemptionNoticeDuration":{"seconds":120},"provisioningModel":"SPOT"}`},
		"spot with a leash":      {nil, func(r *providers.LaunchRequest) { r.MaxLife = time.Hour }, 0, `{"automaticRestart":false,"instanceTerminationAction":"DELETE","maxRunDuration":{"seconds":3600},"onHostMaintenance":"TERMINATE","provisioningModel":"SPOT"}`},
		"the shortest leash":     {nil, func(r *providers.LaunchRequest) { r.MaxLife = time.Second }, 0, `{"automaticRestart":false,"instanceTerminationAction":"DELETE","maxRunDuration":{"seconds":30},"onHostMaintenance":"TERMINATE","provisioningModel":"SPOT"}`},
		"the longest leash":      {nil, func(r *providers.LaunchRequest) { r.MaxLife = 1e5 * time.Hour }, 0, `{"automaticRestart":false,"instanceTerminationAction":"DELETE","maxRunDuration":{"seconds":10368000},"onHostMaintenance":"TERMINATE","provisioningModel":"SPOT"}`},
		"on-demand":              {map[string]any{"preemption_notice": "120s"}, onDemand, 0, `{"automaticRestart":false,"onHostMaintenance":"MIGRATE","provisioningModel":"STANDARD"}`},
		"on-demand with a GPU":   {nil, onDemand, 1, `{"automaticRestart":false,"onHostMaintenance":"TERMINATE","provisioningModel":"STANDARD"}`},
		"on-demand with a leash": {nil, func(r *providers.LaunchRequest) { onDemand(r); r.MaxLife = time.Hour }, 0, `{"automaticRestart":false,"instanceTerminationAction":"DELETE","maxRunDuration":{"seconds":3600},"onHostMaintenance":"MIGRATE","provisioningModel":"STANDARD"}`},
	} {
		l := launchOf(t, c.more, c.change)
		w := wave{rentals: []rental{{l.request.Offers[0], machine{gpus: c.gpus}}}}
		if got := asJSON(t, l.scheduling(w)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// asJSON is a message's fields in order, as they would be sent.
func asJSON(t *testing.T, s *computepb.Scheduling) string {
	t.Helper()
	fields := map[string]any{}
	add := func(name string, set bool, v any) {
		if set {
			fields[name] = v
		}
	}
	add("automaticRestart", s.AutomaticRestart != nil, s.GetAutomaticRestart())
	add("instanceTerminationAction", s.InstanceTerminationAction != nil, s.GetInstanceTerminationAction())
	add("maxRunDuration", s.MaxRunDuration != nil, map[string]int64{"seconds": s.GetMaxRunDuration().GetSeconds()})
	add("onHostMaintenance", s.OnHostMaintenance != nil, s.GetOnHostMaintenance())
	add("preemptionNoticeDuration", s.PreemptionNoticeDuration != nil, map[string]int64{"seconds": s.GetPreemptionNoticeDuration().GetSeconds()})
	add("provisioningModel", s.ProvisioningModel != nil, s.GetProvisioningModel())
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestBody(t *testing.T) {
	l := launchOf(t, map[string]any{"preemption_notice": "120s", "external_ip": false, "endpoint": "http://127.0.0.1:1", "network_tags": []string{"batch"}},
		func(r *providers.LaunchRequest) {
			r.Need.Disk = 95 << 30
			r.Tags["note"] = strings.Repeat("Very long ", 10)
		})
	one := rentalOf("us-central1-b", "n1-standard-8", archAMD64, 2)
	w := wavesOf([]rental{one}, l.config)[0]
	body, err := l.body(w, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if body.GetCount() != 3 || body.GetMinCount() != 1 || len(body.PerInstanceProperties) != 3 {
		t.Errorf("%d, %d, %d", body.GetCount(), body.GetMinCount(), len(body.PerInstanceProperties))
	}
	for zone, preference := range map[string]string{"us-central1-a": "DENY", "us-central1-b": "ALLOW", "us-central1-c": "DENY"} {
		if got := body.LocationPolicy.Locations["zones/"+zone].GetPreference(); got != preference {
			t.Errorf("%s: %s", zone, got)
		}
	}
	p := body.InstanceProperties
	if p.GetMachineType() != "n1-standard-8" || p.GuestAccelerators[0].GetAcceleratorCount() != 2 || body.InstanceFlexibilityPolicy != nil {
		t.Errorf("%v", p)
	}
	if got := p.Disks[0].InitializeParams; got.GetDiskSizeGb() != 105 || got.GetDiskType() != "pd-balanced" || !p.Disks[0].GetAutoDelete() {
		t.Errorf("the disk is %v", got)
	}
	if n := p.NetworkInterfaces[0]; len(n.AccessConfigs) != 0 || n.GetNetwork() != "projects/acme-batch/global/networks/default" {
		t.Errorf("the network is %v", n)
	}
	items := map[string]string{}
	for _, item := range p.Metadata.Items {
		items[item.GetKey()] = item.GetValue()
	}
	if items[endpointItem] != "http://127.0.0.1:1" || !strings.Contains(items[tagsItem], "Very long") || !strings.Contains(items["startup-script"], varNoticeLead+"=") {
		t.Errorf("the metadata are %q, %q and a script of %d bytes", items[endpointItem], items[tagsItem], len(items["startup-script"]))
	}
	if p.Labels[digestLabel] != "d" || p.Labels[restLabel] == "" || p.Labels[providers.TagRun] != "r" {
		t.Errorf("the labels are %v", p.Labels)
	}

	two := wavesOf([]rental{rentalOf("us-central1-a", "n2-standard-2", archAMD64, 0), rentalOf("us-central1-a", "n2d-standard-2", archAMD64, 0)}, l.config)
	if body, err = l.body(two[0], 0, 1); err != nil || body.InstanceProperties.MachineType != nil {
		t.Fatalf("%v, %v", body, err)
	}
	for i, machineType := range []string{"n2-standard-2", "n2d-standard-2"} {
		s := body.InstanceFlexibilityPolicy.InstanceSelections[fmt.Sprintf("rank-%d", i)]
		if s.GetRank() != int64(i) || !slices.Equal(s.MachineTypes, []string{machineType}) {
			t.Errorf("rank %d is %v", i, s)
		}
	}
}
