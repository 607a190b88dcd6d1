package plan

import "github.com/spotrelay/spotrelay/runner/job"

// A task whose start needs a decision, since it has a condition, refers to
// results, or depends on a task that was skipped, stays blocked when nothing is left that it waits for, and waits at its gate for the
// tick to decide. All other tasks are ready at once.

// gated reports whether a task's start needs a decision.
func (s *State) gated(task int) bool {
	return s.work.tasks[task].usesResults || s.Spec.Tasks[task].When != nil || s.skippedUpstream(task) != ""
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

// decide skips a task, or ends the indexes of it that cannot run, and opens the
// others.
func (t *tick) decide(task int) {
	spec := &t.Spec.Tasks[task]
	if spec.Count > 0 && t.work.tasks[task].counts[phaseNumber(IndexBlocked)] == 0 {
		return // all was ended meanwhile
	}
	skip, fault := t.skips(task)
	if skip != "" {
		t.emit(Event{TaskSkipped: &TaskSkipped{Task: spec.Name, Reason: skip}})
		return
	}
	for j := range t.Tasks[task].Indexes {
		r := ref{int32(task), int32(j)}
		if t.at(r).Phase != IndexBlocked {
			continue
		}
		missing := fault
		if missing == "" {
			_, missing = t.executionOf(r)
		}
		if missing != "" {
			t.endIndex(r, job.Failed, job.CauseResult, missing)
		}
	}
	if t.work.tasks[task].counts[phaseNumber(IndexBlocked)] > 0 || spec.Count == 0 {
		t.emit(Event{TaskOpened: &TaskOpened{Task: spec.Name}})
	}
}

// skips says why a task does not run, "" if it does, or a fault why that cannot
// be told.
func (t *tick) skips(task int) (reason, fault string) {
	spec := &t.Spec.Tasks[task]
	if up := t.skippedUpstream(task); up != "" {
		return "it depends on " + up + ", which was skipped", ""
	}
	if spec.When == nil {
		return "", ""
	}
	holds, fault := t.holds(spec.When)
	if holds || fault != "" {
		return "", fault
	}
	return "its condition is false: " + spec.When.String(), ""
}

// skippedUpstream is a skipped task that a task depends on, "" for none. What
// runs finally runs whatever was skipped.
func (s *State) skippedUpstream(task int) string {
	if s.Spec.Tasks[task].Finally {
		return ""
	}
	for _, name := range s.Spec.Tasks[task].DependsOn {
		if up, ok := s.work.task[name]; ok && s.Tasks[up].Skipped {
			return name
		}
	}
	return ""
}

// skip ends what is blocked of a task, at no cost.
func (s *State) skip(task int, reason string) {
	delete(s.work.gates, task)
	s.Tasks[task].Skipped = true
	for j := range s.Tasks[task].Indexes {
		x := &s.Tasks[task].Indexes[j]
		if x.Phase == IndexBlocked {
			x.Reason = reason
			s.setPhase(ref{int32(task), int32(j)}, IndexSkipped)
		}
	}
	if len(s.Tasks[task].Indexes) == 0 {
		s.unblock(task)
	}
}
