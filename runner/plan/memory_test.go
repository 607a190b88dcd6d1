package plan

import (
	"slices"
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
)

const gib = 1 << 30

func memoryHungry(attempts int) *job.Spec {
	spec := one(job.Retries{Attempts: attempts})
	spec.Tasks[0].Resources.Memory = 3 * gib
	spec.Tasks[0].Execution.MemoryLimit = 3 * gib
	spec.Tasks[0].OnOutOfMemory = &job.MoreMemory{Factor: 2, Max: 10 * gib}
	return spec
}

// needs are what was asked for of launches, in order.
func (w *world) needs() (memory []int64) {
	for _, e := range w.journal {
		if e.LaunchOpened != nil {
			memory = append(memory, e.LaunchOpened.Need.Memory/gib)
		}
	}
	return memory
}

// Each attempt after one that ran out of memory asks for more, up to the most,
// on an instance of another group, and may use it; what fails otherwise asks for
// what it had.
func TestMoreMemory(t *testing.T) {
	w := play(t, memoryHungry(6))
	oom, exit := job.AttemptEnd{Exited: true, ExitCode: 137, OOMKills: 1}, job.AttemptEnd{Exited: true, ExitCode: 1}
	limits := []int64{}
	for attempt, end := range []job.AttemptEnd{oom, exit, oom, oom, oom} {
		m := w.untilRuns(t, attempt+1)
		limits = append(limits, m.desired.Attempts[0].Execution.MemoryLimit/gib)
		w.ends(m, attempt+1, end)
		w.step(0)
		if attempt == 1 {
			w.restart()
		}
	}
	m := w.untilRuns(t, 6)
	w.ends(m, 6, job.AttemptEnd{Exited: true, Committed: true})
	w.untilFinished(t, OutcomeSucceeded)
	if want := []int64{3, 6, 6, 10, 10}; !slices.Equal(limits, want) {
		t.Errorf("attempts were limited to %v GiB, not %v", limits, want)
	}
	needs := slices.Compact(w.needs())
	if want := []int64{3, 6, 10}; !slices.Equal(needs, want) {
		t.Errorf("instances with %v GiB were asked for, not %v", needs, want)
	}
	x := w.state.Index("train", 0)
	if x.Memory != 10*gib || x.Attempts[0].Memory != 0 || x.Attempts[1].Memory != 6*gib || x.Failures != 5 {
		t.Errorf("the index has %d, its attempts %+v", x.Memory, x.Attempts)
	}
	golden(t, "more-memory", w)
	snapshot, err := w.state.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if loaded, err := Load(w.spec, snapshot); err != nil || loaded.Index("train", 0).Memory != 10*gib {
		t.Errorf("loaded: %v", err)
	}
}

// Indexes of an array that ask for more leave the others where they are.
func TestMoreMemoryOfSome(t *testing.T) {
	spec := memoryHungry(3)
	spec.Tasks[0].Count, spec.Tasks[0].Array, spec.Tasks[0].MaxParallel = 4, true, 2
	w := play(t, spec)
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		end := succeeded()
		if id.Index == 1 && id.Attempt == 1 {
			end = job.AttemptEnd{Exited: true, ExitCode: 137, OOMKills: 1}
		}
		end.AttemptID = id
		return &end
	}
	w.untilFinished(t, OutcomeSucceeded)
	for index := range 4 {
		x := w.state.Index("train", index)
		if raised := x.Memory > 0; raised != (index == 1) {
			t.Errorf("index %d asked for %d at last", index, x.Memory)
		}
	}
	for _, g := range w.state.work.groups {
		if g.open != 0 {
			t.Errorf("%d of group %s count as open", g.open, g.key)
		}
	}
}
