package ec2test

import (
	"slices"
	"strings"
)

// InstanceType is something that is rented out.
type InstanceType struct {
	Name      string
	VCPUs     int
	MemoryMiB int
	Arch      string // x86_64, arm64
	GPUs      int
	GPU       string // as EC2 names it: A10G, A100
	GPUMiB    int    // each
	GPUMaker  string // default NVIDIA
	DiskGB    int    // instance store
	Network   string
	Burstable bool
	BareMetal bool
	OnDemand  float64  // dollars an hour
	Spot      float64  // in the first zone; a bit more in each that follows; 0: none
	Zones     []string // last letters of the zones that have it; nil: all
}

// DefaultTypes are real types with their prices of us-east-1 in 2025.
func DefaultTypes() []InstanceType {
	return []InstanceType{
		{Name: "t3.small", VCPUs: 2, MemoryMiB: 2048, Arch: "x86_64", Network: "Up to 5 Gigabit", Burstable: true, OnDemand: 0.0208, Spot: 0.0071},
		{Name: "m5.large", VCPUs: 2, MemoryMiB: 8192, Arch: "x86_64", Network: "Up to 10 Gigabit", OnDemand: 0.096, Spot: 0.0362},
		{Name: "m5.xlarge", VCPUs: 4, MemoryMiB: 16384, Arch: "x86_64", Network: "Up to 10 Gigabit", OnDemand: 0.192, Spot: 0.0705},
		{Name: "m6i.large", VCPUs: 2, MemoryMiB: 8192, Arch: "x86_64", Network: "Up to 12.5 Gigabit", OnDemand: 0.096, Spot: 0.0341},
		{Name: "c5.large", VCPUs: 2, MemoryMiB: 4096, Arch: "x86_64", Network: "Up to 10 Gigabit", OnDemand: 0.085, Spot: 0.0339},
		{Name: "c6i.2xlarge", VCPUs: 8, MemoryMiB: 16384, Arch: "x86_64", Network: "Up to 12.5 Gigabit", OnDemand: 0.34, Spot: 0.1377},
		{Name: "c7g.large", VCPUs: 2, MemoryMiB: 4096, Arch: "arm64", Network: "Up to 12.5 Gigabit", OnDemand: 0.0725, Spot: 0.0297},
		{Name: "c7g.xlarge", VCPUs: 4, MemoryMiB: 8192, Arch: "arm64", Network: "Up to 12.5 Gigabit", OnDemand: 0.145, Spot: 0.0588},
		{Name: "i3.large", VCPUs: 2, MemoryMiB: 15616, Arch: "x86_64", Network: "Up to 10 Gigabit", DiskGB: 475, OnDemand: 0.156, Spot: 0.0563},
		{Name: "r5.2xlarge", VCPUs: 8, MemoryMiB: 65536, Arch: "x86_64", Network: "Up to 10 Gigabit", OnDemand: 0.504, Spot: 0.1853, Zones: []string{"a", "b"}},
		{Name: "g5.xlarge", VCPUs: 4, MemoryMiB: 16384, Arch: "x86_64", GPUs: 1, GPU: "A10G", GPUMiB: 24576, Network: "Up to 10 Gigabit", DiskGB: 250, OnDemand: 1.006, Spot: 0.4326},
		{Name: "g4dn.xlarge", VCPUs: 4, MemoryMiB: 16384, Arch: "x86_64", GPUs: 1, GPU: "T4", GPUMiB: 16384, Network: "Up to 25 Gigabit", DiskGB: 125, OnDemand: 0.526, Spot: 0.2087},
		{Name: "p4d.24xlarge", VCPUs: 96, MemoryMiB: 1179648, Arch: "x86_64", GPUs: 8, GPU: "A100", GPUMiB: 40960, Network: "4x 100 Gigabit", DiskGB: 8000, OnDemand: 21.9576, Spot: 9.8321, Zones: []string{"b"}},
		{Name: "m5.metal", VCPUs: 96, MemoryMiB: 393216, Arch: "x86_64", Network: "25 Gigabit", BareMetal: true, OnDemand: 4.608, Spot: 1.9127},
		{Name: "t2.nano", VCPUs: 1, MemoryMiB: 512, Arch: "x86_64", Network: "Low to Moderate", Burstable: true, OnDemand: 0.0058},
	}
}

// quota codes of Service Quotas for EC2, by family and lifecycle.
type quotaKey struct{ family, lifecycle string }

var quotaCodes = map[quotaKey]string{
	{"standard", "on-demand"}: "L-1216C47A",
	{"standard", "spot"}:      "L-34B43A08",
	{"g", "on-demand"}:        "L-DB2E81BA",
	{"g", "spot"}:             "L-3819A6DF",
	{"p", "on-demand"}:        "L-417A185B",
	{"p", "spot"}:             "L-7212CCBC",
}

var quotaNames = map[string]string{
	"L-1216C47A": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
	"L-34B43A08": "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
	"L-DB2E81BA": "Running On-Demand G and VT instances",
	"L-3819A6DF": "All G and VT Spot Instance Requests",
	"L-417A185B": "Running On-Demand P instances",
	"L-7212CCBC": "All P4, P3 and P2 Spot Instance Requests",
}

func (t InstanceType) family() string {
	switch t.Name[0] {
	case 'g', 'p':
		return t.Name[:1]
	}
	return "standard"
}

// in reports whether a zone has the type.
func (t InstanceType) in(zone string) bool {
	return t.Zones == nil || slices.ContainsFunc(t.Zones, func(letter string) bool { return strings.HasSuffix(zone, letter) })
}

func (s *Server) typeNamed(name string) (InstanceType, bool) {
	i := slices.IndexFunc(s.options.Types, func(t InstanceType) bool { return t.Name == name })
	if i < 0 {
		return InstanceType{}, false
	}
	return s.options.Types[i], true
}

// spotPrice of a pool now: each zone is 3 % dearer than the one before.
func (s *Server) spotPrice(t InstanceType, zone string) float64 {
	if price, ok := s.prices[Pool{Zone: zone, InstanceType: t.Name}]; ok {
		return price
	}
	return t.Spot * (1 + 0.03*float64(max(0, slices.Index(s.zones(), zone))))
}

func (s *Server) zones() []string {
	zones := make([]string, len(s.options.Zones))
	for i, letter := range s.options.Zones {
		zones[i] = s.options.Region + letter
	}
	return zones
}
