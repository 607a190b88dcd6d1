package jobspec

import (
	"math"
	"strings"

	"github.com/spotrelay/spotrelay/runner/job"
)

// readResources reads a task's resources over the job's, and the memory limit
// that follows from them.
func (l *loader) readResources(s scope, task, block *content) (job.Resources, int64) {
	own, base := task.first(resourcesSchema), block.first(resourcesSchema)
	if own != nil {
		defer l.within(l.block + ", resources")()
	}
	get := func(name string) setting { return l.setting(resourcesSchema, name, s, own, base) }
	var resources job.Resources
	resources.CPUs, _ = get("cpus").number(0)
	resources.Memory, _ = get("memory").size()
	resources.Disk = l.readDisk(s, task, block)
	resources.GPUs, _ = get("gpus").whole(0, math.MaxInt16)
	if gpu, ok := get("gpu_type").text(); ok {
		resources.GPUType = strings.ToLower(gpu)
	}
	if resources.GPUType != "" && resources.GPUs == 0 {
		st := get("gpu_type")
		st.invalid(st.where, "a gpu_type is given, but no GPU is asked for: add gpus = 1")
	}
	resources.Arch, _ = get("arch").text()
	return resources, l.memoryLimit(get("enforce_memory"), resources.Memory)
}

func (l *loader) memoryLimit(st setting, memory int64) int64 {
	enforce, given := st.boolean()
	if given && enforce && memory == 0 {
		st.invalid(st.where, "there is no memory to enforce: set memory")
	}
	if given && !enforce {
		return 0
	}
	return memory
}

// readDisk reads the disk from where it is set: the task's resources, the task
// itself, the job's resources, the job itself.
func (l *loader) readDisk(s scope, task, block *content) int64 {
	for _, layer := range []*content{task, block} {
		inside := l.setting(resourcesSchema, "disk", s, layer.first(resourcesSchema))
		direct := l.setting(layer.schema, "disk", s, layer)
		if inside.given() && direct.given() {
			l.report(report{at: direct.where, summary: "Disk is set twice", detail: "disk here and disk in resources are the same. Keep one."})
		}
		if inside.given() {
			size, _ := inside.size()
			return size
		}
		if direct.given() {
			size, _ := direct.size()
			return size
		}
	}
	return 0
}
