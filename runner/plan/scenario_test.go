package plan

import (
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// one is a run of one task.
func one(retries job.Retries) *job.Spec {
	if retries.CapacityWait == 0 {
		retries.CapacityWait = job.Duration(10 * time.Minute)
	}
	retries.Backoff = job.Backoff{Initial: job.Duration(10 * time.Second), Factor: 2, Max: job.Duration(10 * time.Minute)}
	return &job.Spec{
		Run: "01k0000000000000000000test", Timing: testTiming,
		Fleets: []job.Fleet{{Name: "aws", Provider: "aws"}},
		Tasks: []job.Task{{
			Name: "train", Count: 1, Fleets: []string{"aws"}, Slots: 1, Retries: retries,
			Execution: job.Execution{Command: []string{"train"}, Checkpoint: &job.Checkpoint{Path: "ckpt"}},
		}},
	}
}

// play is a world in which only what the test does goes wrong.
func play(t *testing.T, spec *job.Spec) *world {
	w := newWorld(spec, calm{}, t.Fatalf)
	w.script = func(job.AttemptID) *job.AttemptEnd { return nil }
	return w
}

// until steps ten seconds at a time, with a listing each, until it is so.
func (w *world) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 400 {
		if is() {
			return
		}
		for i := range w.spec.Fleets {
			w.list(w.spec.Fleets[i].Name)
		}
		w.step(10 * time.Second)
	}
	t.Fatalf("it never came to this: %s; counts %v, groups %+v", what, w.state.Counts(), w.state.Groups())
}

// runs reports whether an attempt runs, and on which VM.
func (w *world) running(attempt int) *vm {
	for _, a := range w.state.Running() {
		if a.Attempt == attempt && a.Accepted != 0 {
			return w.vms[a.Instance]
		}
	}
	return nil
}

func (w *world) untilRuns(t *testing.T, attempt int) *vm {
	t.Helper()
	w.until(t, "the attempt runs", func() bool { return w.running(attempt) != nil })
	return w.running(attempt)
}

// ends has an attempt end as its agent would report it.
func (w *world) ends(m *vm, attempt int, end job.AttemptEnd) {
	end.AttemptID = job.AttemptID{Task: "train", Attempt: attempt}
	w.stop(m, end)
}

func (w *world) saves(m *vm, attempt int) *job.CheckpointRef {
	id := job.AttemptID{Task: "train", Attempt: attempt}
	for i := range m.status.Running {
		if m.status.Running[i].AttemptID == id {
			m.alive[id]++
			w.save(m, i, id)
			return m.status.Running[i].Checkpoint
		}
	}
	return nil
}

func (w *world) untilFinished(t *testing.T, outcome Outcome) {
	t.Helper()
	w.until(t, "the run is closed", w.state.Finished)
	if w.state.Outcome != outcome {
		t.Errorf("the run %s, want %s", w.state.Outcome, outcome)
	}
}

// Two preemptions, one with a notice and one without, use up all but the last
// attempt, which runs on-demand and goes on from the newest checkpoint.
func TestPreemptionsToOnDemand(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 3, OnDemandAttempts: 1}))
	m := w.untilRuns(t, 1)
	w.saves(m, 1)
	saved := w.saves(m, 1)
	m.status.Notice, m.status.Phase = interruption, job.PhaseDraining
	w.step(time.Second)
	w.ends(m, 1, job.AttemptEnd{Exited: true, ExitCode: 143, Notice: interruption, SignalSent: true, Saved: saved})
	w.step(time.Second)
	w.kill(m, providers.EndReclaimed)
	m = w.untilRuns(t, 2)
	w.saves(m, 2)
	w.kill(m, providers.EndReclaimed)
	m = w.untilRuns(t, 3)
	w.ends(m, 3, job.AttemptEnd{Exited: true, Committed: true})
	w.untilFinished(t, OutcomeSucceeded)
	golden(t, "preempted", w)
}

// Failures pause longer each time; exit 75 with progress is free; the cap on
// failures ends the task, and what depends on it with it.
func TestFailuresToTheirCap(t *testing.T) {
	spec := one(job.Retries{Attempts: 6, OnDemandAttempts: 1, MaxFailures: new(2), FailExitCodes: []int{2}})
	spec.Tasks = append(spec.Tasks, job.Task{Name: "report", Count: 1, Fleets: []string{"aws"}, Slots: 1,
		DependsOn: []string{"train"}, Execution: job.Execution{Command: []string{"report"}}, Retries: spec.Tasks[0].Retries})
	w := play(t, spec)
	w.ends(w.untilRuns(t, 1), 1, job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Minute)})
	m := w.untilRuns(t, 2)
	w.ends(m, 2, job.AttemptEnd{Exited: true, ExitCode: 75, Saved: w.saves(m, 2), Elapsed: job.Duration(time.Minute)})
	w.ends(w.untilRuns(t, 3), 3, job.AttemptEnd{Exited: true, ExitCode: 75, Elapsed: job.Duration(time.Minute)})
	w.ends(w.untilRuns(t, 4), 4, job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Minute)})
	w.untilFinished(t, OutcomeFailed)
	golden(t, "failing", w)
}

// There is no spot: after capacity_wait the task moves to on-demand. There its
// final attempt loses its host twice at no charge; the third loss counts.
func TestHostsLostUnderTheFinalAttempt(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 1, OnDemandAttempts: 1, CapacityWait: job.Duration(5 * time.Minute)}))
	w.dry[providers.OnDemand] = true
	w.until(t, "on-demand is short", func() bool { return len(w.state.Short) > 0 })
	clear(w.dry)
	for attempt := 1; attempt <= 3; attempt++ {
		m := w.untilRuns(t, attempt)
		w.kill(m, providers.EndHostEvent)
		w.step(time.Second)
	}
	w.untilFinished(t, OutcomeFailed)
	golden(t, "host-lost", w)
}

// Spot is looked for everywhere for as long as capacity_wait, then on-demand is
// rented, and none of it is an attempt.
func TestCapacityWaitMovesToOnDemand(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 3, OnDemandAttempts: 1, CapacityWait: job.Duration(5 * time.Minute)}))
	w.dry[providers.Spot] = true
	m := w.untilRuns(t, 1)
	if m.Offer.Capacity != providers.OnDemand {
		t.Errorf("the attempt runs on %s, want on-demand", m.Offer.Capacity)
	}
	w.ends(m, 1, job.AttemptEnd{Exited: true, Committed: true})
	w.untilFinished(t, OutcomeSucceeded)
	golden(t, "capacity", w)
}

// With on_demand_attempts = 0 everything stays on spot, and at the end of
// capacity_wait the task fails without an attempt.
func TestNoCapacityAtAll(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 3, CapacityWait: job.Duration(5 * time.Minute)}))
	w.dry[providers.Spot] = true
	w.untilFinished(t, OutcomeFailed)
	x := w.state.Index("train", 0)
	if len(x.Attempts) != 0 || x.Charged != 0 {
		t.Errorf("%d attempts and %d charges, want none", len(x.Attempts), x.Charged)
	}
	golden(t, "no-capacity", w)
}

// A VM that somebody else deleted holds the run; nothing is rented until it is
// resumed, and no budget pays.
func TestDeletedByOthers(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 2, OnDemandAttempts: 1}))
	w.kill(w.untilRuns(t, 1), providers.EndByUser)
	w.until(t, "the run is held", func() bool { return w.state.Run() == RunHolding })
	before := len(w.vms)
	for range 30 {
		w.list("aws")
		w.step(20 * time.Second)
	}
	if len(w.vms) != before || w.state.Counts()[IndexReady] != 1 {
		t.Errorf("while held, %d instances were rented and the counts are %v", len(w.vms)-before, w.state.Counts())
	}
	w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestResume, By: "me"}) })
	m := w.untilRuns(t, 2)
	if m.Offer.Capacity != providers.Spot {
		t.Errorf("attempt 2 runs on %s, want spot: nothing was charged", m.Offer.Capacity)
	}
	w.ends(m, 2, job.AttemptEnd{Exited: true, Committed: true})
	w.untilFinished(t, OutcomeSucceeded)
	golden(t, "held", w)
}
