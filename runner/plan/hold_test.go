package plan

import (
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

func holdSpec(attempts int) *job.Spec {
	spec := one(job.Retries{Attempts: attempts})
	spec.Tasks[0].HoldOnFailure = job.Duration(30 * time.Minute)
	spec.Timing.Silence = job.Duration(2 * time.Hour)
	return spec
}

var exitOne = job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Minute)}

// The instance of a failed attempt is kept for its time and gets nothing more;
// the run goes on so long, and then ends.
func TestHoldOnFailure(t *testing.T) {
	w := play(t, holdSpec(1))
	m := w.untilRuns(t, 1)
	w.ends(m, 1, exitOne)
	w.step(time.Second)
	held := w.now
	if kept := w.state.KeptFor("train", 0); len(kept) != 1 || kept[0].ID != m.ID || w.state.Outcome != "" {
		t.Fatalf("kept %+v, the run is %s", kept, w.state.Run())
	}
	w.until(t, "it is over", w.state.Finished)
	if took := w.now - held; took < 30*time.Minute || took > 31*time.Minute || w.state.Outcome != OutcomeFailed {
		t.Errorf("it was kept for %s, and the run %s", took, w.state.Outcome)
	}
	golden(t, "hold", w)
}

// The next attempt goes elsewhere, and the newest failure is the one that is
// kept; a retry is taken up while something is, and a release ends it.
func TestHoldAndRetry(t *testing.T) {
	w := play(t, holdSpec(2))
	first := w.untilRuns(t, 1)
	w.ends(first, 1, exitOne)
	second := w.untilRuns(t, 2)
	if second.ID == first.ID {
		t.Fatal("the next attempt was placed on the instance that is kept")
	}
	w.ends(second, 2, exitOne)
	w.until(t, "the first is let go", func() bool { return first.State == providers.StateTerminated })
	if kept := w.state.KeptFor("", -1); len(kept) != 1 || kept[0].ID != second.ID || w.phase("train") != IndexFailed {
		t.Fatalf("kept %+v, the task is %s", kept, w.phase("train"))
	}
	w.retries("train")
	third := w.untilRuns(t, 3)
	w.restart()
	w.ends(third, 3, job.AttemptEnd{Exited: true, Committed: true})
	w.until(t, "it has succeeded", func() bool { return w.phase("train") == IndexSucceeded })
	began := w.now
	w.tell(func(f *Facts) {
		f.Requests = append(f.Requests, Request{Kind: RequestRelease, Task: "train", Index: -1})
	})
	w.untilFinished(t, OutcomeSucceeded)
	if took := w.now - began; took > 2*time.Minute {
		t.Errorf("after the release it took %s", took)
	}
}

// A loss keeps nothing, and neither does a cancelled run.
func TestHoldOnlyFailures(t *testing.T) {
	w := play(t, holdSpec(3))
	w.kill(w.untilRuns(t, 1), providers.EndReclaimed)
	m := w.untilRuns(t, 2)
	if kept := w.state.KeptFor("", -1); len(kept) != 0 {
		t.Errorf("kept %+v", kept)
	}
	w.ends(m, 2, exitOne)
	w.untilRuns(t, 3)
	w.asks(RequestCancel)
	began := w.now
	w.untilFinished(t, OutcomeCancelled)
	if took := w.now - began; took > 2*time.Minute {
		t.Errorf("a cancelled run kept its instance for %s", took)
	}
}
