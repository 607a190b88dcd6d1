package plan

import (
	"slices"
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
)

// atOnce is how many attempts ran at once, by task and in all, and how many
// instances lived, while a world goes on.
func (w *world) atOnce(t *testing.T, until func() bool) (tasks map[string]int, all, instances int) {
	t.Helper()
	tasks = map[string]int{}
	w.until(t, "it is over", func() bool {
		n := map[string]int{}
		for _, a := range w.state.Running() {
			n[a.Task]++
			tasks[a.Task] = max(tasks[a.Task], n[a.Task])
		}
		all, instances = max(all, len(w.state.Running())), max(instances, w.living())
		return until()
	})
	return tasks, all, instances
}

// No more attempts of a task are assigned than its max_parallel, and no more
// instances are rented than those need.
func TestMaxParallelOfATask(t *testing.T) {
	spec := one(spotOnly)
	spec.Tasks[0].Count, spec.Tasks[0].Array, spec.Tasks[0].MaxParallel = 12, true, 3
	w := brief(t, spec)
	_, all, instances := w.atOnce(t, w.state.Finished)
	if all != 3 || instances != 3 || w.state.Outcome != OutcomeSucceeded {
		t.Errorf("%d attempts ran at once on %d instances, not 3 on 3; the run %s", all, instances, w.state.Outcome)
	}
}

// A job's max_parallel is shared by its tasks, of any group.
func TestMaxParallelOfAJob(t *testing.T) {
	spec := one(spotOnly)
	spec.MaxParallel = 4
	spec.Tasks[0].Count, spec.Tasks[0].Array = 6, true
	other := spec.Tasks[0]
	other.Name, other.MaxParallel, other.Labels = "other", 2, map[string]string{"its": "own"}
	spec.Tasks = append(spec.Tasks, other)
	w := brief(t, spec)
	tasks, all, _ := w.atOnce(t, w.state.Finished)
	if all != 4 || tasks["other"] != 2 || w.state.Outcome != OutcomeSucceeded {
		t.Errorf("%d attempts ran at once, of them %d of the other; the run %s", all, tasks["other"], w.state.Outcome)
	}
}

// What waits for a place under max_parallel keeps no instance for itself, and
// says what it waits for.
func TestMaxParallelSaysSo(t *testing.T) {
	spec := one(spotOnly)
	spec.Tasks[0].Count, spec.Tasks[0].Array, spec.Tasks[0].MaxParallel = 3, true, 1
	w := play(t, spec)
	w.until(t, "one runs", func() bool { return w.state.Counts()[IndexRunning] == 1 })
	w.tick()
	groups := w.state.Groups()
	if len(groups) != 1 || groups[0].Waiting != "as many attempts as max_parallel allows are assigned" {
		t.Errorf("groups %+v", groups)
	}
	if n := len(w.vms); n != 1 {
		t.Errorf("%d instances were rented for one", n)
	}
}

// order of the first assignments of each task.
func (w *world) firsts() (names []string) {
	for _, e := range w.journal {
		if e.AttemptAssigned != nil && !slices.Contains(names, e.AttemptAssigned.Task) {
			names = append(names, e.AttemptAssigned.Task)
		}
	}
	return names
}

// The higher priority is served first where instances are few, within a group
// and among groups; equal ones keep their order.
func TestPriority(t *testing.T) {
	for _, own := range []bool{false, true} {
		spec := one(spotOnly)
		spec.MaxInstances = 1
		first := spec.Tasks[0]
		first.Execution.Checkpoint = nil
		spec.Tasks = nil
		for i, name := range []string{"low", "usual", "high", "also-high", "last"} {
			task := first
			task.Name, task.Priority = name, []int{-1, 0, 5, 5, 0}[i]
			if own {
				task.Labels = map[string]string{"its": name}
			}
			spec.Tasks = append(spec.Tasks, task)
		}
		w := brief(t, spec)
		w.untilFinished(t, OutcomeSucceeded)
		if got, want := w.firsts(), []string{"high", "also-high", "usual", "last", "low"}; !slices.Equal(got, want) {
			t.Errorf("with groups of their own %t: began as %v, want %v", own, got, want)
		}
	}
}

// A lane gives the tasks by rank, passes over those that may not begin, and
// holds no task twice.
func TestLanes(t *testing.T) {
	spec := &job.Spec{Tasks: []job.Task{{Priority: 1}, {Priority: 3}, {Priority: 2}, {Priority: 3}}}
	l := lanes{rank: ranks(spec)}
	for _, r := range []ref{{0, 1}, {2, 0}, {1, 5}, {1, 4}, {3, 0}, {0, 0}} {
		l.put(r)
	}
	var got []ref
	for r, ok := l.take(func(task int32) bool { return task != 2 }); ok; r, ok = l.take(func(task int32) bool { return task != 2 }) {
		got = append(got, r)
	}
	if want := []ref{{1, 4}, {1, 5}, {3, 0}, {0, 0}, {0, 1}}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
	if r, ok := l.take(func(int32) bool { return true }); !ok || r != (ref{2, 0}) || !l.empty() {
		t.Errorf("what was left is %v, empty %t", r, l.empty())
	}
}
