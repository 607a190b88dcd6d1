package gcp

import (
	"maps"
	"math"
	"slices"
	"testing"

	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/api/cloudbilling/v1"

	"github.com/spotrelay/spotrelay/providers"
)

func TestMachineOf(t *testing.T) {
	make := func(name string, cpus, megabytes int32, change ...func(*computepb.MachineType)) *computepb.MachineType {
		m := &computepb.MachineType{Name: &name, GuestCpus: &cpus, MemoryMb: &megabytes}
		for _, f := range change {
			f(m)
		}
		return m
	}
	for _, row := range []struct {
		in   *computepb.MachineType
		want machine
		ok   bool
	}{
		{make("n2-standard-4", 4, 16384), machine{name: "n2-standard-4", base: "n2-standard-4", family: "n2", cpus: 4, memory: 16 << 30, arch: "amd64"}, true},
		{make("t2a-standard-1", 1, 4096), machine{name: "t2a-standard-1", base: "t2a-standard-1", family: "t2a", cpus: 1, memory: 4 << 30, arch: "arm64"}, true},
		{make("c4a-standard-1", 1, 4096, func(m *computepb.MachineType) { m.Architecture = ptr("ARM64") }), machine{name: "c4a-standard-1", base: "c4a-standard-1", family: "c4a", cpus: 1, memory: 4 << 30, arch: "arm64"}, true},
		{make("e2-micro", 2, 1024, func(m *computepb.MachineType) { m.IsSharedCpu = ptr(true) }), machine{name: "e2-micro", base: "e2-micro", family: "e2", cpus: 0.25, memory: 1 << 30, arch: "amd64"}, true},
		{make("f1-micro", 1, 614, func(m *computepb.MachineType) { m.IsSharedCpu = ptr(true) }), machine{}, false},
		{make("n2-standard-2", 2, 8192, func(m *computepb.MachineType) { m.Deprecated = &computepb.DeprecationStatus{State: ptr("DEPRECATED")} }), machine{}, false},
		{make("a2-highgpu-2g", 24, 174080, func(m *computepb.MachineType) {
			m.Accelerators = []*computepb.Accelerators{{GuestAcceleratorType: ptr("nvidia-tesla-a100"), GuestAcceleratorCount: ptr(int32(2))}}
		}), machine{name: "a2-highgpu-2g", base: "a2-highgpu-2g", family: "a2", cpus: 24, memory: 170 << 30, arch: "amd64", gpus: 2, gpuType: "nvidia-tesla-a100"}, true},
	} {
		got, ok := machineOf(row.in)
		if ok != row.ok || ok && got != row.want {
			t.Errorf("%s: %+v, %v", row.in.GetName(), got, ok)
		}
	}
}

func TestAttached(t *testing.T) {
	base := []machine{
		{name: "n1-standard-8", base: "n1-standard-8", family: "n1", cpus: 8},
		{name: "n1-standard-64", base: "n1-standard-64", family: "n1", cpus: 64},
		{name: "n2-standard-8", base: "n2-standard-8", family: "n2", cpus: 8},
	}
	var names []string
	for _, m := range withAccelerators(base, map[string]int{"nvidia-tesla-t4": 4, "nvidia-tesla-v100": 1, "nvidia-l4": 8}) {
		names = append(names, m.name)
		b, gpus, kind := splitType(m.name)
		if b != m.base || gpus != m.gpus || kind != m.gpuType {
			t.Errorf("%s is taken apart into %s, %d, %s", m.name, b, gpus, kind)
		}
		whole := joinType(m.base, []*computepb.AcceleratorConfig{{AcceleratorType: ptr("https://x/zones/z/acceleratorTypes/" + m.gpuType), AcceleratorCount: ptr(int32(m.gpus))}})
		if whole != m.name {
			t.Errorf("%s is put together as %s", m.name, whole)
		}
	}
	slices.Sort(names)
	want := []string{
		"n1-standard-64+4x-nvidia-tesla-t4", "n1-standard-8+1x-nvidia-tesla-t4", "n1-standard-8+1x-nvidia-tesla-v100",
		"n1-standard-8+2x-nvidia-tesla-t4", "n1-standard-8+4x-nvidia-tesla-t4",
	}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	if got := joinType("g2-standard-4", []*computepb.AcceleratorConfig{{AcceleratorType: ptr("nvidia-l4"), AcceleratorCount: ptr(int32(1))}}); got != "g2-standard-4" {
		t.Error(got)
	}
}

func TestGPUNames(t *testing.T) {
	for kind, short := range map[string]string{
		"nvidia-tesla-t4": "t4", "nvidia-l4": "l4", "nvidia-tesla-a100": "a100", "nvidia-a100-80gb": "a100-80gb",
		"nvidia-h100-80gb": "h100", "nvidia-h100-mega-80gb": "h100-mega", "nvidia-h200-141gb": "h200", "nvidia-b200": "b200",
		"Nvidia Tesla A100 80GB": "a100-80gb", "Nvidia H100 80GB": "h100", "Nvidia L4": "l4",
	} {
		if got := shortGPU(kind); got != short {
			t.Errorf("%s is called %s; want %s", kind, got, short)
		}
	}
	for _, row := range []struct {
		wanted, kind string
		want         bool
	}{
		{"a100", "nvidia-tesla-a100", true}, {"A100", "nvidia-a100-80gb", true}, {"a100-80gb", "nvidia-a100-80gb", true},
		{"a100-80gb", "nvidia-tesla-a100", false}, {"nvidia-tesla-t4", "nvidia-tesla-t4", true}, {"h100", "nvidia-h100-80gb", true},
		{"h100", "nvidia-h100-mega-80gb", false}, {"l4", "nvidia-tesla-t4", false},
	} {
		if got := gpuServes(row.wanted, row.kind); got != row.want {
			t.Errorf("%s serves %s: %v", row.kind, row.wanted, got)
		}
	}
}

func TestServes(t *testing.T) {
	m := machine{cpus: 4, memory: 16 << 30, arch: "amd64"}
	gpu := machine{cpus: 4, memory: 16 << 30, arch: "amd64", gpus: 1, gpuType: "nvidia-l4"}
	for _, row := range []struct {
		m    machine
		need providers.Need
		want bool
	}{
		{m, providers.Need{}, true}, {m, providers.Need{CPUs: 4, Memory: 16 << 30, Arch: "amd64"}, true},
		{m, providers.Need{CPUs: 4.5}, false}, {m, providers.Need{Memory: 16<<30 + 1}, false}, {m, providers.Need{Arch: "arm64"}, false},
		{m, providers.Need{GPUs: 1}, false}, {gpu, providers.Need{}, false}, {gpu, providers.Need{GPUs: 1}, true},
		{gpu, providers.Need{GPUs: 2}, false}, {gpu, providers.Need{GPUType: "l4"}, true}, {gpu, providers.Need{GPUs: 1, GPUType: "t4"}, false},
	} {
		if got := row.m.serves(row.need); got != row.want {
			t.Errorf("%+v serves %+v: %v", row.m, row.need, got)
		}
	}
}

func TestLimits(t *testing.T) {
	n2, n1 := machine{family: "n2", cpus: 4}, machine{family: "n1", cpus: 8, gpus: 2, gpuType: "nvidia-tesla-t4"}
	region := place{quotas: map[string]float64{"CPUS": 20, "N2_CPUS": 10, "NVIDIA_T4_GPUS": 3, "INSTANCES": 100, "IN_USE_ADDRESSES": 8}}
	for _, row := range []struct {
		m        machine
		capacity providers.CapacityType
		more     map[string]float64
		limit    int
		some     bool
	}{
		{n2, providers.OnDemand, nil, 2, true},
		{n2, providers.Spot, nil, 2, true},
		{n2, providers.Spot, map[string]float64{"PREEMPTIBLE_CPUS": 100}, 25, true},
		{n2, providers.Spot, map[string]float64{"PREEMPTIBLE_CPUS": 0}, 2, true},
		{n2, providers.OnDemand, map[string]float64{"N2_CPUS": 3}, 0, false},
		{machine{family: "c3", cpus: 4}, providers.OnDemand, nil, 0, true},
		{n1, providers.OnDemand, nil, 1, true},
		{n1, providers.Spot, map[string]float64{"PREEMPTIBLE_NVIDIA_T4_GPUS": 0}, 0, false},
		{n1, providers.Spot, map[string]float64{"PREEMPTIBLE_NVIDIA_T4_GPUS": 16, "PREEMPTIBLE_CPUS": 100}, 8, true},
	} {
		r := place{quotas: maps.Clone(region.quotas)}
		maps.Copy(r.quotas, row.more)
		if limit, some := r.limit(row.m, row.capacity); limit != row.limit || some != row.some {
			t.Errorf("%+v %s with %v: %d, %v", row.m, row.capacity, row.more, limit, some)
		}
	}
	if got := region.fleetLimit(config{externalIP: true}); got != 8 {
		t.Errorf("with external addresses: %d", got)
	}
	if got := region.fleetLimit(config{}); got != 100 {
		t.Errorf("without: %d", got)
	}
}

func TestPartOf(t *testing.T) {
	for text, want := range map[string]part{
		"N2 Instance Core running in Americas":                               {"core", "n2"},
		"Spot Preemptible N2 Instance Ram running in Americas":               {"memory", "n2"},
		"N1 Predefined Instance Core running in Los Angeles":                 {"core", "n1"},
		"Spot Preemptible N2D AMD Instance Core running in Finland":          {"core", "n2d"},
		"T2A Arm Instance Ram running in Iowa":                               {"memory", "t2a"},
		"Compute optimized Core running in Americas":                         {"core", "c2"},
		"Spot Preemptible Compute optimized Ram running in Americas":         {"memory", "c2"},
		"M3 Memory-optimized Instance Core running in Americas":              {"core", "m3"},
		"Memory-optimized Instance Core running in Americas":                 {"core", "m1"},
		"Nvidia Tesla T4 GPU running in Americas":                            {"gpu", "t4"},
		"Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in EU": {"gpu", "t4"},
		"Nvidia Tesla A100 80GB GPU running in Americas":                     {"gpu", "a100-80gb"},
		"N2 Custom Instance Core running in Americas":                        {},
		"N2 Sole Tenancy Premium for N2 Core running in Americas":            {},
		"Commitment v1: N2 Cpu in Americas for 1 Year":                       {},
		"Custom Extended Instance Ram running in Americas":                   {},
		"Network Internet Egress from Americas to Americas":                  {},
		"Licensing Fee for Windows Server on VM with 1 VCPU (CPU cost)":      {},
		"DWS Defined Duration A3 Instance Core running in Americas":          {},
	} {
		got, ok := partOf(text)
		if ok != (want != part{}) || ok && got != want {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
}

func TestCatalogueOfARegion(t *testing.T) {
	sku := func(description, usage, unit string, units int64, nanos int64, regions ...string) *cloudbilling.Sku {
		return &cloudbilling.Sku{
			Description: description, ServiceRegions: regions, Category: &cloudbilling.Category{ResourceFamily: "Compute", UsageType: usage},
			PricingInfo: []*cloudbilling.PricingInfo{{PricingExpression: &cloudbilling.PricingExpression{UsageUnit: unit, TieredRates: []*cloudbilling.TierRate{
				{UnitPrice: &cloudbilling.Money{}}, {UnitPrice: &cloudbilling.Money{Units: units, Nanos: nanos}},
			}}}},
		}
	}
	list := newPriceList()
	for _, s := range []*cloudbilling.Sku{
		sku("N2 Instance Core running in Americas", "OnDemand", "h", 0, 31_611_000, "us-central1", "us-east1"),
		sku("Spot Preemptible N2 Instance Core running in Americas", "Preemptible", "h", 0, 7_650_000, "us-central1"),
		sku("N2 Instance Ram running in Americas", "OnDemand", "GiBy.h", 0, 4_237_000, "us-central1"),
		sku("N2 Instance Ram running in Europe", "OnDemand", "GiBy.h", 9, 0, "europe-west1"),
		sku("N2 Instance Ram running in Americas", "Commit1Yr", "GiBy.h", 8, 0, "us-central1"),
		sku("N2 Instance Core running in Americas", "OnDemand", "mo", 7, 0, "us-central1"),
		sku("Nvidia Tesla T4 GPU running in Americas", "OnDemand", "h", 1, 350_000_000, "us-central1"),
		{Description: "N2 Instance Core running in Americas"},
	} {
		list.add("us-central1", s)
	}
	if got := (rates{0.031611, 0.00765}); list.Core["n2"] != got || list.Memory["n2"] != (rates{OnDemand: 0.004237}) || list.GPU["t4"] != (rates{OnDemand: 1.35}) {
		t.Errorf("%+v", list)
	}
	m := machine{family: "n2", cpus: 4, memory: 16 << 30}
	if price, ok := list.price(m, providers.OnDemand); !ok || math.Abs(price-(4*0.031611+16*0.004237)) > 1e-9 {
		t.Errorf("%v, %v", price, ok)
	}
	if _, ok := list.price(m, providers.Spot); ok {
		t.Error("without a price for spot memory there is a spot price")
	}
}

// The table that is built in can be read whole, and spot costs less.
func TestBuiltInPrices(t *testing.T) {
	list := builtInPrices()
	if len(list.Core) < 15 || len(list.GPU) < 8 || !list.builtIn {
		t.Errorf("%d families, %d GPUs", len(list.Core), len(list.GPU))
	}
	for _, table := range []map[string]rates{list.Core, list.Memory, list.GPU} {
		for name, r := range table {
			if !(r.OnDemand > 0) || !(r.Spot > 0) || r.Spot >= r.OnDemand {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

func TestPriceFiles(t *testing.T) {
	p := New(Options{CacheDir: t.TempDir()})
	file := p.priceFile(cloudKey{region: "us-central1"})
	list := builtInPrices()
	writePrices(file, list)
	got, ok := readPrices(file)
	if !ok || !maps.Equal(got.Core, list.Core) || !maps.Equal(got.GPU, list.GPU) {
		t.Errorf("%v", ok)
	}
	for _, key := range []cloudKey{{region: "r", endpoint: "http://x"}, {region: "r", billing: "http://x"}} {
		if p.priceFile(key) != "" {
			t.Error("prices of another endpoint are mixed with Google's")
		}
	}
	if _, ok := readPrices(file + ".none"); ok {
		t.Error("prices out of no file")
	}
}
