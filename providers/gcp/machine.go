package gcp

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"

	"github.com/spotrelay/spotrelay/providers"
)

// machineLife is how long a zone's machine types are taken as read.
const machineLife = time.Hour

const pageSize = 500 // Compute's most for one page

// machine is a machine type, with the accelerators that are attached to it.
// Its name is Compute's, and with attached ones "n1-standard-8+2x-nvidia-tesla-t4".
type machine struct {
	name    string
	base    string // Compute's machine type
	family  string // "n2"
	cpus    float64
	memory  int64 // bytes
	arch    string
	gpus    int
	gpuType string // Compute's accelerator type
	// attached: the accelerators are asked for beside the machine type.
	attached bool
}

// sharedCores are the CPUs that a machine type with a part of one has in the
// long run, and is billed for.
var sharedCores = map[string]float64{"e2-micro": 0.25, "e2-small": 0.5, "e2-medium": 1}

// readMachines asks for a zone's machine types and accelerators.
func (c *cloud) readMachines(ctx context.Context, op, zone string) ([]machine, error) {
	return c.machines.get(ctx, zone, machineLife, func(ctx context.Context) ([]machine, error) {
		var machines []machine
		err := c.pages(ctx, op, "machineTypes.list", apiList, func(ctx context.Context, token *string) (string, error) {
			it := c.machineTypes.List(ctx, &computepb.ListMachineTypesRequest{
				Project: c.key.project, Zone: zone, MaxResults: ptr(uint32(pageSize)), PageToken: token,
			}, noRetry)
			if err := first(it.Next()); err != nil {
				return "", err
			}
			page, _ := it.Response.(*computepb.MachineTypeList)
			for _, t := range page.GetItems() {
				if m, ok := machineOf(t); ok {
					machines = append(machines, m)
				}
			}
			return page.GetNextPageToken(), nil
		})
		if err != nil {
			return nil, notFoundAs(err, providers.CodeConfiguration, "look at the fleet's project and zones")
		}
		accelerators, err := c.readAccelerators(ctx, op, zone)
		if err != nil {
			return nil, err
		}
		return append(machines, withAccelerators(machines, accelerators)...), nil
	})
}

// readAccelerators gives the accelerator types of a zone, each with how many of
// it one machine can have.
func (c *cloud) readAccelerators(ctx context.Context, op, zone string) (map[string]int, error) {
	found := map[string]int{}
	err := c.pages(ctx, op, "acceleratorTypes.list", apiList, func(ctx context.Context, token *string) (string, error) {
		it := c.acceleratorTypes.List(ctx, &computepb.ListAcceleratorTypesRequest{
			Project: c.key.project, Zone: zone, MaxResults: ptr(uint32(pageSize)), PageToken: token,
		}, noRetry)
		if err := first(it.Next()); err != nil {
			return "", err
		}
		page, _ := it.Response.(*computepb.AcceleratorTypeList)
		for _, t := range page.GetItems() {
			if t.GetDeprecated().GetState() == "" || t.GetDeprecated().GetState() == "ACTIVE" {
				found[t.GetName()] = int(t.GetMaximumCardsPerInstance())
			}
		}
		return page.GetNextPageToken(), nil
	})
	return found, err
}

// machineOf reads a machine type; false for one that cannot be rented as a spot
// or on-demand instance of ours.
func machineOf(t *computepb.MachineType) (machine, bool) {
	if state := t.GetDeprecated().GetState(); state != "" && state != "ACTIVE" {
		return machine{}, false
	}
	family, _, ok := strings.Cut(t.GetName(), "-")
	// f1-micro and g1-small are billed as a whole and too small for a task.
	if !ok || family == "f1" || family == "g1" {
		return machine{}, false
	}
	m := machine{
		name: t.GetName(), base: t.GetName(), family: family,
		cpus: float64(t.GetGuestCpus()), memory: int64(t.GetMemoryMb()) << 20, arch: archAMD64,
	}
	if cores, shared := sharedCores[m.name]; shared {
		m.cpus = cores
	} else if t.GetIsSharedCpu() {
		return machine{}, false
	}
	if t.GetArchitecture() == "ARM64" || arm64Families[family] {
		m.arch = archARM64
	}
	for _, a := range t.GetAccelerators() {
		m.gpus += int(a.GetGuestAcceleratorCount())
		m.gpuType = a.GetGuestAcceleratorType()
	}
	return m, m.cpus > 0 && m.memory > 0
}

// arm64Families have Arm CPUs, where the API says nothing of the architecture.
var arm64Families = map[string]bool{"t2a": true, "c4a": true, "n4a": true, "a4x": true}

// attachable is what N1 machines take, and with how many of it up to how many
// CPUs: https://cloud.google.com/compute/docs/gpus#general_comparison_chart.
var attachable = map[string]map[int]float64{
	"nvidia-tesla-t4":   {1: 48, 2: 48, 4: 96},
	"nvidia-tesla-p4":   {1: 24, 2: 48, 4: 96},
	"nvidia-tesla-v100": {1: 12, 2: 24, 4: 48, 8: 96},
	"nvidia-tesla-p100": {1: 16, 2: 32, 4: 64},
}

// withAccelerators gives the N1 machines with each accelerator of the zone.
func withAccelerators(machines []machine, accelerators map[string]int) []machine {
	var more []machine
	for _, m := range machines {
		if m.family != "n1" || m.gpus > 0 {
			continue
		}
		for kind, most := range accelerators {
			for count, cpus := range attachable[kind] {
				if count > most || m.cpus > cpus {
					continue
				}
				with := m
				with.gpus, with.gpuType, with.attached = count, kind, true
				with.name = fmt.Sprintf("%s+%dx-%s", m.base, count, kind)
				more = append(more, with)
			}
		}
	}
	return more
}

var attachedForm = regexp.MustCompile(`^([a-z0-9-]+)\+(\d+)x-([a-z0-9-]+)$`)

// splitType takes an instance type apart into Compute's machine type and what
// is attached to it.
func splitType(instanceType string) (base string, gpus int, gpuType string) {
	m := attachedForm.FindStringSubmatch(instanceType)
	if m == nil {
		return instanceType, 0, ""
	}
	gpus, _ = strconv.Atoi(m[2])
	return m[1], gpus, m[3]
}

// joinType is the instance type of an instance.
func joinType(base string, accelerators []*computepb.AcceleratorConfig) string {
	if !strings.HasPrefix(base, "n1-") || len(accelerators) == 0 {
		return base // the others have theirs built in
	}
	a := accelerators[0]
	kind := a.GetAcceleratorType()
	return fmt.Sprintf("%s+%dx-%s", base, a.GetAcceleratorCount(), kind[strings.LastIndex(kind, "/")+1:])
}

// shortGPU is the name that people use: nvidia-tesla-t4 is t4,
// nvidia-h100-80gb is h100, nvidia-a100-80gb is a100-80gb, since there is one
// with 40.
func shortGPU(kind string) string {
	var words []string
	for word := range strings.FieldsFuncSeq(strings.ToLower(kind), func(r rune) bool { return r == '-' || r == ' ' }) {
		memory := strings.HasSuffix(word, "gb") && word != "gb" && word[0] >= '0' && word[0] <= '9'
		if word == "nvidia" || word == "tesla" || memory && word != "80gb" {
			continue
		}
		words = append(words, word)
	}
	short := strings.Join(words, "-")
	if !strings.HasPrefix(short, "a100") {
		short = strings.Replace(short, "-80gb", "", 1)
	}
	return short
}

// gpuServes reports whether a GPU is what a need asks for: a name of Compute's,
// the short one, or the short one without its memory (a100 for a100-80gb).
func gpuServes(wanted, kind string) bool {
	wanted = strings.ToLower(wanted)
	short := shortGPU(kind)
	return wanted == kind || wanted == short || short == wanted+"-80gb"
}
