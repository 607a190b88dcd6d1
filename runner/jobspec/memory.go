package jobspec

import "github.com/spotrelay/spotrelay/runner/job"

var moreMemorySchema = &blockSchema{
	name: "on_out_of_memory", single: true,
	description: "What the task gets after an attempt that ran out of memory: the next one asks for more, on a larger instance where that needs one. Such an attempt is charged as a failure like any other. The task's `resources` say from how much `memory` on.",
	example: `resources {
  memory = "16GiB"
}

on_out_of_memory {
  memory_factor = 2
  max_memory    = "128GiB"
}`,
	attributes: []attributeSchema{
		{name: "memory_factor", kind: kindNumber, def: "2", description: "How many times as much memory the next attempt asks for: above 1, at most 64.", example: "1.5"},
		{name: "max_memory", kind: kindSize, required: true, description: "The most that is asked for. Attempts after that ask for no more.", example: `"128GiB"`},
	},
}

// readMoreMemory reads a task's on_out_of_memory block; nil: it has none.
func (l *loader) readMoreMemory(s scope, task *content, resources job.Resources) *job.MoreMemory {
	block := task.first(moreMemorySchema)
	if block == nil {
		return nil
	}
	defer l.within(l.block + ", on_out_of_memory")()
	more := &job.MoreMemory{Factor: 2}
	factor := l.setting(moreMemorySchema, "memory_factor", s, block)
	if value, ok := factor.number(0); ok {
		more.Factor = value
		if !(value > 1 && value <= 64) {
			factor.invalid(factor.where, "%g is not above 1 and at most 64", value)
		}
	}
	most := l.setting(moreMemorySchema, "max_memory", s, block)
	size, ok := most.size()
	more.Max = size
	switch {
	case resources.Memory == 0:
		l.report(report{at: block.header, summary: "No memory to raise",
			detail: "The task's resources have no memory, so there is nothing to multiply. Add resources { memory = \"16GiB\" }, or what the first attempt shall have."})
	case ok && size <= resources.Memory:
		most.invalid(most.where, "it is not above the memory in resources, so nothing would be raised")
	}
	return more
}
