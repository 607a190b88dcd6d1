package plan

import "github.com/spotrelay/spotrelay/runner/job"

// Tasks that run finally wait for all others to have ended, however they did,
// and for those finally ones that they depend on. They run also when the run
// was cancelled or has failed; a second cancel ends them, and so does what no
// repetition mends (Fault).

// satisfies reports whether an index that is at a phase is no reason for those
// that depend on its task not to run.
func satisfies(task *job.Task, phase IndexPhase) bool {
	switch phase {
	case IndexSucceeded, IndexSkipped:
		return true
	case IndexFailed:
		return task.AllowFailure || task.Finally
	case IndexCancelled:
		return task.Finally
	}
	return false
}

// settled reports whether what depends on a task need not wait for it.
func (s *State) settled(task int) bool {
	n := 0
	for i, count := range s.work.tasks[task].counts {
		if satisfies(&s.Spec.Tasks[task], phases[i]) {
			n += count
		}
	}
	return n == len(s.Tasks[task].Indexes)
}

// mainOpen reports whether an index of a task that does not run finally has not
// ended; for preparing only.
func (s *State) mainOpen() bool {
	for i := range s.Tasks {
		for j := range s.Tasks[i].Indexes {
			if !s.Spec.Tasks[i].Finally && !s.Tasks[i].Indexes[j].Phase.ended() {
				return true
			}
		}
	}
	return false
}

// waitsFor reports whether a task waits for another one that it depends on.
// What runs finally waits for all others anyway.
func waitsFor(task, up *job.Task) bool { return up.Finally || !task.Finally }

// prepareFinally has the tasks that run finally wait for the others.
func (s *State) prepareFinally() {
	open := s.mainOpen()
	for i := range s.Spec.Tasks {
		if s.Spec.Tasks[i].Finally && open {
			s.work.tasks[i].upstream++
			s.work.finals = append(s.work.finals, i)
		}
	}
}

// mainEnded admits the tasks that waited for all others.
func (s *State) mainEnded() {
	finals := s.work.finals
	s.work.finals = nil
	for _, task := range finals {
		s.work.tasks[task].upstream--
		if s.work.tasks[task].upstream == 0 {
			s.admit(task)
		}
	}
}

// stopped reports whether the run goes on with nothing of a task: it has failed
// for good, reached a limit, or was cancelled.
func (s *State) stopped(task int32) bool {
	return s.Fault != "" || s.Stop != nil || s.cancelled(task)
}

// cancelled reports whether a task was cancelled by the user.
func (s *State) cancelled(task int32) bool {
	return s.Cancel && (s.CancelFinally || !s.Spec.Tasks[task].Finally)
}

// finallyOpen reports whether tasks that run finally have not ended.
func (s *State) finallyOpen() bool { return s.work.open > s.work.main }
