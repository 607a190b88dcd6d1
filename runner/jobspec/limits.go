package jobspec

import "github.com/spotrelay/spotrelay/runner/job"

// readJobLimits reads what bounds a run as a whole.
func (l *loader) readJobLimits(spec *job.Spec, s scope, block *content) {
	spec.MaxCost = l.dollars(l.setting(jobSchema, "max_cost", s, block))
	spec.Timeout = job.Duration(l.positive(l.setting(jobSchema, "run_timeout", s, block)))
}

// readTaskLimits reads what bounds a task over all its attempts.
func (l *loader) readTaskLimits(task *job.Task, s scope, c *content) {
	task.MaxCost = l.dollars(l.setting(taskSchema, "max_cost", s, c))
}

// dollars reads an amount above zero, 0 when there is none.
func (l *loader) dollars(st setting) float64 {
	amount, ok := st.number(0)
	if ok && st.given() && amount == 0 {
		st.invalid(st.where, "%q is an amount of dollars above 0; leave it out for no limit", st.schema.name)
	}
	return amount
}
