package plan

import (
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// quarantineAfter is how many attempts in a row may fail at once on an
// instance before nothing more is placed there.
const quarantineAfter = 2

// acquittedAfter is how many instances in a row are held to be bad. When
// attempts fail at once on all of them it is the task, and a new instance for
// every two failures helps nobody.
const acquittedAfter = 3

func (s *State) applyAttempt(e Event) bool {
	switch {
	case e.AttemptAssigned != nil:
		s.attemptAssigned(e.At, e.AttemptAssigned)
	case e.AttemptAccepted != nil:
		if rec, r := s.live(e.AttemptAccepted.AttemptID, ""); rec != nil && rec.Accepted == 0 {
			rec.Accepted = stamp(e.At)
			s.setPhase(r, IndexRunning)
			s.watchCost(r)
		}
	case e.AttemptWithdrawn != nil:
		s.attemptWithdrawn(e.AttemptWithdrawn.AttemptID)
	case e.AttemptEnded != nil:
		s.attemptEnded(e.At, e.AttemptEnded)
	case e.IndexEnded != nil:
		s.indexEnded(e.IndexEnded)
	case e.TaskSkipped != nil:
		if i, ok := s.work.task[e.TaskSkipped.Task]; ok {
			s.skip(i, e.TaskSkipped.Reason)
		}
	case e.TaskOpened != nil:
		if i, ok := s.work.task[e.TaskOpened.Task]; ok {
			s.open(i)
		}
	default:
		return false
	}
	return true
}

func (s *State) attemptAssigned(at Time, a *AttemptAssigned) {
	r, ok := s.locate(a.Task, a.Index)
	if !ok {
		return
	}
	x := s.at(r)
	rec := AttemptRecord{
		Attempt: a.Attempt, Instance: a.Instance, Final: a.Final, Ahead: a.Ahead, Assigned: stamp(at),
		Restore: a.Restore, Damaged: a.Damaged, Memory: x.Memory,
	}
	if inst := s.Instances[a.Instance]; inst != nil {
		rec.Fleet, rec.Offer = inst.Fleet, inst.Offer
	}
	if len(a.Nodes) > 0 {
		s.gangAssigned(at, r, &rec, a)
	}
	x.Next = max(x.Next, a.Attempt)
	x.NotBefore, x.Waits = 0, nil
	x.Attempts = append(x.Attempts, rec)
	x.Checkpoint = job.Newest(x.Checkpoint, a.Restore)
	delete(s.work.finds, r)
	s.setPhase(r, IndexAssigned)
	for _, instance := range rec.instances() {
		s.changeInstance(instance, func(inst *Instance) { inst.Attempts = append(inst.Attempts, a.AttemptID) })
	}
}

func (s *State) attemptWithdrawn(id job.AttemptID) {
	rec, r := s.live(id, "")
	if rec == nil {
		return
	}
	x := s.at(r)
	instances := rec.instances()
	delete(s.work.gangs, r)
	x.Attempts = x.Attempts[:len(x.Attempts)-1]
	if len(x.Attempts) == 0 {
		x.Attempts = nil
	}
	s.setPhase(r, IndexReady)
	for _, instance := range instances {
		s.dropFrom(instance, id)
	}
}

// drop takes an attempt off an instance.
func (inst *Instance) drop(id job.AttemptID, now Time, w *watch) {
	inst.Attempts = slices.DeleteFunc(inst.Attempts, func(a job.AttemptID) bool { return a == id })
	if len(inst.Attempts) == 0 {
		inst.Attempts = nil
		w.idle = now
	}
}

func (s *State) attemptEnded(at Time, a *AttemptEnded) {
	rec, r := s.live(a.AttemptID, "")
	if rec == nil {
		return
	}
	x := s.at(r)
	verdict, evidence, left := a.Verdict, a.Evidence, a.Left
	rec.Ended, rec.Verdict, rec.Evidence, rec.Left = stamp(at), &verdict, &evidence, &left
	rec.Cost, rec.Checkpoint = a.Cost, a.Checkpoint
	x.Spent += a.Cost
	after := x.counters().plus(a.Charge)
	x.Charged, x.Preempted, x.Failures, x.Hosts = after.charged, after.preempted, after.failures, after.hosts
	if a.FreeHost {
		x.FreeHosts++
	}
	x.Checkpoint = job.Newest(x.Checkpoint, a.Checkpoint)
	if a.Cause == job.CauseRestore && rec.Restore != nil {
		bad := badOf(rec.Restore, a.Evidence.End)
		if rec.IsGang() && a.Evidence.End != nil && a.Evidence.End.RestoreKey != "" { // its manifest is whole, a node's is not
			bad = a.Evidence.End.RestoreKey
		}
		if !slices.Contains(x.Bad, bad) {
			x.Bad = append(x.Bad, bad)
		}
	}
	x.LastExit = nil
	if a.Cause == job.CauseExitInWindow && a.Evidence.End != nil {
		code := a.Evidence.End.ExitCode
		x.LastExit = &code
	}
	if rec.IsGang() {
		delete(s.work.gangs, r) // its nodes have left by themselves
	} else {
		s.leaveInstance(rec.Instance, a)
	}
	s.raiseMemory(r, a.Memory)
	switch {
	case a.Class == job.Succeeded:
		x.Output, x.Result = a.Output, a.Result
		s.setPhase(r, IndexSucceeded)
	case a.Retry && a.NotBefore > at:
		x.NotBefore = a.NotBefore
		s.setPhase(r, IndexWaiting)
	case a.Retry:
		s.setPhase(r, IndexReady)
	}
}

// leaveInstance takes an ended attempt off its instance and keeps the score of
// what failed there at once.
func (s *State) leaveInstance(instance string, a *AttemptEnded) {
	s.changeInstance(instance, func(inst *Instance) {
		inst.drop(a.AttemptID, s.work.now, s.work.watches[inst.ID])
		inst.Used++
		if a.AtOnce {
			inst.Failed++
		} else {
			inst.Failed = 0
		}
	})
	inst := s.Instances[instance]
	switch {
	case inst == nil:
	case !a.AtOnce && s.Blamed[inst.Group] > 0:
		delete(s.Blamed, inst.Group)
		s.refileAll(inst.Group)
	case a.AtOnce && inst.Failed == quarantineAfter && s.Blamed[inst.Group] < acquittedAfter:
		put(&s.Blamed, inst.Group, s.Blamed[inst.Group]+1)
		s.refileAll(inst.Group)
	}
}

// quarantined reports whether an instance gets nothing more since attempts
// failed on it at once.
func (s *State) quarantined(inst *Instance) bool {
	return inst.Failed >= quarantineAfter && s.Blamed[inst.Group] < acquittedAfter
}

// refileAll counts a group's instances anew.
func (s *State) refileAll(key string) {
	if g := s.work.byKey[key]; g != nil {
		for id := range g.members {
			s.refile(s.Instances[id])
		}
	}
}

func (s *State) indexEnded(e *IndexEnded) {
	r, ok := s.locate(e.Task, e.Index)
	if !ok {
		return
	}
	x := s.at(r)
	x.Reason, x.EndedBy, x.EndedFor, x.NotBefore, x.Waits = e.Reason, e.Class, e.Cause, 0, nil
	phase := IndexFailed
	if e.Class == job.Cancelled {
		phase = IndexCancelled
	}
	s.setPhase(r, phase)
}

// badOf is the checkpoint that could not be restored, of those an attempt was
// to go on from.
func badOf(from *job.CheckpointRef, end *job.AttemptEnd) string {
	keys := from.Keys()
	if end != nil && slices.Contains(keys, end.RestoreKey) {
		return end.RestoreKey
	}
	if len(keys) == 0 {
		return ""
	}
	return keys[0]
}
