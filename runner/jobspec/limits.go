package jobspec

import (
	"math"

	"github.com/spotrelay/spotrelay/runner/job"
)

const mostPriority = 1_000_000

// readJobLimits reads what bounds a run as a whole.
func (l *loader) readJobLimits(spec *job.Spec, s scope, block *content) {
	spec.MaxCost = l.dollars(l.setting(jobSchema, "max_cost", s, block))
	spec.MaxParallel, _ = l.setting(jobSchema, "max_parallel", s, block).whole(1, math.MaxInt32)
	spec.Timeout = job.Duration(l.positive(l.setting(jobSchema, "run_timeout", s, block)))
}

// readTaskLimits reads what bounds a task over all its attempts.
func (l *loader) readTaskLimits(task *job.Task, s scope, c *content) {
	task.MaxCost = l.dollars(l.setting(taskSchema, "max_cost", s, c))
	task.HoldOnFailure = job.Duration(l.positive(l.setting(taskSchema, "hold_on_failure", s, c)))
	task.MaxParallel, _ = l.setting(taskSchema, "max_parallel", s, c).whole(1, math.MaxInt32)
	task.Priority, _ = l.setting(taskSchema, "priority", s, c).whole(-mostPriority, mostPriority)
}

// dollars reads an amount above zero, 0 when there is none.
func (l *loader) dollars(st setting) float64 {
	amount, ok := st.number(0)
	if ok && st.given() && amount == 0 {
		st.invalid(st.where, "%q is an amount of dollars above 0; leave it out for no limit", st.schema.name)
	}
	return amount
}
