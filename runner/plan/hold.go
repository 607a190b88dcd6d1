package plan

import "github.com/spotrelay/spotrelay/runner/job"

// InstanceHeld: an attempt failed on an instance, which is kept for somebody to
// look at, and gets nothing more.
type InstanceHeld struct {
	Instance string `json:"instance"`
	Hold
}

// Hold is why an instance is kept that has nothing to do, and until when.
type Hold struct {
	job.AttemptID
	Until Time `json:"until"` // the run's time
}

func (s *State) applyHold(e Event) bool {
	if e.InstanceHeld == nil {
		return false
	}
	hold := e.InstanceHeld.Hold
	s.changeInstance(e.InstanceHeld.Instance, func(inst *Instance) { inst.Hold = &hold })
	return true
}

// holdFor keeps the instance of an attempt that failed, where the job file wants
// that. Of one index the newest failure is kept.
func (t *tick) holdFor(inst *Instance, ended *AttemptEnded, length Time) {
	switch ended.Class {
	case job.Failed, job.TimedOut, job.OutOfMemory:
	default:
		return
	}
	w, inst := t.work.watches[inst.ID], t.Instances[inst.ID]
	if w == nil || inst == nil { // the end of a gang, of which this one is gone
		return
	}
	if length <= 0 || ended.Charge != job.ChargeFailures || ended.Evidence.End == nil || t.over() || t.Paused ||
		inst.Ending != "" || inst.Notice != nil || w.leaving || w.vanished {
		return
	}
	for _, id := range sortedKeys(t.Instances) {
		if other := t.Instances[id]; id != inst.ID && other.holds(ended.Task, ended.Index) && len(other.Attempts) == 0 {
			t.end(other, EndingHeld, nil)
		}
	}
	t.emit(Event{InstanceHeld: &InstanceHeld{Instance: inst.ID, Hold: Hold{AttemptID: ended.AttemptID, Until: t.now + length}}})
}

// holds reports whether an instance is kept for an index of a task; one below
// zero is any.
func (inst *Instance) holds(task string, index int) bool {
	return inst.Hold != nil && inst.Ending == "" && inst.Hold.Task == task && (index < 0 || inst.Hold.Index == index)
}

// KeptFor are the instances that are kept for an index of a task, by id; an index
// below zero is any, and so is a task without a name.
func (s *State) KeptFor(task string, index int) []Instance {
	var held []Instance
	for _, id := range sortedKeys(s.Instances) {
		inst := s.Instances[id]
		if inst.Hold != nil && inst.Ending == "" && (task == "" || inst.holds(task, index)) {
			held = append(held, *inst)
		}
	}
	return held
}

// releaseRequested ends what is kept for a task, as a user asked.
func (t *tick) releaseRequested(r Request) {
	for _, inst := range t.KeptFor(r.Task, r.Index) {
		if len(inst.Attempts) == 0 { // else it ends with the last of them, at its time
			t.end(t.Instances[inst.ID], EndingHeld, nil)
		}
	}
}

// releaseHeld ends what was kept long enough.
func (t *tick) releaseHeld() {
	if !t.work.holds {
		return
	}
	for _, id := range sortedKeys(t.Instances) {
		inst := t.Instances[id]
		if inst.Hold == nil || inst.Ending != "" {
			continue
		}
		if t.now < inst.Hold.Until {
			t.wakeAt(inst.Hold.Until)
		} else if len(inst.Attempts) == 0 && !t.work.watches[id].vanished {
			t.end(inst, EndingHeld, nil)
		}
	}
}

// holding reports whether an instance is kept, for which the run goes on: what
// is looked at there may be retried.
func (t *tick) holding() bool {
	if !t.work.holds || t.over() {
		return false
	}
	for _, inst := range t.Instances {
		if inst.Hold != nil && inst.Ending == "" {
			return true
		}
	}
	return false
}
