package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

func result(task, key string) job.Condition {
	return job.Condition{Result: &job.ResultRef{Task: task, Key: key}}
}

func is(op job.Op, args ...job.Condition) *job.Condition {
	return &job.Condition{Op: op, Args: args}
}

func literal(value any) job.Condition { return job.Condition{Value: value} }

// phasesOf is the phase of each task's first index.
func (w *world) phasesOf() map[string]IndexPhase {
	found := map[string]IndexPhase{}
	for i := range w.spec.Tasks {
		found[w.spec.Tasks[i].Name] = w.state.Tasks[i].Indexes[0].Phase
	}
	return found
}

func wantPhases(t *testing.T, w *world, want map[string]IndexPhase) {
	t.Helper()
	got := w.phasesOf()
	for task, phase := range want {
		if got[task] != phase {
			t.Errorf("%s is %s, want %s", task, got[task], phase)
		}
	}
}

// A task whose condition is false is skipped at no cost, and what depends on it
// too; the run succeeds. Which is decided by results when they are there.
func TestConditionSkips(t *testing.T) {
	after := []string{"check"}
	spec := pipeline(nil,
		job.Task{Name: "check"},
		job.Task{Name: "yes", DependsOn: after, Parts: after, When: is(job.OpEqual, result("check", "ok"), literal("yes"))},
		job.Task{Name: "no", Count: 3, DependsOn: after, Parts: after, When: is(job.OpNot, *is(job.OpEqual, result("check", "ok"), literal("yes")))},
		job.Task{Name: "after-no", DependsOn: []string{"no", "yes"}},
		job.Task{Name: "never", When: &job.Condition{Value: false}},
		job.Task{Name: "report", DependsOn: []string{"no"}, Finally: true},
	)
	w := play(t, spec)
	w.endsOf(map[string]job.AttemptEnd{"check": wrote(map[string]string{"ok": "yes"})})
	w.untilFinished(t, OutcomeSucceeded)
	wantPhases(t, w, map[string]IndexPhase{"yes": IndexSucceeded, "no": IndexSkipped, "after-no": IndexSkipped,
		"never": IndexSkipped, "report": IndexSucceeded})
	if n := w.state.Counts()[IndexSkipped]; n != 5 {
		t.Errorf("%d are skipped", n)
	}
	golden(t, "condition", w)
}

// The table of conditions over what a task wrote.
func TestConditions(t *testing.T) {
	x := func(key string) job.Condition { return result("check", key) }
	spec := pipeline(nil, job.Task{Name: "check"}, job.Task{Name: "failed"})
	s := New(spec)
	s.Tasks[0].Indexes[0].Phase = IndexSucceeded
	s.Tasks[0].Indexes[0].Result = map[string]string{"ok": "yes", "loss": "0.50", "on": "true", "empty": ""}
	s.Tasks[1].Indexes[0].Phase = IndexFailed
	for _, test := range []struct {
		c     *job.Condition
		holds bool
		fault string
	}{
		{c: is(job.OpEqual, x("ok"), literal("yes")), holds: true},
		{c: is(job.OpNotEqual, x("ok"), literal("yes"))},
		{c: is(job.OpEqual, x("loss"), literal(0.5)), holds: true},
		{c: is(job.OpEqual, x("loss"), literal("0.5"))},
		{c: is(job.OpEqual, x("ok"), literal(0.5))},
		{c: is(job.OpLess, x("loss"), literal(1.0)), holds: true},
		{c: is(job.OpGreaterEqual, x("loss"), x("loss")), holds: true},
		{c: is(job.OpGreater, literal(1.0), x("loss")), holds: true},
		{c: is(job.OpLessEqual, x("ok"), literal(1.0)), fault: `task.check.result.ok as a number, and it is "yes"`},
		{c: is(job.OpEqual, x("on"), literal(true)), holds: true},
		{c: new(x("on")), holds: true},
		{c: new(x("ok")), fault: `as true or false, and it is "yes"`},
		{c: is(job.OpNot, x("on"))},
		{c: is(job.OpNot, x("ok")), fault: "as true or false"},
		{c: is(job.OpAnd, x("on"), *is(job.OpEqual, x("ok"), literal("no")))},
		{c: is(job.OpOr, x("on"), x("ok")), holds: true},
		{c: is(job.OpAnd, *is(job.OpNot, x("on")), x("ok"))},
		{c: is(job.OpEqual, x("nosuch"), literal("")), fault: "it needs the result nosuch of check"},
		{c: is(job.OpEqual, result("failed", "ok"), literal("")), holds: true},
		{c: is(job.OpLess, result("failed", "loss"), literal(1.0))},
		{c: new(result("failed", "on"))},
		{c: is(job.OpNotEqual, result("failed", "ok"), literal("yes")), holds: true},
	} {
		holds, fault := s.holds(test.c)
		if holds != test.holds || !strings.Contains(fault, test.fault) || test.fault == "" && fault != "" {
			t.Errorf("%s: %t, %q", test.c, holds, fault)
		}
	}
}

// A task that may fail fails neither the run nor what depends on it, which
// finds an empty folder and empty results.
func TestAllowFailure(t *testing.T) {
	key := job.ResultPlaceholder(job.ResultRef{Task: "try", Index: 1, Key: "k"})
	spec := pipeline(nil,
		job.Task{Name: "try", Count: 2, Array: true, AllowFailure: true, Execution: job.Execution{Command: []string{"try"}, Output: &job.Output{Path: "out"}}},
		job.Task{Name: "use", DependsOn: []string{"try"}, Execution: job.Execution{Command: []string{"use", "-" + key + "-"}}},
		job.Task{Name: "if", DependsOn: []string{"try"}, Parts: []string{"try"}, When: &job.Condition{Result: &job.ResultRef{Task: "try", Index: 1, Key: "k"}}},
	)
	w := play(t, spec)
	w.script = func(id job.AttemptID) *job.AttemptEnd {
		end := succeeded()
		if id.Task == "try" && id.Index == 1 {
			end = job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Minute)}
		} else if id.Task == "try" {
			end.Output = &job.Manifest{Key: "out"}
		}
		end.AttemptID = id
		return &end
	}
	seen := w.watchAssignments()
	w.untilFinished(t, OutcomeSucceeded)
	if x := w.state.Index("try", 1); x.Phase != IndexFailed {
		t.Errorf("try[1] is %s", x.Phase)
	}
	use := seen["use"][0]
	if use.Execution.Command[1] != "--" || len(use.Inputs) != 2 || use.Inputs[1].Manifest.Key != "" || use.Inputs[1].Index != 1 {
		t.Errorf("use is given %q and %+v", use.Execution.Command, use.Inputs)
	}
	wantPhases(t, w, map[string]IndexPhase{"if": IndexSkipped})
}

// What runs finally runs after a failure, and the run has failed all the same.
func TestFinallyAfterFailure(t *testing.T) {
	spec := pipeline(nil,
		job.Task{Name: "work"},
		job.Task{Name: "after", DependsOn: []string{"work"}},
		job.Task{Name: "clean", Finally: true, DependsOn: []string{"work"}},
		job.Task{Name: "tell", Finally: true, DependsOn: []string{"clean"}},
	)
	w := play(t, spec)
	failed := job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Minute)}
	w.endsOf(map[string]job.AttemptEnd{"work": failed, "clean": failed})
	w.untilFinished(t, OutcomeFailed)
	wantPhases(t, w, map[string]IndexPhase{"work": IndexFailed, "after": IndexCancelled, "clean": IndexFailed, "tell": IndexSucceeded})
	golden(t, "finally", w)
}

// A cancel ends all but what runs finally; a second one ends that too.
func TestFinallyAndCancel(t *testing.T) {
	cancel := func(f *Facts) {
		f.Requests = append(f.Requests, Request{Kind: RequestCancel}, Request{Kind: RequestCancel})
	}
	start := func() *world {
		w := play(t, pipeline(nil, job.Task{Name: "work"}, job.Task{Name: "after", DependsOn: []string{"work"}}, job.Task{Name: "clean", Finally: true}))
		w.script = func(id job.AttemptID) *job.AttemptEnd { return nil }
		w.untilRuns(t, 1)
		w.tell(cancel)
		w.until(t, "the finally task runs", func() bool { return w.state.Index("clean", 0).Phase == IndexRunning })
		wantPhases(t, w, map[string]IndexPhase{"work": IndexCancelled, "after": IndexCancelled})
		return w
	}
	w := start()
	w.endsOf(nil)
	w.untilFinished(t, OutcomeCancelled)
	wantPhases(t, w, map[string]IndexPhase{"clean": IndexSucceeded})

	w = start()
	w.tell(cancel)
	w.untilFinished(t, OutcomeCancelled)
	wantPhases(t, w, map[string]IndexPhase{"clean": IndexCancelled})
}
