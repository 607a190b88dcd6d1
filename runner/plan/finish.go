package plan

import (
	"fmt"

	"github.com/spotrelay/spotrelay/runner/job"
)

// request does what a user asked of the run.
func (t *tick) request(r Request) {
	switch {
	case t.Outcome != "":
	case r.Kind == RequestCancel && (!t.Cancel || !t.CancelFinally && !t.cancelledNow && t.finallyOpen()):
		t.cancelledNow = true // two in one tick are one that was sent twice
		t.emit(Event{CancelRequested: &CancelRequested{By: r.By}})
		t.endAllUnassigned("the run was cancelled before it ran")
	case r.Kind == RequestPause && !t.Paused && !t.over():
		t.emit(Event{RunPaused: &RunPaused{By: r.By}})
	case r.Kind == RequestRelease:
		t.releaseRequested(r)
	case r.Kind == RequestRetry:
		t.retry(r)
	case r.Kind == RequestResume && t.stands():
		t.emit(Event{RunResumed: &RunResumed{By: r.By}})
	}
}

// endAllUnassigned ends every index that no instance has, and has the others
// cancelled there.
func (t *tick) endAllUnassigned(reason string) {
	cause := job.CauseCancelled
	if t.Fault != "" {
		cause = job.CauseUpstream
	}
	if t.Stop != nil {
		cause = t.Stop.Cause
	}
	for i := range t.Tasks {
		for j := range t.Tasks[i].Indexes {
			r := ref{int32(i), int32(j)}
			x := t.at(r)
			if !x.Phase.ended() && x.current() == nil && t.stopped(r.task) {
				t.endIndex(r, job.Cancelled, cause, reason)
			}
		}
	}
	for id, inst := range t.Instances {
		if len(inst.Attempts) > 0 {
			t.work.dirty[id] = struct{}{}
		}
	}
}

// endUnwanted ends an index whose assignment was taken back after the run was
// cancelled or failed.
func (t *tick) endUnwanted(id job.AttemptID) {
	r, ok := t.locate(id.Task, id.Index)
	switch {
	case !ok:
	case t.cancelled(r.task):
		t.endIndex(r, job.Cancelled, job.CauseCancelled, "the run was cancelled before it ran")
	case t.Fault != "":
		t.endIndex(r, job.Cancelled, job.CauseUpstream, "the run failed: "+t.Fault)
	case t.Stop != nil:
		t.endIndex(r, job.Cancelled, t.Stop.Cause, t.Stop.Reason)
	}
}

// endRun ends the run when every index has ended.
func (t *tick) endRun() {
	if t.Outcome != "" || t.work.open > 0 || t.holding() {
		return
	}
	outcome, reason := t.outcome()
	t.emit(Event{RunEnded: &RunEnded{Outcome: outcome, Reason: reason}})
	t.repeatLaunches()
}

// closeRun closes an ended run when nothing is rented any more, and what its
// tasks saved is as the job file has it for the end.
func (t *tick) closeRun() {
	if t.Outcome != "" && !t.Closed && len(t.Instances) == 0 && len(t.Launches) == 0 && len(t.work.keeping) == 0 && t.prune() {
		t.emit(Event{RunClosed: &RunClosed{Cost: t.Cost}})
	}
}

// outcome is how the run ends, and in one sentence why.
func (t *tick) outcome() (Outcome, string) {
	var failed, cancelled int
	var first string
	for i := range t.Tasks {
		c := &t.work.tasks[i].counts
		if t.Spec.Tasks[i].AllowFailure {
			cancelled += c[phaseNumber(IndexCancelled)]
			continue
		}
		failed += c[phaseNumber(IndexFailed)]
		cancelled += c[phaseNumber(IndexCancelled)]
		for j := range t.Tasks[i].Indexes {
			x := &t.Tasks[i].Indexes[j]
			if first == "" && (x.Phase == IndexFailed || x.EndedFor == job.CauseMaxCost) {
				first = indexName(&t.Spec.Tasks[i], j) + ": " + x.Reason
			}
		}
	}
	switch {
	case t.Fault != "":
		return OutcomeFailed, t.Fault
	case t.Stop != nil && failed+cancelled > 0:
		return OutcomeFailed, t.Stop.Reason
	case failed+cancelled == 0:
		return OutcomeSucceeded, ""
	case t.Cancel:
		return OutcomeCancelled, ""
	case failed > 1:
		return OutcomeFailed, fmt.Sprintf("%d failed, the first %s", failed, first)
	}
	return OutcomeFailed, first
}

// indexName is a task, or an index of an array, for people.
func indexName(task *job.Task, index int) string {
	if !task.Array {
		return task.Name
	}
	if key := task.KeyOf(index); key != "" {
		return fmt.Sprintf("%s[%q]", task.Name, key)
	}
	return fmt.Sprintf("%s[%d]", task.Name, index)
}
