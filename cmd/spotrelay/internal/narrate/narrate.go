// Package narrate tells a run's events in plain words, one line for each that
// matters to somebody who watches. It is pure: event and state in, text out.
package narrate

import (
	"fmt"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// Line is what an event is worth to a watcher.
type Line struct {
	Text string // one sentence, without a full stop; "" is not worth a line
	// Weight tells news from routine.
	Weight Weight
}

// Weight is how much a line matters.
type Weight int

// The weights.
const (
	Routine Weight = iota // an instance came, an attempt began
	Good                  // something succeeded
	Warning               // an instance is being lost, capacity is missing
	Bad                   // something failed for good
)

// Teller tells the events of one run. State must have applied the event that is
// told, and no later one.
type Teller struct {
	State *plan.State
	// Gone remembers instances that State has forgotten.
	gone map[string]plan.Instance
}

// New is a teller on a state, which it reads and never changes.
func New(state *plan.State) *Teller {
	return &Teller{State: state, gone: map[string]plan.Instance{}}
}

// Before is called with an event before the state applies it, so that what the
// event removes can still be named after.
func (t *Teller) Before(event plan.Event) {
	if event.InstanceGone == nil {
		return
	}
	if instance, ok := t.State.Instances[event.InstanceGone.Instance]; ok && instance != nil {
		t.gone[instance.ID] = *instance
	}
}

// Tell tells an event that the state has just applied.
func (t *Teller) Tell(event plan.Event) Line {
	switch {
	case event.AttemptAssigned != nil, event.AttemptAccepted != nil, event.AttemptWithdrawn != nil,
		event.AttemptEnded != nil, event.IndexEnded != nil, event.IndexReopened != nil, event.TaskSkipped != nil:
		return t.attempt(event)
	case event.LaunchOpened != nil, event.LaunchAnswered != nil, event.LaunchClosed != nil,
		event.PoolCooled != nil, event.CapacityMoved != nil:
		return t.launch(event)
	case event.InstanceFound != nil, event.InstanceReady != nil, event.InstanceNoticed != nil,
		event.InstanceEnding != nil, event.InstanceGone != nil:
		return t.instance(event)
	case event.IndexCached != nil, event.IndexAwaits != nil, event.CacheMissed != nil, event.CacheKept != nil:
		return t.cache(event)
	case event.NodeEnded != nil, event.NodeAssigned != nil, event.GangStopped != nil, event.GangReturned != nil:
		return t.gang(event)
	default:
		return t.run(event)
	}
}

func (t *Teller) attempt(event plan.Event) Line {
	switch {
	case event.AttemptAccepted != nil:
		return t.accepted(event.AttemptAccepted.AttemptID)
	case event.AttemptWithdrawn != nil:
		e := event.AttemptWithdrawn
		return Line{Text: fmt.Sprintf("%s assigned anew: %s", t.Name(e.Task, e.Index), e.Reason)}
	case event.AttemptEnded != nil:
		return t.ended(event.AttemptEnded)
	case event.IndexReopened != nil:
		e := event.IndexReopened
		return Line{Text: t.Name(e.Task, e.Index) + " is retried" + by(e.By)}
	case event.TaskSkipped != nil:
		return Line{Text: fmt.Sprintf("%s was skipped: %s", event.TaskSkipped.Task, event.TaskSkipped.Reason)}
	case event.IndexEnded != nil:
		e := event.IndexEnded
		weight := Bad
		if e.Class == job.Cancelled {
			weight = Warning
		}
		return Line{Text: fmt.Sprintf("%s ended as %s: %s", t.Name(e.Task, e.Index), e.Class, e.Reason), Weight: weight}
	}
	return Line{}
}

func (t *Teller) accepted(id job.AttemptID) Line {
	text := fmt.Sprintf("%s attempt %d started", t.Name(id.Task, id.Index), id.Attempt)
	record := t.record(id)
	if record == nil {
		return Line{Text: text}
	}
	if n := len(record.Nodes); n > 0 {
		text += fmt.Sprintf(" on %d nodes,", n)
	}
	text += fmt.Sprintf(" on %s (%s)", record.Instance, Offer(record.Offer))
	if record.Final {
		text += ", a final attempt"
	}
	if record.Restore != nil {
		text += ", from checkpoint " + Checkpoint(record.Restore)
	}
	return Line{Text: text}
}

func (t *Teller) ended(e *plan.AttemptEnded) Line {
	name := fmt.Sprintf("%s attempt %d", t.Name(e.Task, e.Index), e.Attempt)
	record := t.record(e.AttemptID)
	after := lasted(e, record)
	if e.Class == job.Succeeded {
		return Line{Text: name + " succeeded" + after, Weight: Good}
	}
	text := name + " " + string(e.Class) + after
	if e.Evidence.Text != "" {
		text += " (" + strings.TrimSuffix(e.Evidence.Text, ".") + ")"
	}
	text += ", charged to " + string(e.Charge)
	text += ", " + t.LeftText(e.Task, e.Left)
	weight := Warning
	if e.Retry {
		text += t.next(e, record)
		if e.Memory > 0 {
			text += fmt.Sprintf(", with %s of memory", plan.SizeText(e.Memory))
		}
	} else if e.Class != job.Cancelled {
		weight = Bad
	}
	return Line{Text: text, Weight: weight}
}

// lasted says how long an attempt did: by its agent, who knows best, or by
// the run's time.
func lasted(e *plan.AttemptEnded, record *plan.AttemptRecord) string {
	switch {
	case e.Evidence.End != nil && e.Evidence.End.Elapsed > 0:
		return " after " + Span(e.Evidence.End.Elapsed.D())
	case record != nil && record.Accepted > 0 && record.Ended > record.Accepted:
		return " after " + Span(record.Ended-record.Accepted)
	}
	return ""
}

// LeftText says what is left of a task's budgets.
func (t *Teller) LeftText(task string, left plan.Left) string {
	total := "?"
	if t.State.Spec != nil {
		if spec, ok := t.State.Spec.Task(task); ok {
			total = fmt.Sprint(spec.Retries.Attempts)
		}
	}
	return fmt.Sprintf("%d of %s attempts left", left.Attempts, total)
}

// next says when the next attempt may begin, and whether on-demand.
func (t *Teller) next(e *plan.AttemptEnded, _ *plan.AttemptRecord) string {
	text := "; next"
	if t.State.Spec != nil {
		if spec, ok := t.State.Spec.Task(e.Task); ok && e.Left.Attempts <= spec.Retries.OnDemandAttempts {
			text += " on-demand"
		}
	}
	if wait := e.NotBefore - t.State.Now; wait > 100*time.Millisecond {
		return text + " in " + Span(wait)
	}
	return text + " at once"
}

func (t *Teller) launch(event plan.Event) Line {
	switch {
	case event.LaunchOpened != nil:
		return Line{Text: t.opened(event.LaunchOpened)}
	case event.LaunchAnswered != nil:
		return t.answered(event.LaunchAnswered)
	case event.PoolCooled != nil:
		return t.cooled(event.PoolCooled)
	case event.CapacityMoved != nil:
		if event.CapacityMoved.Back {
			return Line{Text: "looking for spot capacity again"}
		}
		return Line{Text: "no spot capacity in time, going on with on-demand", Weight: Warning}
	}
	return Line{}
}

func (t *Teller) opened(e *plan.LaunchOpened) string {
	text := fmt.Sprintf("%s: renting %s", e.Fleet, Count(e.Count, "instance"))
	if len(e.Offers) > 0 {
		text += " " + string(e.Offers[0].Capacity) + ", first choice " + Offer(e.Offers[0])
	}
	return text
}

func (t *Teller) answered(e *plan.LaunchAnswered) Line {
	var parts []string
	for _, instance := range e.Instances {
		parts = append(parts, fmt.Sprintf("%s (%s)", instance.ID, Offer(instance.Offer)))
	}
	weight := Routine
	text := ""
	if len(parts) > 0 {
		text = "rented " + strings.Join(parts, ", ")
	}
	if len(e.Failures) > 0 {
		weight = Warning
		if text != "" {
			text += "; "
		}
		text += failuresText(e.Failures)
	}
	if e.Error != nil {
		weight = Warning
		text = fmt.Sprintf("renting failed: %s: %s", e.Error.Code, e.Error.Message)
	}
	return Line{Text: text, Weight: weight}
}

// failuresText tells the first failure in full and counts the others.
func failuresText(failures []providers.Failure) string {
	first := failures[0]
	text := "nothing in " + Pool(first.Pool)
	if first.Pool == (providers.Pool{}) {
		text = "nothing"
	}
	if more := len(failures) - 1; more > 0 {
		text += " and " + Count(more, "other pool")
	}
	return fmt.Sprintf("%s: %s: %s", text, first.Code, first.Message)
}

// cooled tells what is left alone for longer than a pool that has no capacity
// just now, which its launch has told already.
func (t *Teller) cooled(e *plan.PoolCooled) Line {
	if e.Until >= 0 && e.Pool != (providers.Pool{}) {
		return Line{}
	}
	where := Pool(e.Pool)
	if e.Pool == (providers.Pool{}) {
		where = "all " + string(e.Capacity)
	}
	until := "for the rest of the run"
	if e.Until >= 0 {
		until = "for " + Span(e.Until-t.State.Now)
	}
	return Line{Text: fmt.Sprintf("%s: %s left alone %s: %s", e.Fleet, where, until, e.Code), Weight: Warning}
}

func (t *Teller) run(event plan.Event) Line {
	switch {
	case event.CancelRequested != nil:
		return Line{Text: "cancelling" + by(event.CancelRequested.By), Weight: Warning}
	case event.CostWarned != nil, event.IndexStopped != nil, event.RunStopped != nil:
		return t.limit(event)
	case event.InstanceHeld != nil:
		e := event.InstanceHeld
		return Line{Text: fmt.Sprintf("%s is kept for %s, for a look at %s attempt %d", e.Instance,
			Span(e.Until-t.State.Now), t.Name(e.Task, e.Index), e.Attempt), Weight: Warning}
	case event.RunPaused != nil:
		return Line{Text: "pausing: what runs saves, and the instances are given back" + by(event.RunPaused.By), Weight: Warning}
	case event.RunHeld != nil:
		return Line{Text: "the run is held: " + event.RunHeld.Reason, Weight: Warning}
	case event.RunResumed != nil:
		return Line{Text: "the run goes on" + by(event.RunResumed.By)}
	case event.RunEnded != nil:
		return t.outcome(event.RunEnded)
	case event.CheckpointsPruned != nil:
		return pruned(event.CheckpointsPruned)
	case event.RunClosed != nil:
		return Line{Text: "every instance is gone, cost " + Money(event.RunClosed.Cost)}
	}
	return Line{}
}

// pruned tells what the end of the run did with the checkpoints of a task.
func pruned(e *plan.CheckpointsPruned) Line {
	switch {
	case e.Fault != "":
		return Line{Text: fmt.Sprintf("checkpoints of %s could not be removed: %s", e.Task, e.Fault), Weight: Warning}
	case e.Removed == 0:
		return Line{}
	case e.Kept == 0:
		return Line{Text: fmt.Sprintf("removed the checkpoints of %s", e.Task)}
	}
	return Line{Text: fmt.Sprintf("removed %s of %s, %d kept", Count(e.Removed, "older checkpoint"), e.Task, e.Kept)}
}

func (t *Teller) outcome(e *plan.RunEnded) Line {
	text := "the run " + map[plan.Outcome]string{
		plan.OutcomeSucceeded: "succeeded", plan.OutcomeFailed: "failed", plan.OutcomeCancelled: "was cancelled",
	}[e.Outcome]
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	weight := Good
	switch e.Outcome {
	case plan.OutcomeFailed:
		weight = Bad
	case plan.OutcomeCancelled:
		weight = Warning
	}
	return Line{Text: text, Weight: weight}
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return ", as asked by " + who
}

// Name is an index as people write it: train, or train[3] of an array.
func (t *Teller) Name(task string, index int) string { return Name(t.State.Spec, task, index) }

func (t *Teller) record(id job.AttemptID) *plan.AttemptRecord {
	if t.State.Spec == nil {
		return nil
	}
	for i := range t.State.Spec.Tasks {
		if t.State.Spec.Tasks[i].Name != id.Task || i >= len(t.State.Tasks) || id.Index >= len(t.State.Tasks[i].Indexes) {
			continue
		}
		attempts := t.State.Tasks[i].Indexes[id.Index].Attempts
		for k := range attempts {
			if attempts[k].Attempt == id.Attempt {
				return &attempts[k]
			}
		}
	}
	return nil
}
