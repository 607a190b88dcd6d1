package ec2test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

func (s *Server) describeTypes(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "instance-type", "current-generation", "bare-metal", "supported-usage-class",
		"processor-info.supported-architecture", "burstable-performance-supported", "supported-virtualization-type", "hypervisor")
	if refused != nil {
		return nil, refused
	}
	wanted := input.Strings("InstanceTypes")
	if len(wanted) > 100 || len(wanted) > 0 && input.Has("MaxResults") {
		return nil, violate("InvalidParameterCombination", "at most 100 instance types, and none together with MaxResults")
	}
	for _, name := range wanted {
		if _, known := s.typeNamed(name); !known {
			return nil, refuse("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", name)
		}
	}
	matching := []InstanceType{}
	for _, t := range s.options.Types {
		have := attributes{
			"instance-type": {t.Name}, "current-generation": {strconv.FormatBool(!strings.HasPrefix(t.Name, "t2."))},
			"bare-metal": {strconv.FormatBool(t.BareMetal)}, "supported-usage-class": t.usages(),
			"processor-info.supported-architecture": {t.Arch}, "burstable-performance-supported": {strconv.FormatBool(t.Burstable)},
			"supported-virtualization-type": {"hvm"}, "hypervisor": {"nitro"},
		}
		if (len(wanted) == 0 || slices.Contains(wanted, t.Name)) && all.match(have) {
			matching = append(matching, t)
		}
	}
	part, next, refused := page(matching, input, 5, 100)
	if refused != nil {
		return nil, refused
	}
	list := []any{}
	for _, t := range part {
		list = append(list, t.describe())
	}
	return model.Values{"InstanceTypes": list, "NextToken": next}, nil
}

func (t InstanceType) usages() []string {
	if t.Spot == 0 {
		return []string{"on-demand"}
	}
	return []string{"on-demand", "spot"}
}

func (t InstanceType) describe() model.Values {
	v := model.Values{
		"InstanceType": t.Name, "CurrentGeneration": !strings.HasPrefix(t.Name, "t2."), "FreeTierEligible": false, "BareMetal": t.BareMetal,
		"SupportedUsageClasses": model.List(t.usages()), "SupportedRootDeviceTypes": []any{"ebs"}, "SupportedVirtualizationTypes": []any{"hvm"},
		"ProcessorInfo": model.Values{"SupportedArchitectures": []any{t.Arch}, "SustainedClockSpeedInGhz": 3.1},
		"VCpuInfo":      model.Values{"DefaultVCpus": int64(t.VCPUs), "DefaultCores": int64(max(1, t.VCPUs/2)), "DefaultThreadsPerCore": int64(min(2, t.VCPUs))},
		"MemoryInfo":    model.Values{"SizeInMiB": int64(t.MemoryMiB)}, "BurstablePerformanceSupported": t.Burstable,
		"NetworkInfo": model.Values{"NetworkPerformance": t.Network, "EnaSupport": "required"}, "InstanceStorageSupported": t.DiskGB > 0,
		"HibernationSupported": false, "DedicatedHostsSupported": true, "AutoRecoverySupported": true,
	}
	if !t.BareMetal {
		v["Hypervisor"] = "nitro"
	}
	if t.DiskGB > 0 {
		v["InstanceStorageInfo"] = model.Values{
			"TotalSizeInGB": int64(t.DiskGB), "NvmeSupport": "required",
			"Disks": []any{model.Values{"SizeInGB": int64(t.DiskGB), "Count": int64(1), "Type": "ssd"}},
		}
	}
	if t.GPUs > 0 {
		maker := t.GPUMaker
		if maker == "" {
			maker = "NVIDIA"
		}
		v["GpuInfo"] = model.Values{
			"TotalGpuMemoryInMiB": int64(t.GPUs * t.GPUMiB),
			"Gpus": []any{model.Values{
				"Name": t.GPU, "Manufacturer": maker, "Count": int64(t.GPUs),
				"MemoryInfo": model.Values{"SizeInMiB": int64(t.GPUMiB)},
			}},
		}
	}
	return v
}

func (s *Server) describeOfferings(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "location", "instance-type")
	if refused != nil {
		return nil, refused
	}
	if kind := input.String("LocationType"); kind != "availability-zone" {
		return nil, violate("InvalidParameterValue", "the server lists offerings by availability-zone, not by '%s'", kind)
	}
	matching := []any{}
	for _, t := range s.options.Types {
		for _, zone := range s.zones() {
			if t.in(zone) && all.match(attributes{"location": {zone}, "instance-type": {t.Name}}) {
				matching = append(matching, model.Values{"InstanceType": t.Name, "LocationType": "availability-zone", "Location": zone})
			}
		}
	}
	part, next, refused := page(matching, input, 5, 1000)
	if refused != nil {
		return nil, refused
	}
	return model.Values{"InstanceTypeOfferings": part, "NextToken": next}, nil
}

// products of the spot price history; Windows costs more.
var products = map[string]float64{"Linux/UNIX": 1, "Windows": 1.9}

// ages of the records of the spot price history, with what the price was then.
var ages = []struct {
	ago   time.Duration
	times float64
}{{30 * time.Minute, 1}, {5 * time.Hour, 1.11}, {26 * time.Hour, 0.93}}

func (s *Server) describeSpotPrices(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "availability-zone", "instance-type", "product-description", "spot-price", "timestamp")
	if refused != nil {
		return nil, refused
	}
	now := s.clock.now()
	from, to := now.Add(-90*24*time.Hour), now
	if input.Has("StartTime") {
		from = input.Time("StartTime")
	}
	if input.Has("EndTime") {
		to = input.Time("EndTime")
	}
	if to.Before(from.Add(-time.Minute)) {
		return nil, violate("InvalidParameterValue", "EndTime is before StartTime")
	}
	matching := []any{}
	for _, t := range s.options.Types {
		for _, zone := range s.zones() {
			if t.Spot == 0 || !t.in(zone) {
				continue
			}
			for _, product := range []string{"Linux/UNIX", "Windows"} {
				have := attributes{"availability-zone": {zone}, "instance-type": {t.Name}, "product-description": {product}}
				if all.match(have) && asked(input, zone, t.Name, product) {
					matching = append(matching, s.priceRecords(t, zone, product, from, to)...)
				}
			}
		}
	}
	part, next, refused := page(matching, input, 1, 1000)
	if refused != nil {
		return nil, refused
	}
	return model.Values{"SpotPriceHistory": part, "NextToken": next}, nil
}

func asked(input model.Values, zone, name, product string) bool {
	among := func(values []string, value string) bool { return len(values) == 0 || slices.Contains(values, value) }
	return among(input.Strings("InstanceTypes"), name) && among(input.Strings("ProductDescriptions"), product) &&
		(!input.Has("AvailabilityZone") || input.String("AvailabilityZone") == zone)
}

// priceRecords between two times, and the one that was in force at the first.
func (s *Server) priceRecords(t InstanceType, zone, product string, from, to time.Time) []any {
	var records []any
	for _, age := range ages {
		at := s.clock.now().Add(-age.ago)
		if at.After(to) {
			continue
		}
		records = append(records, model.Values{
			"AvailabilityZone": zone, "InstanceType": t.Name, "ProductDescription": product, "Timestamp": at,
			"SpotPrice": fmt.Sprintf("%.6f", s.spotPrice(t, zone)*products[product]*age.times),
		})
		if !at.After(from) {
			break
		}
	}
	return records
}
