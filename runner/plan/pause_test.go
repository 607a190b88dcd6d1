package plan

import (
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

func (w *world) asks(kind RequestKind) {
	w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: kind, By: "me"}) })
}

// A pause saves, gives every instance back and charges nothing; resumed, by
// another controller and long after, the task goes on from its checkpoint.
func TestPause(t *testing.T) {
	spec := one(job.Retries{Attempts: 1})
	spec.Timeout = job.Duration(time.Hour)
	w := play(t, spec)
	m := w.untilRuns(t, 1)
	saved := w.saves(m, 1)
	w.asks(RequestPause)
	w.step(time.Second)
	if w.state.Run() != RunPausing {
		t.Errorf("the run is %s", w.state.Run())
	}
	w.until(t, "it is paused", func() bool { return w.state.Run() == RunResting })
	rented := len(w.vms)
	w.restart()
	for range 10 {
		w.step(time.Hour)
	}
	if len(w.vms) != rented || w.state.Run() != RunResting || w.state.Outcome != "" {
		t.Fatalf("while paused, %d instances were rented and the run is %s", len(w.vms)-rented, w.state.Run())
	}
	w.asks(RequestResume)
	m = w.untilRuns(t, 2)
	x := w.state.Index("train", 0)
	first, second := &x.Attempts[0], &x.Attempts[1]
	if v := first.Verdict; v.Class != job.Cancelled || v.Cause != job.CausePaused || v.Charge != job.ChargeNothing || x.Charged != 0 {
		t.Errorf("the paused attempt was %+v, and %d are charged", v, x.Charged)
	}
	if second.Restore == nil || second.Restore.Key != saved.Key {
		t.Errorf("attempt 2 goes on from %v, not from %v", second.Restore, saved)
	}
	w.ends(m, 2, job.AttemptEnd{Exited: true, Committed: true})
	w.untilFinished(t, OutcomeSucceeded)
	golden(t, "paused", w)
}

// Resumed while it still saves, the attempt that was told to end ends all the
// same, free, and the next one begins.
func TestResumeWhilePausing(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 1}))
	m := w.untilRuns(t, 1)
	w.asks(RequestPause)
	w.tick()
	w.asks(RequestResume)
	w.tick()
	if w.state.Run() != RunRunning || !m.desired.Attempts[0].Cancel {
		t.Fatalf("the run is %s, the attempt %+v", w.state.Run(), m.desired.Attempts[0])
	}
	m = w.untilRuns(t, 2)
	w.ends(m, 2, job.AttemptEnd{Exited: true, Committed: true})
	w.untilFinished(t, OutcomeSucceeded)
	if v := w.state.Index("train", 0).Attempts[0].Verdict; v.Cause != job.CausePaused {
		t.Errorf("the attempt was %+v", v)
	}
}

// The time of a pause is no time of the run's.
func TestRunTimeoutWithoutPauses(t *testing.T) {
	spec := one(job.Retries{Attempts: 2})
	spec.Timeout = job.Duration(30 * time.Minute)
	w := play(t, spec)
	w.untilRuns(t, 1)
	w.asks(RequestPause)
	w.until(t, "it is paused", func() bool { return w.state.Run() == RunResting })
	for range 3 {
		w.step(time.Hour)
	}
	w.asks(RequestResume)
	w.tick()
	w.until(t, "its time is over", func() bool { return w.state.Stop != nil })
	if lived := w.now - w.state.PausedFor; lived < 30*time.Minute || lived > 31*time.Minute || w.state.PausedFor < 3*time.Hour {
		t.Errorf("it was stopped after %s and %s of pause", lived, w.state.PausedFor)
	}
}

// A run that is paused can be cancelled, and is over then.
func TestCancelWhilePaused(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 1}))
	w.untilRuns(t, 1)
	w.asks(RequestPause)
	w.until(t, "it is paused", func() bool { return w.state.Run() == RunResting })
	w.asks(RequestCancel)
	w.untilFinished(t, OutcomeCancelled)
}
