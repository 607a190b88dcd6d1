package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// wakes lets time pass from one time that the planner asked for to the next,
// with no fact of any kind, until it is so.
func (w *world) wakes(t *testing.T, is func() bool) {
	t.Helper()
	w.tick()
	for !is() {
		if w.wake <= w.now || w.wake > 1000*time.Hour {
			t.Fatalf("at %s the planner asked for no tick (%s)", w.now, w.wake)
		}
		w.now = w.wake
		w.tick()
	}
}

// acts lets the agents act on what they were last told, and reports it.
func (w *world) acts() {
	for range 3 {
		w.step(time.Second)
	}
}

// A task's cost is its price times its time. The planner comes by itself when
// most of it is spent, and when all of it is: no fact is needed.
func TestMaxCostOfATask(t *testing.T) {
	spec := one(job.Retries{Attempts: 5, OnDemandAttempts: 1})
	spec.Tasks[0].MaxCost = 0.5 // half an hour at $1
	w := play(t, spec)
	spec.Timing.Silence = 0 // else the agents that rest here would be lost
	m := w.untilRuns(t, 1)
	w.saves(m, 1)
	w.step(time.Second)
	began := w.state.Index("train", 0).Attempts[0].Assigned
	w.wakes(t, func() bool { return w.state.Index("train", 0).Warned > 0 })
	if x := w.state.Index("train", 0); x.Warned < 0.4 || x.Warned > 0.401 || w.now-began < 24*time.Minute {
		t.Fatalf("after %s it was warned at $%g of $0.5", w.now-began, x.Warned)
	}
	w.wakes(t, func() bool { return w.state.Index("train", 0).Attempts[0].Stopped != "" })
	if at := w.now - began; at < 30*time.Minute || at > 30*time.Minute+time.Second {
		t.Errorf("the cap was reached after %s, not after half an hour at $1 an hour", at)
	}
	if a := m.desired.Attempts; len(a) != 1 || !a[0].Cancel {
		t.Fatalf("its instance was told %+v, not to cancel it", a)
	}
	w.acts()
	w.untilFinished(t, OutcomeFailed)
	x := w.state.Index("train", 0)
	v := x.Attempts[0].Verdict
	if v.Class != job.Cancelled || v.Cause != job.CauseMaxCost || v.Charge != job.ChargeNothing || len(x.Attempts) != 1 {
		t.Errorf("the attempt was %+v, of %d", v, len(x.Attempts))
	}
	if x.Phase != IndexCancelled || x.EndedFor != job.CauseMaxCost || x.Checkpoint == nil {
		t.Errorf("the index is %s for %s with checkpoint %v", x.Phase, x.EndedFor, x.Checkpoint)
	}
	if !strings.Contains(w.state.Reason, "spotrelay recover "+spec.Run+" --max-cost train=1 ") {
		t.Errorf("the run ends for %q, which does not say how to go on", w.state.Reason)
	}
	golden(t, "max-cost", w)
}

// All attempts of an index count, also those of a controller before this one,
// and what the last one leaves must pay for another.
func TestMaxCostOverAttempts(t *testing.T) {
	spec := one(job.Retries{Attempts: 9, OnDemandAttempts: 1})
	spec.Tasks[0].MaxCost = 0.5
	spec.Timing.Silence = 0
	w := play(t, spec)
	m := w.untilRuns(t, 1)
	w.now += 14 * time.Minute
	w.step(time.Second)
	w.kill(m, providers.EndReclaimed)
	m = w.untilRuns(t, 2)
	w.restart()
	w.step(time.Second)
	w.now += 7 * time.Minute
	w.step(time.Second)
	for w.state.spentBy(ref{}) < 0.49 {
		w.step(time.Second)
	}
	if w.state.Index("train", 0).Warned == 0 {
		t.Error("two attempts have cost most of it, and nobody was warned")
	}
	w.kill(m, providers.EndReclaimed)
	w.untilFinished(t, OutcomeFailed)
	x := w.state.Index("train", 0)
	if n := len(x.Attempts); n != 2 || x.Spent >= spec.Tasks[0].MaxCost || x.EndedFor != job.CauseMaxCost {
		t.Errorf("%d attempts cost $%g, and it ended for %q", n, x.Spent, x.EndedFor)
	}
	if !strings.Contains(x.Reason, "does not pay for another attempt") {
		t.Errorf("the index ended for %q", x.Reason)
	}
}

// What succeeds while it is being stopped has succeeded.
func TestMaxCostComesTooLate(t *testing.T) {
	spec := one(job.Retries{Attempts: 2})
	spec.Tasks[0].MaxCost, spec.Timing.Silence = 0.5, 0
	w := play(t, spec)
	m := w.untilRuns(t, 1)
	w.now += time.Hour
	w.tick()
	w.ends(m, 1, job.AttemptEnd{Exited: true, Committed: true})
	w.untilFinished(t, OutcomeSucceeded)
}

// A job's cap counts every instance, idle ones too, and ends all that runs.
func TestMaxCostOfAJob(t *testing.T) {
	spec := one(job.Retries{Attempts: 5, OnDemandAttempts: 1})
	spec.MaxCost, spec.Tasks[0].Count, spec.Tasks[0].Array, spec.Timing.Silence = 1, 3, true, 0
	spec.MaxInstances = 2
	w := play(t, spec)
	w.until(t, "two run", func() bool { return w.state.Counts()[IndexRunning] == 2 })
	w.wakes(t, func() bool { return w.state.Stop != nil })
	if spent := w.state.Spent(); spent < 1 || spent > 1.01 || w.state.Warned < 0.8 || w.state.Warned > 0.81 {
		t.Errorf("it was warned at $%g and stopped at $%g, not at $0.8 and $1", w.state.Warned, spent)
	}
	if w.state.Run() != RunStopping {
		t.Errorf("the run is %s", w.state.Run())
	}
	w.acts()
	w.untilFinished(t, OutcomeFailed)
	for j := range 3 {
		if x := w.state.Index("train", j); x.Phase != IndexCancelled || x.EndedFor != job.CauseMaxCost {
			t.Errorf("index %d is %s for %s", j, x.Phase, x.EndedFor)
		}
	}
	if !strings.Contains(w.state.Reason, "--max-cost 2") {
		t.Errorf("the run ends for %q", w.state.Reason)
	}
	golden(t, "max-cost-job", w)
}

// A run's time is over when nothing happens, too.
func TestRunTimeout(t *testing.T) {
	spec := one(job.Retries{Attempts: 5, OnDemandAttempts: 1})
	spec.Timeout, spec.Timing.Silence = job.Duration(20*time.Minute), 0
	w := play(t, spec)
	m := w.untilRuns(t, 1)
	w.saves(m, 1)
	w.step(time.Second)
	w.wakes(t, func() bool { return w.state.Stop != nil })
	if w.now != 20*time.Minute || w.state.Stop == nil {
		t.Fatalf("at %s the run is %s", w.now, w.state.Run())
	}
	w.acts()
	w.untilFinished(t, OutcomeFailed)
	x := w.state.Index("train", 0)
	if v := x.Attempts[0].Verdict; v.Cause != job.CauseRunTimeout || v.Class != job.Cancelled || x.Checkpoint == nil {
		t.Errorf("the attempt was %+v, with checkpoint %v", v, x.Checkpoint)
	}
}
