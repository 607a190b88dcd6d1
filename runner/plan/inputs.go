package plan

import (
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// inputs are the committed outputs that an index is given: those of everything
// that its task depends on as a whole, and of the others the indexes that it
// refers to.
func (t *tick) inputs(r ref, execution *job.Execution) []job.Input {
	inputs := t.sharedInputs(int(r.task))
	for _, name := range t.Spec.Tasks[r.task].Parts {
		up, ok := t.work.task[name]
		if !ok {
			continue
		}
		for _, index := range indexesOf(execution, name) {
			if index < len(t.Tasks[up].Indexes) {
				inputs = t.withOutput(slices.Clip(inputs), up, index)
			}
		}
	}
	return inputs
}

// sharedInputs are those that all indexes of a task are given. They do not
// change once it may run, so they are gathered once.
func (t *tick) sharedInputs(task int) []job.Input {
	w, spec := &t.work.tasks[task], &t.Spec.Tasks[task]
	if w.hasInputs {
		return w.inputs
	}
	for _, source := range t.Spec.Inputs {
		if slices.Contains(spec.Inputs, source.Name) {
			w.inputs = append(w.inputs, job.Input{Task: source.Name, Manifest: source.Manifest})
		}
	}
	for _, name := range spec.DependsOn {
		up, ok := t.work.task[name]
		if !ok || slices.Contains(spec.Parts, name) {
			continue
		}
		for j := range t.Tasks[up].Indexes {
			w.inputs = t.withOutput(w.inputs, up, j)
		}
	}
	w.hasInputs = true
	return w.inputs
}

// withOutput adds what an index committed: nothing, when it did not succeed.
func (t *tick) withOutput(inputs []job.Input, task, index int) []job.Input {
	spec, output := &t.Spec.Tasks[task], t.Tasks[task].Indexes[index].Output
	if output == nil && spec.Execution.Output == nil {
		return inputs
	}
	input := job.Input{Task: spec.Name, Index: index, Array: spec.Array}
	if output != nil {
		input.Manifest = *output
	}
	return append(inputs, input)
}

// indexesOf are the indexes of a task that an execution refers to, in order.
func indexesOf(e *job.Execution, task string) []int {
	var indexes []int
	note := func(text string) { indexes = append(indexes, job.InputIndexes(text, task)...) }
	for _, text := range e.Command {
		note(text)
	}
	for _, text := range e.Setup {
		note(text)
	}
	for _, text := range e.Env {
		note(text)
	}
	slices.Sort(indexes)
	indexes = slices.Compact(indexes)
	return slices.DeleteFunc(indexes, func(i int) bool { return i < 0 })
}
