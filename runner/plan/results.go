package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// usesResults reports whether an execution of a task refers to results.
func usesResults(task *job.Task) bool {
	if executionUses(&task.Execution) {
		return true
	}
	for i := range task.Elements {
		e := &task.Elements[i]
		if slices.ContainsFunc(e.Command, job.HasResults) || envUses(e.Env) {
			return true
		}
	}
	return false
}

func executionUses(e *job.Execution) bool {
	return slices.ContainsFunc(e.Command, job.HasResults) || slices.ContainsFunc(e.Setup, job.HasResults) || envUses(e.Env)
}

func envUses(env map[string]string) bool {
	for _, text := range env {
		if job.HasResults(text) {
			return true
		}
	}
	return false
}

// expandExecution gives each text of an execution to expand. What it returns
// shares nothing that was changed.
func expandExecution(e job.Execution, expand func(string) string) job.Execution {
	texts := func(list []string) []string {
		list = slices.Clone(list)
		for i := range list {
			list[i] = expand(list[i])
		}
		return list
	}
	e.Command, e.Setup, e.Env = texts(e.Command), texts(e.Setup), maps.Clone(e.Env)
	for _, name := range sortedKeys(e.Env) {
		e.Env[name] = expand(e.Env[name])
	}
	return e
}

// executionOf is what an index executes, with the results of other tasks in
// the place of their placeholders. missing says of a result that is not there
// who did not write it, "" when all are.
func (s *State) executionOf(r ref) (execution job.Execution, missing string) {
	execution = s.Spec.Tasks[r.task].ExecutionOf(int(r.index))
	if !s.work.tasks[r.task].usesResults || !executionUses(&execution) {
		return execution, ""
	}
	execution = expandExecution(execution, func(text string) string {
		return job.ExpandResults(text, func(wanted job.ResultRef) string {
			value, fault := s.result(wanted)
			if missing == "" {
				missing = fault
			}
			return value
		})
	})
	return execution, missing
}

// result is a value that an index of a task wrote. Of one that has not
// succeeded every value is "". Of one that has, a value that it did not write is
// a fault: then that is said.
func (s *State) result(wanted job.ResultRef) (value, fault string) {
	r, ok := s.locate(wanted.Task, wanted.Index)
	if !ok {
		return "", fmt.Sprintf("the result %s of %s[%d] does not exist", wanted.Key, wanted.Task, wanted.Index)
	}
	x := s.at(r)
	value, ok = x.Result[wanted.Key]
	if ok || x.Phase != IndexSucceeded {
		return value, ""
	}
	return "", fmt.Sprintf("it needs the result %s of %s, which did not write it: a line %s=VALUE in $SPOTRELAY_RESULT_FILE",
		wanted.Key, indexName(&s.Spec.Tasks[r.task], wanted.Index), wanted.Key)
}
