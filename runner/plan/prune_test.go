package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// The run closes only when its checkpoints are as the job file says; a
// controller that comes after a crash asks again, and then no more.
func TestPruneBeforeTheRunCloses(t *testing.T) {
	spec := one(job.Retries{Attempts: 5})
	spec.Tasks[0].Execution.Checkpoint.AtEnd = job.AtEndRemove
	spec.Tasks[0].Execution.Further = []job.Checkpoint{{Name: "index", AtEnd: job.AtEndKeepLast}, {Name: "all", AtEnd: job.AtEndKeep}}
	w := play(t, spec)
	m := w.untilRuns(t, 1)
	bad := w.saves(m, 1)
	w.kill(m, providers.EndReclaimed)
	m = w.untilRuns(t, 2)
	w.ends(m, 2, job.AttemptEnd{RestoreError: "chunk 12 is corrupt", Elapsed: job.Duration(time.Minute)})
	m = w.untilRuns(t, 3)
	w.ends(m, 3, succeeded())
	w.until(t, "the question", func() bool { return w.pruned["train"] != nil })
	if w.state.Finished() {
		t.Fatal("the run is closed before the answer")
	}
	got := w.pruned["train"]
	if len(got.AtEnd) != 2 || got.AtEnd[""] != job.AtEndRemove || got.AtEnd["index"] != job.AtEndKeepLast ||
		len(got.Unfinished) != 0 || !slices.Equal(got.Bad, []string{bad.Key}) {
		t.Errorf("asked: %+v", got)
	}
	w.pruned, w.facts = map[string]*ActionPrune{}, nil // the controller dies before the answer
	w.restart()
	w.untilFinished(t, OutcomeSucceeded)
	if w.pruned["train"] == nil {
		t.Error("the next controller did not ask")
	}
	told := 0
	for _, e := range w.journal {
		if e.CheckpointsPruned != nil {
			told++
		}
	}
	if told != 1 {
		t.Errorf("it is told %d times", told)
	}
}

// Where nothing was ever assigned there is nothing to look for.
func TestNothingToPrune(t *testing.T) {
	spec := one(job.Retries{Attempts: 5})
	spec.Tasks[0].Execution.Checkpoint.AtEnd = job.AtEndKeepLast
	w := play(t, spec)
	w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestCancel}) })
	w.untilFinished(t, OutcomeCancelled)
	if len(w.pruned) > 0 {
		t.Errorf("asked: %+v", w.pruned)
	}
}

// The series are gone on from each by itself: what one lacks another may have,
// and any of them moving on is progress.
func TestSeriesMoveOn(t *testing.T) {
	ref := func(content string) job.CheckpointRef { return job.CheckpointRef{Key: "k" + content, Content: content} }
	none := (*job.CheckpointRef)(nil)
	main := none.With("", ref("a"))
	both := main.With("index", ref("i"))
	for name, test := range map[string]struct {
		from, to *job.CheckpointRef
		want     bool
	}{
		"nothing saved":             {main, nil, false},
		"the same":                  {both, both, false},
		"the one that was there":    {both, main, false},
		"another content":           {main, none.With("", ref("b")), true},
		"a series that was not":     {main, both, true},
		"only the other one":        {nil, none.With("index", ref("i")), true},
		"the other one moved on":    {both, both.With("index", ref("j")), true},
		"nothing in it, as before":  {nil, none.With("", job.CheckpointRef{Key: "k"}), false},
		"what the other one was of": {none.With("index", ref("i")), none.With("index", ref("i")), false},
	} {
		if got := movedOn(test.from, test.to); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if text := checkpointText(none.With("index", job.CheckpointRef{Key: "k", Attempt: 2, Sequence: 7})); text != "index 2-7" {
		t.Errorf("called %q", text)
	}
	if key := badOf(both, &job.AttemptEnd{RestoreKey: "ki"}); key != "ki" {
		t.Errorf("bad is %q", key)
	}
	if key := badOf(both, &job.AttemptEnd{RestoreKey: "of another"}); key != "ka" {
		t.Errorf("bad is %q", key)
	}
}
