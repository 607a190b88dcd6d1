package plan

import (
	"fmt"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// endAttempt gives an attempt its verdict.
func (t *tick) endAttempt(inst *Instance, rec *AttemptRecord, r ref, e Evidence) {
	if rec.IsGang() {
		t.endNode(inst, rec, r, e)
		return
	}
	task := &t.Spec.Tasks[r.task]
	t.complete(&e, inst, rec, r)
	v := Classify(e, task.Retries)
	e.Text = Explain(e)
	ended := &AttemptEnded{
		AttemptID: job.AttemptID{Task: task.Name, Index: int(r.index), Attempt: rec.Attempt},
		Cost:      shareOf(inst, t.heldFor(rec, e.End)),
		AtOnce:    failedAtOnce(v, e.End),
	}
	t.conclude(inst, rec, r, v, e, ended)
}

// conclude charges an attempt that has its verdict, and says whether and when
// the index goes on.
func (t *tick) conclude(inst *Instance, rec *AttemptRecord, r ref, v Verdict, e Evidence, ended *AttemptEnded) {
	task, x := &t.Spec.Tasks[r.task], t.at(r)
	switch {
	case replacedFree(x, rec, v):
		v.Charge, ended.FreeHost = job.ChargeNothing, true
	case damagedAgain(x, v):
		v.Charge = job.ChargeNothing
	}
	after := x.counters().plus(v.Charge)
	ended.Verdict, ended.Evidence, ended.Left = v, e, after.left(task.Retries)
	if !rec.IsGang() { // its nodes have theirs
		ended.Checkpoint = t.newestSaved(inst, x, ended.AttemptID, e.End)
	}
	if v.Class == job.Succeeded {
		ended.Output, ended.Result = e.End.Output, e.End.Result
		ended.Evidence.End = withoutResult(e.End)
		t.emit(Event{AttemptEnded: ended})
		t.keep(r)
		return
	}
	class := v.Class
	cause, reason := t.limited(r, rec, inst, ended.Cost)
	if reason != "" {
		class = job.Cancelled
	} else {
		cause, reason = t.noFurther(r, v, after, task.Retries)
	}
	if reason == "" {
		ended.Retry, ended.Memory = true, t.moreMemory(r, v)
		if pause := pauseAfter(t.Spec, task, int(r.index), v, after, e.End); pause > 0 {
			ended.NotBefore = t.now + pause
		}
	}
	t.emit(Event{AttemptEnded: ended})
	t.holdFor(inst, ended, task.HoldOnFailure.D())
	if reason != "" {
		t.endIndex(r, class, cause, lastAttempt(reason, v, e))
	}
	if v.Hold && t.Held == "" && !t.Cancel && t.Fault == "" {
		t.emit(Event{RunHeld: &RunHeld{Reason: fmt.Sprintf(
			"instance %s was ended by somebody else, not by spotrelay and not by the provider (%s); resume the run when that is settled",
			inst.ID, e.Text)}})
	}
}

// heldFor is how long an attempt has had its slot. One that waited for it on
// its instance did so while others had it.
func (s *State) heldFor(rec *AttemptRecord, end *job.AttemptEnd) Time {
	since := rec.Assigned
	if rec.Ahead {
		since = max(since, rec.Accepted)
	}
	d := s.work.now - since + rec.Unattended
	if rec.Ahead && end != nil {
		d = min(s.work.now-rec.Assigned+rec.Unattended, end.Elapsed.D())
	}
	return d
}

// complete fills in what the controller itself knows.
func (t *tick) complete(e *Evidence, inst *Instance, rec *AttemptRecord, r ref) {
	if e.Notice == nil {
		e.Notice = inst.Notice
	}
	if e.End != nil {
		e.Notice = nil
		if e.End.Notice == nil && e.End.OSStopping {
			e.End = withNotice(e.End, inst.Notice)
		}
	}
	e.Ending = inst.Ending
	e.CancelRequested = t.cancelled(r.task)
	e.RunFailed = t.Fault != "" && !e.CancelRequested
	e.Stopped = rec.Stopped
	e.Damaged = rec.Damaged
	end := e.End
	if end == nil {
		return
	}
	x := t.at(r)
	e.SameExitBefore = x.LastExit != nil && end.Exited && end.Signal == "" && end.ExitCode == *x.LastExit
	e.Progress = movedOn(rec.Restore, end.Saved)
}

// movedOn reports whether a checkpoint holds anything else than the one that
// was gone on from, in any of its series. One that holds nothing is no progress
// from nothing.
func movedOn(from, to *job.CheckpointRef) bool {
	for _, name := range to.Series() {
		before, _ := from.Of(name)
		after, _ := to.Of(name)
		if after.Content != before.Content {
			return true
		}
	}
	return false
}

// withNotice is the report with the notice that a later status told of: the OS
// was stopping for that.
func withNotice(end *job.AttemptEnd, n *job.Notice) *job.AttemptEnd {
	if n == nil {
		return end
	}
	with := *end
	with.Notice = n
	return &with
}

// withoutResult is the report without what is kept beside it.
func withoutResult(end *job.AttemptEnd) *job.AttemptEnd {
	if end.Result == nil {
		return end
	}
	without := *end
	without.Result = nil
	return &without
}

// noFurther says why an index ends with this attempt, "" when it goes on.
func (t *tick) noFurther(r ref, v Verdict, after counters, retries job.Retries) (job.Cause, string) {
	switch {
	case t.cancelled(r.task):
		return v.Cause, "the run was cancelled"
	case t.Fault != "":
		return v.Cause, "the run failed: " + t.Fault
	case v.Fatal:
		return v.Cause, "its exit code is one that fails at once"
	case v.Charge == job.ChargeNothing:
		return "", ""
	}
	return v.Cause, after.exceeded(retries)
}

// lastAttempt joins why there is no further attempt and how the last ended.
func lastAttempt(reason string, v Verdict, e Evidence) string {
	return fmt.Sprintf("%s; the last attempt was %s: %s", reason, v.Class, e.Text)
}

// newestSaved is the newest checkpoint of an index that is known when an
// attempt ends.
func (t *tick) newestSaved(inst *Instance, x *IndexState, id job.AttemptID, end *job.AttemptEnd) *job.CheckpointRef {
	c := x.Checkpoint
	if end != nil {
		c = job.Newest(c, end.Saved)
	}
	if a := t.work.watches[inst.ID].runs(id); a != nil {
		c = job.Newest(c, a.Checkpoint)
	}
	return c
}

// failedAtOnce reports whether an attempt failed so soon that its instance may
// be why.
func failedAtOnce(v Verdict, end *job.AttemptEnd) bool {
	if end == nil || end.Elapsed.D() > atOnce || v.Charge == job.ChargeNothing {
		return false
	}
	return v.Class == job.Failed || v.Class == job.Infrastructure && v.Cause != job.CauseRestore
}

// endIndex ends an index for good, and with it what depends on its task.
func (t *tick) endIndex(r ref, class job.Class, cause job.Cause, reason string) {
	name := t.Spec.Tasks[r.task].Name
	t.unclaim(r)
	t.emit(Event{IndexEnded: &IndexEnded{Task: name, Index: int(r.index), Class: class, Cause: cause, Reason: reason}})
	task := &t.Spec.Tasks[r.task]
	if !t.Cancel && t.Fault == "" && t.Stop == nil && !task.Finally && !(task.AllowFailure && class != job.Cancelled) {
		t.endDependents(int(r.task), name)
	}
}

// endDependents cancels what can no longer run since a task failed.
func (t *tick) endDependents(task int, name string) {
	if t.work.tasks[task].cut {
		return
	}
	t.work.tasks[task].cut = true
	for _, d := range t.work.tasks[task].dependents {
		for j := range t.Tasks[d].Indexes {
			if t.Tasks[d].Indexes[j].Phase == IndexBlocked {
				t.emit(Event{IndexEnded: &IndexEnded{
					Task: t.Spec.Tasks[d].Name, Index: j, Class: job.Cancelled, Cause: job.CauseUpstream,
					Reason: "it depends on " + name + ", which did not succeed",
				}})
			}
		}
		if t.work.tasks[d].counts[phaseNumber(IndexBlocked)] == 0 {
			t.endDependents(d, t.Spec.Tasks[d].Name)
		}
	}
}

// informative reports whether a provider's word says why an instance ended.
func informative(e *providers.Evidence) bool {
	return e != nil && e.Cause != "" && e.Cause != providers.EndUnknown && e.Cause != providers.EndRunning
}
