package plan

import "github.com/spotrelay/spotrelay/runner/job"

// A task whose start needs a decision, since it refers to results, stays
// blocked when nothing is left that it waits for, and waits at its gate for the
// tick to decide. All other tasks are ready at once.

// gated reports whether a task's start needs a decision.
func (s *State) gated(task int) bool {
	return s.work.tasks[task].usesResults
}

// admit lets a task go on that waits for no other: to its gate, or on.
func (s *State) admit(task int) {
	if s.gated(task) {
		s.work.gates[task] = struct{}{}
		return
	}
	s.open(task)
}

// open readies what is blocked of a task.
func (s *State) open(task int) {
	delete(s.work.gates, task)
	for j := range s.Tasks[task].Indexes {
		if s.Tasks[task].Indexes[j].Phase == IndexBlocked {
			s.setPhase(ref{int32(task), int32(j)}, IndexReady)
		}
	}
	if len(s.Tasks[task].Indexes) == 0 {
		s.unblock(task)
	}
}

// gate decides about the tasks that wait at their gates, and about those that
// come to one by that.
func (t *tick) gate() {
	for len(t.work.gates) > 0 {
		next := len(t.Tasks)
		for task := range t.work.gates {
			next = min(next, task)
		}
		delete(t.work.gates, next)
		t.decide(next)
	}
}

// decide ends the indexes of a task that cannot run, and opens the others.
func (t *tick) decide(task int) {
	spec := &t.Spec.Tasks[task]
	for j := range t.Tasks[task].Indexes {
		r := ref{int32(task), int32(j)}
		if t.at(r).Phase != IndexBlocked {
			continue
		}
		if _, missing := t.executionOf(r); missing != "" {
			t.endIndex(r, job.Failed, job.CauseResult, missing)
		}
	}
	if t.work.tasks[task].counts[phaseNumber(IndexBlocked)] > 0 || spec.Count == 0 {
		t.emit(Event{TaskOpened: &TaskOpened{Task: spec.Name}})
	}
}
