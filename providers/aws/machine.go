package aws

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// catalogueLife is how long the instance types of a region are used.
const catalogueLife = time.Hour

// machine is an instance type.
type machine struct {
	name     string
	arch     string // as Go names it; "" for one that no agent runs on
	cpus     int
	memory   int64 // bytes
	gpus     int
	gpuType  string // "a100"
	gpuGiB   int    // memory of one GPU
	spot     bool   // may be bought so
	onDemand bool

	special bool // burstable, bare metal or of an older generation
	accel   bool // has accelerators of whatever kind
}

// catalogue is the region's instance types that the fleet's globs allow.
func (s *session) catalogue(ctx context.Context, op string, c config) ([]machine, error) {
	return s.machines.get(ctx, strings.Join(c.InstanceTypes, ","), catalogueLife, func(ctx context.Context) ([]machine, error) {
		in := &ec2.DescribeInstanceTypesInput{MaxResults: aws.Int32(100), Filters: globFilter(c)}
		var machines []machine
		for {
			out, err := ask(ctx, s, call{op, "ec2:DescribeInstanceTypes"}, s.ec2.DescribeInstanceTypes, in)
			if err != nil {
				return nil, err
			}
			for i := range out.InstanceTypes {
				machines = append(machines, machineOf(&out.InstanceTypes[i]))
			}
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				return machines, nil
			}
		}
	})
}

// globFilter asks for the fleet's instance types alone.
func globFilter(c config) []types.Filter {
	if len(c.InstanceTypes) == 0 {
		return nil
	}
	return []types.Filter{{Name: aws.String("instance-type"), Values: c.InstanceTypes}}
}

func machineOf(info *types.InstanceTypeInfo) machine {
	m := machine{
		name:     string(info.InstanceType),
		spot:     slices.Contains(info.SupportedUsageClasses, types.UsageClassTypeSpot),
		onDemand: slices.Contains(info.SupportedUsageClasses, types.UsageClassTypeOnDemand),
		special: aws.ToBool(info.BurstablePerformanceSupported) || aws.ToBool(info.BareMetal) ||
			!aws.ToBool(info.CurrentGeneration),
		accel: info.GpuInfo != nil || info.InferenceAcceleratorInfo != nil || info.NeuronInfo != nil ||
			info.FpgaInfo != nil || info.MediaAcceleratorInfo != nil,
	}
	if info.VCpuInfo != nil {
		m.cpus = int(aws.ToInt32(info.VCpuInfo.DefaultVCpus))
	}
	if info.MemoryInfo != nil {
		m.memory = aws.ToInt64(info.MemoryInfo.SizeInMiB) << 20
	}
	if info.ProcessorInfo != nil {
		for _, arch := range info.ProcessorInfo.SupportedArchitectures {
			if known := archOf(string(arch)); known != "" {
				m.arch = known
			}
		}
	}
	if info.GpuInfo != nil && len(info.GpuInfo.Gpus) > 0 {
		gpu := info.GpuInfo.Gpus[0]
		m.gpus = int(aws.ToInt32(gpu.Count))
		m.gpuType = gpuName(aws.ToString(gpu.Name))
		if gpu.MemoryInfo != nil {
			m.gpuGiB = int(aws.ToInt32(gpu.MemoryInfo.SizeInMiB)+1023) / 1024
		}
	}
	return m
}

// archOf is AWS's architecture in Go's words, "" for what no agent runs on.
func archOf(name string) string {
	switch name {
	case "x86_64":
		return "amd64"
	case "arm64":
		return "arm64"
	}
	return ""
}

// gpuName is a GPU's model in one form, whoever names it: "A100", "Tesla V100"
// and "nvidia-tesla-v100" are a100 and v100.
func gpuName(name string) string {
	name = strings.ToLower(strings.NewReplacer(" ", "-", "_", "-").Replace(strings.TrimSpace(name)))
	name = strings.TrimPrefix(name, "nvidia-")
	return strings.TrimPrefix(name, "tesla-")
}

// hasGPU reports whether the machine's GPUs are of the kind wanted: by model, or
// by model and memory ("a100-80gb").
func (m machine) hasGPU(want string) bool {
	if want == "" {
		return true
	}
	if m.gpus == 0 {
		return false
	}
	want = gpuName(want)
	return want == m.gpuType || want == fmt.Sprintf("%s-%dgb", m.gpuType, m.gpuGiB)
}

// allowed reports whether the fleet's globs allow the type; without globs what
// is special is not, nor accelerators that nobody asked for.
func (m machine) allowed(c config, need providers.Need) bool {
	if matches(c.ExcludeTypes, m.name) {
		return false
	}
	if len(c.InstanceTypes) > 0 {
		return matches(c.InstanceTypes, m.name)
	}
	return !m.special && (!m.accel || need.GPUs > 0 && m.gpus > 0)
}

func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := path.Match(glob, name)
		return err == nil && ok
	})
}

// serves reports whether the machine has what is needed. The disk is a volume,
// which fits any machine.
func (m machine) serves(need providers.Need) bool {
	return m.arch != "" && float64(m.cpus) >= need.CPUs && m.memory >= need.Memory && m.gpus >= need.GPUs &&
		m.hasGPU(need.GPUType) && (need.Arch == "" || need.Arch == m.arch)
}

// offer of the machine, as far as it is the same everywhere. The GPU is named
// as the need names it.
func (m machine) offer(need providers.Need) providers.Offer {
	o := providers.Offer{
		InstanceType: m.name, CPUs: float64(m.cpus), Memory: m.memory, GPUs: m.gpus, GPUType: m.gpuType,
		Arch: m.arch, OS: "linux",
	}
	if need.GPUType != "" {
		o.GPUType = need.GPUType
	}
	return o
}

// zonesOf are the zones that have each instance type, among those given.
func (s *session) zonesOf(ctx context.Context, op string, c config, zones []string) (map[string][]string, error) {
	key := strings.Join(c.InstanceTypes, ",") + " " + strings.Join(zones, ",")
	return s.places.get(ctx, key, catalogueLife, func(ctx context.Context) (map[string][]string, error) {
		in := &ec2.DescribeInstanceTypeOfferingsInput{
			LocationType: types.LocationTypeAvailabilityZone, MaxResults: aws.Int32(1000),
			Filters: append(globFilter(c), types.Filter{Name: aws.String("location"), Values: zones}),
		}
		found := map[string][]string{}
		for {
			out, err := ask(ctx, s, call{op, "ec2:DescribeInstanceTypeOfferings"}, s.ec2.DescribeInstanceTypeOfferings, in)
			if err != nil {
				return nil, err
			}
			for _, o := range out.InstanceTypeOfferings {
				name := string(o.InstanceType)
				found[name] = append(found[name], aws.ToString(o.Location))
			}
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				return found, nil
			}
		}
	})
}
