package plan

import (
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
)

// chain is a task that fails, one that depends on it and one on that, and one
// of its own that keeps the run alive.
func chain() *job.Spec {
	spec := one(job.Retries{Attempts: 1})
	first := spec.Tasks[0]
	add := func(name string, on ...string) {
		task := first
		task.Name, task.DependsOn = name, on
		spec.Tasks = append(spec.Tasks, task)
	}
	add("aside")
	add("next", "train")
	add("last", "next", "aside")
	return spec
}

func (w *world) retries(task string) {
	w.tell(func(f *Facts) {
		f.Requests = append(f.Requests, Request{Kind: RequestRetry, By: "me", Task: task, Index: -1})
	})
}

func (w *world) phase(task string) IndexPhase { return w.state.Index(task, 0).Phase }

// A failed task that is retried while the run lives has fresh budgets and goes
// on from its checkpoint; what was cancelled for it waits for it again.
func TestRetry(t *testing.T) {
	w := play(t, chain())
	w.until(t, "it runs", func() bool { return w.phase("train") == IndexRunning })
	saved := w.saves(w.vms[w.state.Index("train", 0).Attempts[0].Instance], 1)
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		if id.Task == "train" && id.Attempt == 1 {
			return &job.AttemptEnd{Exited: true, ExitCode: 1, Saved: saved}
		}
		return nil
	}
	w.until(t, "it has failed", func() bool { return w.phase("last") == IndexCancelled })
	if w.phase("next") != IndexCancelled || w.state.Outcome != "" {
		t.Fatalf("next is %s, and the run %q", w.phase("next"), w.state.Outcome)
	}
	w.retries("next") // was cancelled for the sake of train, and cannot run without it
	w.retries("aside")
	w.tick()
	if w.phase("next") != IndexCancelled {
		t.Fatalf("next is %s", w.phase("next"))
	}
	w.retries("train")
	w.tick()
	x := w.state.Index("train", 0)
	if w.phase("next") != IndexBlocked || w.phase("last") != IndexBlocked || x.Charged != 0 {
		t.Fatalf("next is %s and last %s, %d are charged", w.phase("next"), w.phase("last"), x.Charged)
	}
	w.restart() // as the journal has it
	w.script = func(job.AttemptID) *job.AttemptEnd { end := succeeded(); return &end }
	w.untilFinished(t, OutcomeSucceeded)
	x = w.state.Index("train", 0)
	if len(x.Attempts) != 2 || x.Attempts[1].Restore == nil || x.Attempts[1].Restore.Key != saved.Key {
		t.Errorf("attempts %+v", x.Attempts)
	}
	golden(t, "retried", w)
}

// One that fails again cancels its dependents again, and the run ends.
func TestRetryThatFailsAgain(t *testing.T) {
	w := play(t, chain())
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		if id.Task == "train" {
			return &job.AttemptEnd{Exited: true, ExitCode: 1}
		}
		return nil
	}
	w.until(t, "it has failed", func() bool { return w.phase("next") == IndexCancelled })
	w.retries("train")
	w.tick()
	w.until(t, "it has failed again", func() bool { return w.phase("next") == IndexCancelled })
	w.script = func(job.AttemptID) *job.AttemptEnd { end := succeeded(); return &end }
	w.untilFinished(t, OutcomeFailed)
}

// What depends on two that failed waits until both are retried.
func TestRetryOfTwo(t *testing.T) {
	w := play(t, chain())
	keeps := w.spec.Tasks[1]
	keeps.Name = "keeps"
	spec := *w.spec
	spec.Tasks = append(spec.Tasks, keeps)
	w = play(t, &spec)
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		if id.Task != "keeps" && id.Attempt == 1 {
			return &job.AttemptEnd{Exited: true, ExitCode: 1}
		}
		return nil
	}
	w.until(t, "both have failed", func() bool { return w.phase("train") == IndexFailed && w.phase("aside") == IndexFailed })
	w.retries("train")
	w.tick()
	if w.phase("next") != IndexBlocked || w.phase("last") != IndexCancelled {
		t.Fatalf("next is %s and last %s", w.phase("next"), w.phase("last"))
	}
	w.retries("aside")
	w.tick()
	if w.phase("last") != IndexBlocked {
		t.Fatalf("last is %s", w.phase("last"))
	}
	w.script = func(job.AttemptID) *job.AttemptEnd { end := succeeded(); return &end }
	w.untilFinished(t, OutcomeSucceeded)
}

// A task that was allowed to fail has let its dependents go; when it is retried
// they wait for it again, and its second end does not count for another task's.
func TestRetryOfAnAllowedFailure(t *testing.T) {
	spec := chain()
	spec.Tasks[0].AllowFailure = true // train; next depends on it
	spec.Tasks[2].DependsOn = []string{"train", "aside"}
	w := play(t, spec)
	aside := &job.AttemptEnd{Exited: true, Committed: true}
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		switch id.Task {
		case "train":
			return &job.AttemptEnd{Exited: true, ExitCode: 1}
		case "aside":
			return nil
		}
		return aside
	}
	w.until(t, "train has failed", func() bool { return w.phase("train") == IndexFailed && w.phase("aside") == IndexRunning })
	w.retries("train")
	w.tick()
	w.until(t, "train has failed again", func() bool {
		return w.phase("train") == IndexFailed && len(w.state.Index("train", 0).Attempts) == 2
	})
	if w.phase("next") != IndexBlocked {
		t.Fatalf("next is %s, and aside %s", w.phase("next"), w.phase("aside"))
	}
	w.script = func(job.AttemptID) *job.AttemptEnd { return aside }
	w.untilFinished(t, OutcomeSucceeded)
	if w.phase("next") != IndexSucceeded || w.phase("last") != IndexSucceeded {
		t.Fatalf("next is %s and last %s", w.phase("next"), w.phase("last"))
	}
}
