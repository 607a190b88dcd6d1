package computetest

import (
	"fmt"
	"maps"
	"slices"
)

// world is what a project finds there: places, types, networks and images.
type world struct {
	regionList  []*region
	unreachable map[string]bool // zones
	quotas      map[string]map[string]float64
}

type region struct {
	name  string
	zones []*zone
}

type zone struct {
	name, region string
	types        []machineType
	accelerators []accelerator
}

type machineType struct {
	name        string
	cpus        int
	memoryMB    int
	arch        string
	accelerator string // built in
	gpus        int
	ssds        int
	shared      bool
}

type accelerator struct {
	name string
	max  int
}

// Machine types of the world, after the families' pages of the reference. Not
// every zone has all of them.
var (
	commonTypes = []machineType{
		{name: "e2-micro", cpus: 2, memoryMB: 1024, arch: "X86_64", shared: true},
		{name: "e2-standard-2", cpus: 2, memoryMB: 8192, arch: "X86_64"},
		{name: "e2-standard-4", cpus: 4, memoryMB: 16384, arch: "X86_64"},
		{name: "n1-standard-4", cpus: 4, memoryMB: 15360, arch: "X86_64"},
		{name: "n2-standard-2", cpus: 2, memoryMB: 8192, arch: "X86_64"},
		{name: "n2-standard-4", cpus: 4, memoryMB: 16384, arch: "X86_64"},
		{name: "n2-highmem-8", cpus: 8, memoryMB: 65536, arch: "X86_64"},
		{name: "c3-standard-8-lssd", cpus: 8, memoryMB: 32768, arch: "X86_64", ssds: 2},
	}
	armTypes = []machineType{
		{name: "t2a-standard-2", cpus: 2, memoryMB: 8192, arch: "ARM64"},
		{name: "c4a-standard-4", cpus: 4, memoryMB: 16384, arch: "ARM64"},
	}
	gpuTypes = []machineType{
		{name: "a2-highgpu-1g", cpus: 12, memoryMB: 87040, arch: "X86_64", accelerator: "nvidia-tesla-a100", gpus: 1},
		{name: "g2-standard-4", cpus: 4, memoryMB: 16384, arch: "X86_64", accelerator: "nvidia-l4", gpus: 1},
	}
	commonAccelerators = []accelerator{{"nvidia-tesla-t4", 4}}
	gpuAccelerators    = []accelerator{{"nvidia-l4", 8}, {"nvidia-tesla-a100", 16}, {"nvidia-tesla-t4", 4}}
)

func newWorld() *world {
	w := &world{unreachable: map[string]bool{}, quotas: map[string]map[string]float64{}}
	for _, r := range []struct{ name, zones string }{{"us-central1", "abcf"}, {"europe-west4", "abc"}} {
		place := &region{name: r.name}
		for _, letter := range r.zones {
			z := &zone{name: fmt.Sprintf("%s-%c", r.name, letter), region: r.name}
			z.types, z.accelerators = slices.Clone(commonTypes), slices.Clone(commonAccelerators)
			switch letter {
			case 'a':
				z.types = slices.Concat(z.types, armTypes, gpuTypes)
				z.accelerators = slices.Clone(gpuAccelerators)
			case 'b':
				z.types = slices.Concat(z.types, armTypes)
			}
			place.zones = append(place.zones, z)
		}
		w.regionList = append(w.regionList, place)
		w.quotas[r.name] = map[string]float64{"CPUS": 10000, "PREEMPTIBLE_CPUS": 10000, "NVIDIA_T4_GPUS": 100, "PREEMPTIBLE_NVIDIA_T4_GPUS": 100}
	}
	w.quotas[""] = map[string]float64{"CPUS_ALL_REGIONS": 20000, "GPUS_ALL_REGIONS": 64}
	return w
}

func (w *world) region(name string) *region {
	for _, r := range w.regionList {
		if r.name == name {
			return r
		}
	}
	return nil
}

func (w *world) zone(name string) *zone {
	for _, r := range w.regionList {
		for _, z := range r.zones {
			if z.name == name {
				return z
			}
		}
	}
	return nil
}

func (w *world) zoneNames() []string {
	var names []string
	for _, r := range w.regionList {
		for _, z := range r.zones {
			names = append(names, z.name)
		}
	}
	return names
}

func (z *zone) machineType(name string) *machineType {
	for i := range z.types {
		if z.types[i].name == name {
			return &z.types[i]
		}
	}
	return nil
}

// SetUnreachable makes a zone's resources missing in lists, or not any more.
func (s *Server) SetUnreachable(zone string, missing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if missing {
		s.world.unreachable[zone] = true
	} else {
		delete(s.world.unreachable, zone)
	}
}

// SetQuota changes a limit of a region, or, with "", of the project; metric as
// in PREEMPTIBLE_CPUS.
func (s *Server) SetQuota(region, metric string, limit float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.quotas[region][metric] = limit
}

// Zones are the names of all zones.
func (s *Server) Zones() []string { return s.world.zoneNames() }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
