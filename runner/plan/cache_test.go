package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// cached is a run of an array and a task that merges it, both cached.
func cached(serialize bool) *job.Spec {
	spec := one(job.Retries{Attempts: 2})
	merge := spec.Tasks[0]
	spec.Tasks[0].Name, spec.Tasks[0].Count, spec.Tasks[0].Array = "part", 3, true
	spec.Tasks[0].Execution.Checkpoint = nil
	spec.Tasks[0].Execution.Output = &job.Output{Path: "out"}
	spec.Tasks[0].Cache = &job.Cache{Version: "1", Serialize: serialize}
	merge.Name, merge.DependsOn = "merge", []string{"part"}
	merge.Execution.Checkpoint = nil
	merge.Cache = &job.Cache{Version: "1", Serialize: serialize}
	spec.Tasks = append(spec.Tasks, merge)
	return spec
}

// succeeds has every attempt succeed, with an output that its index alone
// decides.
func succeeds(w *world) {
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		return &job.AttemptEnd{AttemptID: id, Exited: true, Committed: true, Elapsed: job.Duration(time.Second),
			Output: &job.Manifest{Key: fmt.Sprint("out/", id), Digest: fmt.Sprint(id.Attempt), Content: fmt.Sprintf("%s %d", id.Task, id.Index)},
			Result: map[string]string{"of": fmt.Sprint(id.Index)}}
	}
}

func launches(w *world) (n int) {
	for _, e := range w.journal {
		if e.LaunchOpened != nil {
			n++
		}
	}
	return n
}

// A run finds nothing and keeps all; the next finds all and rents nothing.
func TestCachedRunRentsNothing(t *testing.T) {
	first := play(t, cached(false))
	succeeds(first)
	first.until(t, "the first run is over", func() bool { return first.state.Finished() })
	if len(first.cache) != 4 || launches(first) == 0 {
		t.Fatalf("%d entries kept, %d launches", len(first.cache), launches(first))
	}
	second := play(t, cached(false))
	second.cache = first.cache
	second.until(t, "the second run is over", func() bool { return second.state.Finished() })
	if launches(second) != 0 || second.state.Outcome != OutcomeSucceeded {
		t.Errorf("%d launches, %s", launches(second), second.state.Outcome)
	}
	for a := range second.state.Attempts() {
		t.Errorf("an attempt: %+v", a)
	}
	x := second.state.Index("part", 2)
	if x.Cached == nil || x.Output == nil || x.Result["of"] != "2" {
		t.Errorf("part[2] is %+v", x)
	}
	golden(t, "cached", second)
}

// What depends on something else is computed, and nothing besides.
func TestOnlyWhatDiffersRuns(t *testing.T) {
	first := play(t, cached(false))
	succeeds(first)
	first.until(t, "the first run is over", func() bool { return first.state.Finished() })
	spec := cached(false)
	spec.Tasks[1].Execution.Env = map[string]string{"STYLE": "new"}
	second := play(t, spec)
	second.cache = first.cache
	succeeds(second)
	second.until(t, "the second run is over", func() bool { return second.state.Finished() })
	var ran []string
	for a := range second.state.Attempts() {
		ran = append(ran, a.Task)
	}
	if !slices.Equal(ran, []string{"merge"}) {
		t.Errorf("these ran: %v", ran)
	}
}

// Who computes the same is waited for: with a hit in the end, or, when it gave
// up, by computing it here.
func TestWaitsForWhoComputes(t *testing.T) {
	for _, finds := range []bool{true, false} {
		t.Run(fmt.Sprint("finds ", finds), func(t *testing.T) {
			w := play(t, cached(true))
			succeeds(w)
			w.heldBy = &job.CacheClaim{Run: "01kother", Task: "part", Index: 1}
			w.until(t, "it waits", func() bool { return w.state.Index("part", 1).Waits != nil })
			w.step(time.Minute)
			if got := w.state.Counts()[IndexWaiting]; got != 3 || launches(w) != 0 {
				t.Errorf("%d wait, %d launches", got, launches(w))
			}
			w.restart() // the next controller asks again
			w.until(t, "it waits again", func() bool { return len(w.lookedUp) >= 6 })
			if finds {
				w.computed()
			}
			w.heldBy = nil
			w.until(t, "the run is over", func() bool { return w.state.Finished() })
			if x := w.state.Index("part", 1); (x.Cached != nil) != finds || x.Waits != nil || x.Phase != IndexSucceeded {
				t.Errorf("part[1] is %+v", x)
			}
			if len(w.claimed) > 0 {
				t.Errorf("claims are left: %v", w.claimed)
			}
		})
	}
}

// What fails gives its claim up, at once and for whatever reason.
func TestClaimsAreGivenUp(t *testing.T) {
	for name, act := range map[string]func(*world){
		"fails": func(w *world) {
			w.script = func(id job.AttemptID) *job.AttemptEnd {
				return &job.AttemptEnd{AttemptID: id, Exited: true, ExitCode: 2}
			}
		},
		"cancelled": func(w *world) {
			w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestCancel}) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := play(t, cached(true))
			w.until(t, "claimed", func() bool { return len(w.claimed) == 3 })
			act(w)
			w.until(t, "the run is over", func() bool { return w.state.Finished() })
			if len(w.claimed) > 0 {
				t.Errorf("claims are left: %v", w.claimed)
			}
		})
	}
}

// A run that is held keeps nobody waiting.
func TestHeldRunKeepsNobodyWaiting(t *testing.T) {
	w := play(t, cached(true))
	succeeds(w)
	w.dry["spot"], w.dry["on-demand"] = true, true // nothing is rented
	w.until(t, "claimed", func() bool { return len(w.claimed) == 3 })
	w.state.Apply(Event{At: w.now, RunHeld: &RunHeld{Reason: "to see"}})
	w.journal = append(w.journal, Event{At: w.now, RunHeld: &RunHeld{Reason: "to see"}})
	w.step(time.Second)
	if len(w.claimed) > 0 {
		t.Errorf("held, with claims: %v", w.claimed)
	}
	clear(w.dry)
	w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestResume}) })
	w.until(t, "the run is over", func() bool { return w.state.Finished() })
	if w.state.Outcome != OutcomeSucceeded {
		t.Errorf("it %s", w.state.Outcome)
	}
}

// The same holds for what has had an attempt and waits for the next, also with
// another controller.
func TestHeldRunGivesUpWhatItTriesAgain(t *testing.T) {
	w := play(t, cached(true))
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		return &job.AttemptEnd{AttemptID: id, Exited: true, ExitCode: 1}
	}
	w.until(t, "an attempt failed", func() bool { return w.state.Index("part", 0).Failures == 1 })
	if len(w.claimed) != 3 {
		t.Fatalf("claimed: %v", w.claimed)
	}
	succeeds(w)
	w.journal = append(w.journal, Event{At: w.now, RunHeld: &RunHeld{Reason: "to see"}})
	w.restart()
	w.until(t, "the claims are given up", func() bool { return len(w.claimed) == 0 })
	w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestResume}) })
	w.until(t, "the run is over", func() bool { return w.state.Finished() })
	if w.state.Outcome != OutcomeSucceeded || len(w.claimed) > 0 {
		t.Errorf("it %s, claimed: %v", w.state.Outcome, w.claimed)
	}
}

// A controller that dies between the journal and the cache leaves the rest to
// the next one; what is known to be kept is not kept again.
func TestKeptAfterARestart(t *testing.T) {
	w := play(t, cached(false))
	succeeds(w)
	w.loseStores = true
	w.until(t, "all parts succeeded", func() bool { return w.state.taskCounts(0)[IndexSucceeded] == 3 })
	w.loseStores = false
	w.restart()
	w.until(t, "the run is over", func() bool { return w.state.Finished() })
	if len(w.cache) != 4 {
		t.Errorf("%d entries", len(w.cache))
	}
	w.stores = 0
	w.restart()
	w.step(time.Second)
	if w.stores != 0 {
		t.Errorf("%d results were kept again", w.stores)
	}
}

// --no-cache and --overwrite-cache do not ask, and keep.
func TestSkipAndOverwrite(t *testing.T) {
	for _, overwrite := range []bool{false, true} {
		spec := cached(true)
		for i := range spec.Tasks {
			spec.Tasks[i].Cache.Skip, spec.Tasks[i].Cache.Overwrite = !overwrite, overwrite
		}
		w := play(t, spec)
		succeeds(w)
		w.until(t, "the run is over", func() bool { return w.state.Finished() })
		if len(w.lookedUp) > 0 || len(w.claimed) > 0 || len(w.cache) != 4 || w.overwrites != overwrite {
			t.Errorf("asked %v, claimed %v, %d entries, overwritten: %t", w.lookedUp, w.claimed, len(w.cache), w.overwrites)
		}
	}
}

// An entry that is of no use is replaced, and the journal says so.
func TestDamagedEntryIsReplaced(t *testing.T) {
	w := play(t, cached(false))
	succeeds(w)
	w.damaged = true
	w.until(t, "the run is over", func() bool { return w.state.Finished() })
	if x := w.state.Index("part", 0); x.Missed == nil || !strings.Contains(x.Missed.Reason, "damaged") || !w.overwrites {
		t.Errorf("part[0] is %+v, overwritten: %t", x, w.overwrites)
	}
}

// The seed is the index's own, the same in each attempt.
func TestSeedOfAssignments(t *testing.T) {
	w := play(t, cached(false))
	seeds := map[string]map[uint64]bool{}
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		return &job.AttemptEnd{AttemptID: id, Exited: true, ExitCode: 1}
	}
	w.until(t, "the run is over", func() bool {
		for _, a := range w.actions {
			if a.Desired == nil {
				continue
			}
			for _, given := range a.Desired.Attempts {
				name := series(given.AttemptID)
				if seeds[name] == nil {
					seeds[name] = map[uint64]bool{}
				}
				seeds[name][given.Seed] = true
			}
		}
		return w.state.Finished()
	})
	all := map[uint64]bool{}
	for name, of := range seeds {
		for seed := range of {
			all[seed] = true
		}
		if len(of) != 1 || of[0] {
			t.Errorf("%s has seeds %v", name, of)
		}
	}
	if len(all) != 3 {
		t.Errorf("seeds %v", seeds)
	}
}
