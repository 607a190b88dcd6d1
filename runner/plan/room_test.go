package plan

import (
	"math"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// brief is a world whose attempts succeed at once.
func brief(t *testing.T, spec *job.Spec) *world {
	w := newWorld(spec, calm{}, t.Fatalf)
	w.script = func(job.AttemptID) *job.AttemptEnd { end := succeeded(); return &end }
	return w
}

// An instance that waits for its group's work, which waits for another group's,
// does not keep the only place until its patience is over.
func TestIdleInstanceMakesRoom(t *testing.T) {
	spec := one(spotOnly)
	spec.MaxInstances = 1
	spec.Tasks[0].Name = "first"
	between, last := spec.Tasks[0], spec.Tasks[0]
	between.Name, between.DependsOn, between.Labels = "between", []string{"first"}, map[string]string{"its": "own"}
	last.Name, last.DependsOn = "last", []string{"between"}
	spec.Tasks = append(spec.Tasks, between, last)
	spec.Timing.IdleTimeout = job.Duration(time.Hour)
	w := brief(t, spec)
	w.untilFinished(t, OutcomeSucceeded)
	if w.now > spec.Timing.IdleTimeout.D()/2 {
		t.Errorf("it took %s", w.now)
	}
	if n := len(w.vms); n != 3 {
		t.Errorf("%d instances were rented, want 3", n)
	}
}

// What a quota left no room for is rented as soon as an instance of ours that
// filled it is gone, and does not fail for want of capacity meanwhile.
func TestQuotaThatWeFillOurselves(t *testing.T) {
	spec := one(job.Retries{Attempts: 5, OnDemandAttempts: 1, CapacityWait: job.Duration(5 * time.Minute)})
	spec.Tasks[0].Count, spec.Tasks[0].Array = 4, true
	w := play(t, spec)
	w.quota = 2
	w.until(t, "two run", func() bool { return len(w.state.Running()) == 2 })
	w.until(t, "the fleet is left alone for minutes", func() bool {
		return len(w.state.Cool) > 0 && w.state.Cool[0].Until > w.now+2*time.Minute
	})
	if counts := w.state.Counts(); counts[IndexFailed] != 0 || len(w.state.Short) != 0 {
		t.Fatalf("counts %v, short %v", counts, w.state.Short)
	}
	for _, m := range w.vms {
		if m.State == providers.StateRunning {
			w.kill(m, providers.EndReclaimed)
		}
	}
	began := w.now
	w.until(t, "two run again", func() bool { return len(w.state.Running()) == 2 && w.living() == 2 })
	if took := w.now - began; took > time.Minute {
		t.Errorf("after the two were gone it took %s to replace them", took)
	}
	w.script = func(job.AttemptID) *job.AttemptEnd { end := succeeded(); return &end }
	w.untilFinished(t, OutcomeSucceeded)
}

// When no spot pool boots, on-demand is rented once, not anew at each look
// back for spot.
func TestSpotThatNeverBootsIsNotLookedForAgain(t *testing.T) {
	w := brief(t, one(job.Retries{Attempts: 3, OnDemandAttempts: 1}))
	onDemand := 0
	w.until(t, "the run is closed", func() bool {
		onDemand = 0
		for _, m := range w.vms {
			m.dead = m.Offer.Capacity == providers.Spot
			if !m.dead {
				onDemand++
			}
		}
		return w.state.Finished()
	})
	back := w.event(func(e Event) bool { return e.CapacityMoved != nil && e.CapacityMoved.Back })
	if onDemand != 1 || back != nil {
		t.Errorf("%d on-demand instances were rented, want 1; back: %v", onDemand, back)
	}
}

// A task that fails at once everywhere gets a few instances, not a new one for
// every two failures.
func TestTaskThatAlwaysFailsBuysFewInstances(t *testing.T) {
	spec := one(job.Retries{Attempts: 4})
	spec.Tasks[0].Count, spec.Tasks[0].Array = 40, true
	spec.MaxInstances = 1
	w := newWorld(spec, calm{}, t.Fatalf)
	w.script = func(job.AttemptID) *job.AttemptEnd {
		return &job.AttemptEnd{Exited: true, ExitCode: 3, Elapsed: job.Duration(time.Second)}
	}
	w.until(t, "the run is closed", func() bool { w.step(time.Second); return w.state.Finished() })
	if n := len(w.vms); n > acquittedAfter+1 {
		t.Errorf("%d instances were rented for %d failures", n, 40*4)
	}
}

// A success among the failures says that the instance is to blame after all.
func TestSuccessElsewhereBringsTheQuarantineBack(t *testing.T) {
	spec := one(job.Retries{Attempts: 20})
	spec.Timing.IdleTimeout = job.Duration(24 * time.Hour)
	w := play(t, spec)
	fails := job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Second)}
	var kept *vm
	for attempt := 1; attempt <= 2*acquittedAfter+2; attempt++ {
		kept = w.untilRuns(t, attempt)
		w.ends(kept, attempt, fails)
	}
	if n := len(w.vms); n != acquittedAfter {
		t.Fatalf("%d instances were rented, want %d", n, acquittedAfter)
	}
	if w.state.quarantined(w.state.Instances[kept.ID]) {
		t.Error("the last is held to be bad")
	}
	m := w.untilRuns(t, 2*acquittedAfter+3)
	w.ends(m, 2*acquittedAfter+3, job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Hour)})
	w.untilRuns(t, 2*acquittedAfter+4)
	if len(w.state.Blamed) != 0 {
		t.Errorf("blamed %v after an attempt that ran for an hour", w.state.Blamed)
	}
}

// An attempt that saves and asks for the next at once, time and again, is
// charged nothing, and waits.
func TestSavedAtOnceWaits(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 2}))
	m := w.untilRuns(t, 1)
	ref := w.saves(m, 1)
	w.ends(m, 1, job.AttemptEnd{Exited: true, ExitCode: job.ExitSaved, Elapsed: job.Duration(time.Second), Saved: ref})
	w.until(t, "it waits", func() bool { return w.state.Index("train", 0).Phase == IndexWaiting })
	x := w.state.Index("train", 0)
	if x.Charged != 0 || x.NotBefore < w.now {
		t.Errorf("charged %d, not before %s at %s", x.Charged, x.NotBefore, w.now)
	}
	m = w.untilRuns(t, 2)
	ref = w.saves(m, 2)
	w.ends(m, 2, job.AttemptEnd{Exited: true, ExitCode: job.ExitSaved, Elapsed: job.Duration(time.Hour), Saved: ref})
	w.until(t, "the second is over", func() bool { return w.state.Index("train", 0).Attempts[1].Verdict != nil })
	if x := w.state.Index("train", 0); x.NotBefore != 0 || x.Charged != 0 {
		t.Errorf("after an hour's work it waits until %s, charged %d", x.NotBefore, x.Charged)
	}
}

// A chunk that all checkpoints share is damaged: each of them is tried, on the
// same instance, one charge pays for all, and then the task begins anew.
func TestDamageInAllCheckpointsIsChargedOnce(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 3}))
	first := w.untilRuns(t, 1)
	const saves = 6
	for range saves {
		w.saves(first, 1)
	}
	w.kill(first, providers.EndReclaimed)
	var m *vm
	for attempt := 2; attempt < 2+saves; attempt++ {
		at := w.untilRuns(t, attempt)
		if m != nil && m != at {
			t.Fatalf("attempt %d is on another instance", attempt)
		}
		m = at
		if rec := w.state.Index("train", 0).current(); rec.Restore == nil {
			t.Fatalf("attempt %d begins anew", attempt)
		}
		w.ends(m, attempt, job.AttemptEnd{RestoreError: "a chunk is corrupt", Elapsed: job.Duration(time.Second)})
	}
	w.untilRuns(t, 2+saves)
	x := w.state.Index("train", 0)
	if x.current().Restore != nil || x.Charged != 2 || x.Hosts != 1 {
		t.Errorf("restores %v, charged %d, of these infrastructure %d", x.current().Restore, x.Charged, x.Hosts)
	}
}

// A save of what was restored is no progress: exit 75 with it is paid for, and
// a task that only asks to be run again comes to an end. Nor is an empty
// directory progress from nothing.
func TestSavedWithoutProgressIsCharged(t *testing.T) {
	for name, content := range map[string]string{"the same content": "c", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			w := play(t, one(job.Retries{Attempts: 3}))
			exit := job.AttemptEnd{Exited: true, ExitCode: job.ExitSaved, Elapsed: job.Duration(time.Minute)}
			for n := 1; w.state.Outcome == "" && n < 10; n++ {
				m := w.untilRuns(t, n)
				ref := w.saves(m, n)
				ref.Content = content
				exit.Saved = ref
				w.ends(m, n, exit)
				w.until(t, "it is judged", func() bool { return w.state.Index("train", 0).Attempts[n-1].Verdict != nil })
				if w.state.Index("train", 0).Phase == IndexFailed {
					break
				}
			}
			x := w.state.Index("train", 0)
			if x.Phase != IndexFailed || x.Charged != 3 {
				t.Errorf("%s, charged %d of 3 after %d attempts", x.Phase, x.Charged, len(x.Attempts))
			}
		})
	}
}

// Instances cost money while nobody controls their run, as long as their
// agents may go on alone; the run's own time stands still.
func TestUnattendedTimeIsPaid(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 2}))
	w.state.Spec.Timing.OrphanGrace, w.state.Spec.Timing.Lease = job.Duration(time.Hour), job.Duration(time.Minute)
	m := w.untilRuns(t, 1)
	price := m.Offer.Price
	before := w.state.Spent()
	w.state.Apply(Event{At: w.now, Unattended: &Unattended{Length: 30 * time.Minute}})
	if got := w.state.Spent() - before; math.Abs(got-price/2) > 1e-9 {
		t.Errorf("half an hour at %g an hour cost %g", price, got)
	}
	w.state.Apply(Event{At: w.now, Unattended: &Unattended{Length: 48 * time.Hour}})
	whole := price * (1.5 + 4.0/60)
	if got := w.state.Spent() - before; math.Abs(got-whole) > 1e-9 {
		t.Errorf("two days more cost %g, not %g: no agent goes on alone for so long", got, whole)
	}
	w.ends(m, 1, job.AttemptEnd{Exited: true, Committed: true})
	w.until(t, "it is judged", func() bool { return w.state.Index("train", 0).Attempts[0].Verdict != nil })
	if got := w.state.Index("train", 0).Attempts[0].Cost; got < whole {
		t.Errorf("the attempt cost %g, less than %g", got, whole)
	}
}

// Where the offers say how many instances a fleet holds, no more are asked for
// and nothing is left alone for it; what is idle makes room for other work.
func TestFleetLimit(t *testing.T) {
	spec := one(spotOnly)
	spec.Tasks[0].Name, spec.Tasks[0].Count, spec.Tasks[0].Array = "first", 5, true
	second := spec.Tasks[0]
	second.Name, second.DependsOn, second.Labels = "second", []string{"first"}, map[string]string{"its": "own"}
	spec.Tasks = append(spec.Tasks, second)
	spec.Timing.IdleTimeout = job.Duration(time.Hour)
	w := brief(t, spec)
	w.quota = 2
	for i := range w.offers {
		w.offers[i].Limit, w.offers[i].FleetLimit = 2, 2
	}
	w.until(t, "it ends", func() bool {
		if n := w.living(); n > 2 {
			t.Fatalf("%d instances live", n)
		}
		if len(w.state.Cool) > 0 {
			t.Fatalf("left alone: %+v", w.state.Cool)
		}
		return w.state.Outcome != ""
	})
	if w.state.Outcome != OutcomeSucceeded || w.now > spec.Timing.IdleTimeout.D()/2 {
		t.Errorf("%s after %s", w.state.Outcome, w.now)
	}
}
