package submit

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// saved commits a folder with one file under a key.
func saved(t *testing.T, b bucket.Bucket, key string, id checkpointing.ID, text string) checkpointing.Ref {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"x": text})
	result, err := checkpointing.Open(b).Save(t.Context(), dir, checkpointing.SaveOptions{Key: key, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return result.Ref
}

func savedCheckpoint(t *testing.T, b bucket.Bucket, run, task string, index, node int, id checkpointing.ID, text string) checkpointing.Ref {
	return saved(t, b, store.CheckpointKey(run, task, index, node, id), id, text)
}

// history journals what happened in a run.
func history(t *testing.T, b bucket.Bucket, run string, events ...plan.Event) {
	t.Helper()
	journal := store.OpenJournal(b, run, store.Position{}, 1, store.Holder{ID: "test"})
	if _, err := journal.Append(t.Context(), store.Entry{Events: events}); err != nil {
		t.Fatal(err)
	}
}

func assigned(task string, index, attempt int) plan.Event {
	return plan.Event{AttemptAssigned: &plan.AttemptAssigned{AttemptID: job.AttemptID{Task: task, Index: index, Attempt: attempt}, Instance: "i"}}
}

func ended(task string, index, attempt int, class job.Class, output *job.Manifest) plan.Event {
	return plan.Event{AttemptEnded: &plan.AttemptEnded{
		AttemptID: job.AttemptID{Task: task, Index: index, Attempt: attempt}, Verdict: plan.Verdict{Class: class}, Output: output}}
}

func failed(task string, index int) plan.Event {
	return plan.Event{IndexEnded: &plan.IndexEnded{Task: task, Index: index, Class: job.Failed}}
}

func over() []plan.Event {
	return []plan.Event{{RunEnded: &plan.RunEnded{Outcome: plan.OutcomeFailed}}, {RunClosed: &plan.RunClosed{}}}
}

// earlier is a submitted run of an array, a gang and a task that runs finally.
func earlier(t *testing.T, b bucket.Bucket) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "a"})
	opts := options(t, b, dir)
	opts.Now = time.Now().Add(time.Hour) // another machine's clock
	task := func(name string, count, nodes int) job.Task {
		return job.Task{Name: name, Count: count, Array: count > 1, Nodes: nodes, Fleets: []string{"here"}, Slots: 1,
			Execution: job.Execution{Command: []string{"true"}, Checkpoint: &job.Checkpoint{Path: "c"}}}
	}
	opts.Spec.Tasks = []job.Task{task("shard", 4, 0), task("gang", 1, 2), task("last", 1, 0)}
	opts.Spec.Tasks[2].Finally = true
	run, err := Submit(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// What succeeded is taken over with its output, and of the rest the newest
// checkpoint that is whole; of a gang the newest round that all nodes have.
func TestRecover(t *testing.T) {
	b := open(t, t.TempDir())
	run := earlier(t, b)
	if _, err := Recover(t.Context(), AgainOptions{Bucket: b, Run: run}); !errors.Is(err, ErrLive) {
		t.Errorf("one that is not over: %v", err)
	}
	output := saved(t, b, store.OutputKey(run, job.AttemptID{Task: "shard", Attempt: 2}), checkpointing.ID{}, "out")
	lost := saved(t, b, store.OutputKey(run, job.AttemptID{Task: "shard", Index: 3, Attempt: 1}), checkpointing.ID{}, "lost")
	savedCheckpoint(t, b, run, "shard", 1, 0, checkpointing.ID{Attempt: 1, Sequence: 9}, "old")
	whole := savedCheckpoint(t, b, run, "shard", 1, 0, checkpointing.ID{Attempt: 2, Sequence: 3}, "whole")
	broken := savedCheckpoint(t, b, run, "shard", 1, 0, checkpointing.ID{Attempt: 2, Sequence: 4}, "broken")
	savedCheckpoint(t, b, run, "gang", 0, 0, checkpointing.ID{Attempt: 1, Sequence: job.GangSequence(1, 1)}, "g")
	savedCheckpoint(t, b, run, "gang", 0, 1, checkpointing.ID{Attempt: 1, Sequence: job.GangSequence(2, 1)}, "g")
	savedCheckpoint(t, b, run, "gang", 0, 0, checkpointing.ID{Attempt: 1, Sequence: job.GangSequence(1, 2)}, "alone")
	history(t, b, run, append([]plan.Event{
		assigned("shard", 0, 2), ended("shard", 0, 2, job.Succeeded, store.ManifestRef(output)),
		assigned("shard", 1, 2), ended("shard", 1, 2, job.Failed, nil), failed("shard", 1),
		failed("shard", 2),
		assigned("shard", 3, 1), ended("shard", 3, 1, job.Succeeded, store.ManifestRef(lost)),
		assigned("gang", 0, 1), ended("gang", 0, 1, job.Failed, nil), failed("gang", 0),
		assigned("last", 0, 1), ended("last", 0, 1, job.Succeeded, nil),
	}, over()...)...)
	for _, key := range []string{broken.Key, lost.Key} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Recover(t.Context(), AgainOptions{Bucket: b, Run: run, Change: func(s *job.Spec) error { s.MaxCost = 3; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	state, _, err := store.LoadRun(t.Context(), b, found.Spec.Run)
	if err != nil {
		t.Fatal(err)
	}
	spec := state.Spec
	if spec.Run <= run || spec.MaxCost != 3 || spec.Recovery.Run != run || spec.Workdir.Key != store.WorkdirKey(spec.Run) {
		t.Errorf("the new run is %+v", spec)
	}
	first := state.Index("shard", 0)
	if first.Phase != plan.IndexSucceeded || first.Recovered.Attempt != 2 || first.Output.Content != output.Content ||
		first.Output.Key != store.OutputKey(spec.Run, job.AttemptID{Task: "shard"}) {
		t.Errorf("index 0 is %+v", first)
	}
	if c := state.Index("shard", 1).Checkpoint; c == nil || c.Content != whole.Content || c.Attempt != 0 || c.Sequence != 3 {
		t.Errorf("index 1 goes on from %+v", c)
	}
	for task, index := range map[string]int{"shard": 3, "last": 0} {
		if x := state.Index(task, index); x.Phase == plan.IndexSucceeded {
			t.Errorf("%s[%d] is %+v", task, index, x)
		}
	}
	if len(found.Passed) != 1 || found.Passed[0].Index != 3 {
		t.Errorf("passed over: %+v", found.Passed)
	}
	for node, sequence := range []int64{job.GangSequence(1, 1), job.GangSequence(2, 1)} {
		refs, err := checkpointing.Open(b).List(t.Context(), store.CheckpointPrefix(spec.Run, "gang", 0, node))
		if err != nil || len(refs) != 1 || refs[0].ID != (checkpointing.ID{Sequence: sequence}) {
			t.Errorf("node %d has %+v (%v)", node, refs, err)
		}
	}
	if live, err := store.ListLive(t.Context(), b); err != nil || len(live) != 2 {
		t.Errorf("live runs are %+v (%v)", live, err)
	}

	// Recovered once more, it says who computed what was taken over.
	history(t, b, spec.Run, over()...)
	again, err := Recover(t.Context(), AgainOptions{Bucket: b, Run: spec.Run})
	if err != nil {
		t.Fatal(err)
	}
	if state, _, err = store.LoadRun(t.Context(), b, again.Spec.Run); err != nil {
		t.Fatal(err)
	}
	if x := state.Index("shard", 0); x.Recovered == nil || *x.Recovered != (job.RecoveredFrom{Run: run, Attempt: 2}) {
		t.Errorf("index 0 is of %+v", x.Recovered)
	}
	if c := state.Index("shard", 1).Checkpoint; c == nil || c.Content != whole.Content {
		t.Errorf("index 1 goes on from %+v", c)
	}
}

// A run again has the files of the first one, whatever became of the folder and
// of the agents.
func TestRerun(t *testing.T) {
	b := open(t, t.TempDir())
	run := earlier(t, b)
	before, err := store.ReadSpec(t.Context(), b, run)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := Rerun(t.Context(), AgainOptions{Bucket: b, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	differences, err := job.Diff(before, spec)
	if err != nil || len(differences) > 0 || spec.Run == run || spec.Recovery != nil || spec.Workdir.Content != before.Workdir.Content {
		t.Errorf("it differs: %v (%v)", differences, err)
	}
	for _, program := range before.Agent {
		if err := b.Delete(t.Context(), program.Key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Rerun(t.Context(), AgainOptions{Bucket: b, Run: run}); err == nil {
		t.Error("without an agent it is submitted")
	}
	agent := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(agent, []byte("another"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec, err = Rerun(t.Context(), AgainOptions{Bucket: b, Run: run, Version: "v2", Agents: map[string]string{"linux-amd64": agent}})
	if err != nil || spec.Agent["linux-amd64"].SHA256 == before.Agent["linux-amd64"].SHA256 {
		t.Errorf("with another agent: %+v (%v)", spec.Agent, err)
	}
}

// A job is compared with a run by what it would run.
func TestCompare(t *testing.T) {
	b := open(t, t.TempDir())
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "a", "b": "b"})
	opts := options(t, b, dir)
	run, err := Submit(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := store.ReadSpec(t.Context(), b, run)
	if err != nil {
		t.Fatal(err)
	}
	opts.Spec.MaxCost = 4
	if c, err := Compare(t.Context(), opts, spec); err != nil || !c.OnlyLimits() || len(c.Differences) != 1 {
		t.Errorf("with another limit: %+v (%v)", c, err)
	}
	write(t, dir, map[string]string{"a": "changed", "c": "c", "empty/.spotrelay/x": ""})
	if err := os.Remove(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	c, err := Compare(t.Context(), opts, spec)
	if err != nil || c.OnlyLimits() || len(c.Files) != 3 || c.Files[0] != (FileChange{"a", "changed"}) || c.Files[1].Change != "removed" || c.Files[2].Change != "added" {
		t.Errorf("with other files: %+v (%v)", c, err)
	}
	if runs, err := store.ListRuns(t.Context(), b); err != nil || len(runs) != 1 {
		t.Errorf("runs are left: %v (%v)", runs, err)
	}
	workdirs := 0
	for object, err := range b.List(t.Context(), store.RunsPrefix, "") {
		if err == nil && filepath.Base(object.Key) == "workdir" {
			workdirs++
		}
	}
	if workdirs != 1 {
		t.Errorf("%d workdirs are left", workdirs)
	}
}
