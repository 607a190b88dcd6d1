package plan

import "github.com/spotrelay/spotrelay/runner/job"

// IndexReopened: an index that had ended without success runs again in place,
// with fresh budgets, or waits again for what it depends on.
type IndexReopened struct {
	Task  string `json:"task"`
	Index int    `json:"index"`
	By    string `json:"by,omitempty"`
}

func (s *State) applyRetry(e Event) bool {
	if e.IndexReopened == nil {
		return false
	}
	r, ok := s.locate(e.IndexReopened.Task, e.IndexReopened.Index)
	if !ok || !s.at(r).Phase.unsuccessful() {
		return true
	}
	x := s.at(r)
	x.Base = x.Next
	x.Charged, x.Preempted, x.Failures, x.Hosts, x.FreeHosts = 0, 0, 0, 0, 0
	x.Spent, x.Warned, x.NotBefore, x.LastExit = 0, 0, 0, nil
	x.Reason, x.EndedBy, x.EndedFor = "", "", ""
	s.work.tasks[r.task].cut = false
	if s.settled(int(r.task)) { // it was allowed to fail
		for _, d := range s.work.tasks[r.task].dependents {
			s.work.tasks[d].upstream++
		}
	}
	phase := IndexReady
	switch {
	case s.work.tasks[r.task].upstream > 0:
		phase = IndexBlocked
	case s.gated(int(r.task)): // a result that it needs may be missing still
		phase = IndexBlocked
		s.work.gates[int(r.task)] = struct{}{}
	}
	s.setPhase(r, phase)
	return true
}

// unsuccessful: it has ended, and not well.
func (p IndexPhase) unsuccessful() bool { return p == IndexFailed || p == IndexCancelled }

// Retryable are the indexes of a task that can run again in place: all that
// ended without success, or the one of that number. Those are not among them
// that were cancelled for what they depend on: they come back with that.
func (s *State) Retryable(task string, index int) []int {
	i, ok := s.work.task[task]
	if !ok || s.over() {
		return nil
	}
	var indexes []int
	for j := range s.Tasks[i].Indexes {
		x := &s.Tasks[i].Indexes[j]
		if (index < 0 || index == j) && x.Phase.unsuccessful() && x.EndedFor != job.CauseUpstream {
			indexes = append(indexes, j)
		}
	}
	return indexes
}

// retry runs what ended without success again, and has what was cancelled for
// its sake wait for it.
func (t *tick) retry(r Request) {
	indexes := t.Retryable(r.Task, r.Index)
	if len(indexes) == 0 {
		return
	}
	for _, j := range indexes {
		t.emit(Event{IndexReopened: &IndexReopened{Task: r.Task, Index: j, By: r.By}})
	}
	t.reopenDependents(t.work.task[r.Task], r.By)
}

// reopenDependents has the dependents of a task wait again that were cancelled,
// unless something else that they depend on has not succeeded.
func (t *tick) reopenDependents(task int, by string) {
	for _, d := range t.work.tasks[task].dependents {
		if t.brokenUpstream(d) {
			continue
		}
		reopened := false
		for j := range t.Tasks[d].Indexes {
			x := &t.Tasks[d].Indexes[j]
			if x.Phase == IndexCancelled && x.EndedFor == job.CauseUpstream {
				t.emit(Event{IndexReopened: &IndexReopened{Task: t.Spec.Tasks[d].Name, Index: j, By: by}})
				reopened = true
			}
		}
		if reopened || len(t.Tasks[d].Indexes) == 0 {
			t.reopenDependents(d, by)
		}
	}
}

// brokenUpstream reports whether something that a task depends on has ended
// without success.
func (t *tick) brokenUpstream(task int) bool {
	for _, name := range t.Spec.Tasks[task].DependsOn {
		up, ok := t.work.task[name]
		if !ok {
			continue
		}
		for _, phase := range []IndexPhase{IndexFailed, IndexCancelled} {
			if t.work.tasks[up].counts[phaseNumber(phase)] > 0 && !satisfies(&t.Spec.Tasks[up], phase) {
				return true
			}
		}
	}
	return false
}
