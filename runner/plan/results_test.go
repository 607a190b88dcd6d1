package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// pipeline is a run of tasks of one attempt each, made by change.
func pipeline(change func(*job.Spec), tasks ...job.Task) *job.Spec {
	spec := one(job.Retries{Attempts: 1})
	retries := spec.Tasks[0].Retries
	spec.Tasks = nil
	for _, task := range tasks {
		task.Fleets, task.Slots, task.Retries = []string{"aws"}, 1, retries
		if task.Count == 0 {
			task.Count = 1
		}
		if task.Execution.Command == nil {
			task.Execution.Command = []string{task.Name}
		}
		spec.Tasks = append(spec.Tasks, task)
	}
	if change != nil {
		change(spec)
	}
	return spec
}

// endsOf is a world's script by the names of tasks; others just succeed.
func (w *world) endsOf(ends map[string]job.AttemptEnd) {
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		end, known := ends[id.Task]
		if !known {
			end = succeeded()
		}
		end.AttemptID = id
		return &end
	}
}

func wrote(result map[string]string) job.AttemptEnd {
	end := succeeded()
	end.Result = result
	return end
}

// assigned is what the assignments of a task were, by index.
func (w *world) watchAssignments() map[string]map[int]job.Assignment {
	seen := map[string]map[int]job.Assignment{}
	w.seen = func(a job.Assignment) {
		if seen[a.Task] == nil {
			seen[a.Task] = map[int]job.Assignment{}
		}
		seen[a.Task][a.Index] = a
	}
	return seen
}

// What a task wrote comes to those that refer to it, as it was written, and a
// whole output to those that refer to the whole.
func TestResultsAndOutputsByIndex(t *testing.T) {
	rows := func(index int) string {
		return job.ResultPlaceholder(job.ResultRef{Task: "shard", Index: index, Key: "rows"})
	}
	spec := pipeline(nil,
		job.Task{Name: "shard", Count: 3, Array: true},
		job.Task{Name: "each", Count: 3, Array: true, DependsOn: []string{"shard"}, Parts: []string{"shard"}, Elements: []job.Element{
			{Command: []string{"each", rows(0) + "{", job.InputPlaceholder("shard", 0)}},
			{Command: []string{"each", rows(1), job.InputPlaceholder("shard", 1)}},
			{Command: []string{"each", rows(2)}, Env: map[string]string{"IN": job.InputPlaceholder("shard", 0) + job.InputPlaceholder("shard", 2)}},
		}},
		job.Task{Name: "all", DependsOn: []string{"shard"}, Execution: job.Execution{Command: []string{"all", job.InputPlaceholder("shard", -1)}}},
		job.Task{Name: "only", DependsOn: []string{"shard"}, Parts: []string{"shard"}, Execution: job.Execution{Command: []string{"only"}, Env: map[string]string{"ROWS": rows(1)}}},
	)
	w := play(t, spec)
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		end := wrote(map[string]string{"rows": strings.Repeat("@", id.Index)})
		end.AttemptID = id
		end.Output = &job.Manifest{Key: "outputs/" + id.Task + "/" + indexText(id.Index)}
		return &end
	}
	seen := w.watchAssignments()
	w.untilFinished(t, OutcomeSucceeded)
	for index, want := range []struct{ first, inputs string }{{"{", "0"}, {"@{at}", "1"}, {"@{at}@{at}", "0,2"}} {
		a := seen["each"][index]
		if a.Execution.Command[1] != want.first || inputsText(a) != want.inputs {
			t.Errorf("each[%d] is given %q and the outputs %s, want %q and %s", index, a.Execution.Command, inputsText(a), want.first, want.inputs)
		}
	}
	if got := inputsText(seen["all"][0]); got != "0,1,2" {
		t.Errorf("who refers to the whole is given the outputs %s", got)
	}
	if a := seen["only"][0]; a.Execution.Env["ROWS"] != "@{at}" || inputsText(a) != "" {
		t.Errorf("who refers to a result alone is given %q and the outputs %s", a.Execution.Env, inputsText(a))
	}
	x := w.state.Index("shard", 2)
	if x.Result["rows"] != "@@" || x.Attempts[0].Evidence.End.Result != nil {
		t.Errorf("the state holds %q, and beside it %v", x.Result, x.Attempts[0].Evidence.End.Result)
	}
}

func inputsText(a job.Assignment) string {
	var names []string
	for _, input := range a.Inputs {
		names = append(names, indexText(input.Index))
	}
	return strings.Join(names, ",")
}

// An index that needs a result that was not written fails without an attempt,
// and says whose it is; the others run.
func TestResultThatWasNotWritten(t *testing.T) {
	key := func(name string) string {
		return job.ResultPlaceholder(job.ResultRef{Task: "check", Index: 0, Key: name})
	}
	spec := pipeline(nil,
		job.Task{Name: "check"},
		job.Task{Name: "use", Count: 2, Array: true, DependsOn: []string{"check"}, Parts: []string{"check"}, Elements: []job.Element{
			{Command: []string{"use", key("there")}}, {Command: []string{"use", key("missing")}},
		}},
		job.Task{Name: "after", DependsOn: []string{"use"}},
	)
	w := play(t, spec)
	w.endsOf(map[string]job.AttemptEnd{"check": wrote(map[string]string{"there": "1"})})
	w.untilFinished(t, OutcomeFailed)
	if x := w.state.Index("use", 0); x.Phase != IndexSucceeded {
		t.Errorf("use[0] is %s", x.Phase)
	}
	x := w.state.Index("use", 1)
	if x.Phase != IndexFailed || len(x.Attempts) != 0 || !strings.Contains(x.Reason, "the result missing of check, which did not write it") {
		t.Errorf("use[1] is %s after %d attempts: %s", x.Phase, len(x.Attempts), x.Reason)
	}
	if x := w.state.Index("after", 0); x.Phase != IndexCancelled {
		t.Errorf("after is %s", x.Phase)
	}
}

// A controller that takes over where a task waits for its decision makes it.
func TestDecisionIsMadeByTheNextController(t *testing.T) {
	spec := pipeline(nil,
		job.Task{Name: "check"},
		job.Task{Name: "use", DependsOn: []string{"check"}, Parts: []string{"check"},
			Execution: job.Execution{Command: []string{"use", job.ResultPlaceholder(job.ResultRef{Task: "check", Key: "k"})}}})
	w := play(t, spec)
	w.endsOf(map[string]job.AttemptEnd{"check": wrote(map[string]string{"k": "v"})})
	opened := func(e Event) bool { return e.TaskOpened != nil }
	w.until(t, "the task is opened", func() bool { return slices.ContainsFunc(w.journal, opened) })
	cut := w.journal[:slices.IndexFunc(w.journal, opened)]
	folded := New(spec)
	for _, e := range cut {
		folded.Apply(e)
	}
	snapshot, err := folded.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(spec, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]*State{"the journal": folded, "a snapshot": loaded} {
		d := state.Plan(Facts{Tenure: true}, w.now+time.Second)
		if !slices.ContainsFunc(d.Events, opened) {
			t.Errorf("from %s it decides %+v", name, d.Events)
		}
	}
}
