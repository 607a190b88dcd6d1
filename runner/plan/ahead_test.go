package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// array is a world with one instance of two slots and an array without
// checkpoints, whose attempts take so long.
func array(t *testing.T, count int, took time.Duration) *world {
	spec := one(spotOnly)
	spec.MaxInstances = 1
	task := &spec.Tasks[0]
	task.Name, task.Count, task.Array, task.Slots, task.Execution.Checkpoint = "short", count, true, 2, nil
	w := brief(t, spec)
	w.queues = true
	w.script = func(job.AttemptID) *job.AttemptEnd {
		end := succeeded()
		end.Elapsed = job.Duration(took)
		return &end
	}
	return w
}

// most is the most attempts that an instance had at a time until the run ended.
func (w *world) most(t *testing.T) (most int) {
	t.Helper()
	w.until(t, "the end of the run", func() bool {
		for _, inst := range w.state.Instances {
			most = max(most, len(inst.Attempts))
		}
		return w.state.Finished()
	})
	return most
}

func TestShortTasksAreAssignedAhead(t *testing.T) {
	for _, test := range []struct {
		took     time.Duration
		old      bool
		from, to int
	}{
		{took: 100 * time.Millisecond, from: 20, to: 2 + 2*40}, // a span of 4 s, two slots
		{took: time.Second, from: 3, to: 2 + 2*4},
		{took: 4 * time.Second, from: 2, to: 2},
		{took: time.Minute, from: 2, to: 2},
		{took: 100 * time.Millisecond, old: true, from: 2, to: 2}, // its agent would run all at once
	} {
		t.Run(fmt.Sprint(test.took, " ", test.old), func(t *testing.T) {
			w := array(t, 200, test.took)
			w.queues = !test.old
			if most := w.most(t); most < test.from || most > test.to {
				t.Errorf("an instance had %d attempts at a time, want %d to %d", most, test.from, test.to)
			}
		})
	}
}

// What an instance had no slot for in time goes elsewhere, uncharged, and
// nothing more is assigned ahead there for a while.
func TestWhatIsGivenBackIsFree(t *testing.T) {
	w := array(t, 100, 100*time.Millisecond)
	w.until(t, "work is assigned ahead", func() bool { return len(w.state.Running()) > 10 })
	w.script = func(job.AttemptID) *job.AttemptEnd { return nil } // from now on they take for ever
	w.until(t, "the rest is given back", func() bool { return len(w.state.Running()) == 2 })
	for i := range 100 {
		x := w.state.Index("short", i)
		if x.Charged != 0 {
			t.Errorf("index %d was charged for what it never began", i)
		}
	}
	w.script = func(job.AttemptID) *job.AttemptEnd { end := succeeded(); return &end }
	w.untilFinished(t, OutcomeSucceeded)
}

// An instance that is to get nothing more gives back what waits there.
func TestQuarantineGivesBack(t *testing.T) {
	w := array(t, 100, 100*time.Millisecond)
	w.until(t, "work is assigned ahead", func() bool { return len(w.state.Running()) > 10 })
	first := ""
	for id := range w.state.Instances {
		first = id
	}
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		end := succeeded()
		if rec := w.record(id); rec != nil && rec.Instance == first {
			end.ExitCode, end.Committed, end.Elapsed = 1, false, job.Duration(time.Second)
		}
		return &end
	}
	w.until(t, "another instance is rented", func() bool { return len(w.vms) > 1 })
	if m := w.vms[first]; m.State != providers.StateTerminated {
		t.Errorf("the bad instance is %s", m.State)
	}
	failed := 0
	for i := range 100 {
		failed += w.state.Index("short", i).Failures
	}
	if failed > 6 {
		t.Errorf("%d attempts failed on the bad instance, which had two slots", failed)
	}
	w.untilFinished(t, OutcomeSucceeded)
}

// What attempts cost is no more than what their instance does: those that wait
// for a slot do not share in it.
func TestWaitingCostsNothing(t *testing.T) {
	w := array(t, 200, 100*time.Millisecond)
	w.untilFinished(t, OutcomeSucceeded)
	sum, ahead := 0.0, 0
	for i := range 200 {
		rec := w.state.Index("short", i).Attempts[0]
		sum += rec.Cost
		if rec.Ahead {
			ahead++
		}
	}
	if ahead < 100 {
		t.Fatalf("%d of 200 were assigned ahead", ahead)
	}
	if sum > w.state.Cost {
		t.Errorf("the attempts cost %g, their instance %g", sum, w.state.Cost)
	}
}
