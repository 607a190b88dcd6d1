package plan

import (
	"reflect"
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
)

func takenOutput(key string) *job.Manifest { return &job.Manifest{Key: key, Digest: key} }

// recovered is a run of an array whose indexes 0 and 2 had succeeded and whose
// index 1 had a checkpoint, with what depends on it.
func recovered() *job.Spec {
	return pipeline(func(spec *job.Spec) {
		spec.Recovery = &job.Recovery{Run: "earlier", Taken: []job.Taken{
			{Task: "shard", Index: 0, Succeeded: true, Attempt: 3, Output: takenOutput("out/0"), Result: map[string]string{"rows": "7"}},
			{Task: "shard", Index: 1, Checkpoint: &job.CheckpointRef{Key: "saved/1", Sequence: 4}},
			{Task: "shard", Index: 2, Succeeded: true, Run: "first", Attempt: 1, Output: takenOutput("out/2")},
			{Task: "gone", Index: 0, Succeeded: true},
		}}
	},
		job.Task{Name: "shard", Count: 4, Array: true, Execution: job.Execution{Command: []string{"shard"}, Checkpoint: &job.Checkpoint{Path: "c"}}},
		job.Task{Name: "merge", DependsOn: []string{"shard"}, Execution: job.Execution{Command: []string{"merge",
			job.ResultPlaceholder(job.ResultRef{Task: "shard", Index: 0, Key: "rows"})}}},
	)
}

// What had succeeded has no attempt; what had a checkpoint goes on from it with
// its first; what depends on all of them is given the outputs of all.
func TestRecovers(t *testing.T) {
	w := play(t, recovered())
	w.endsOf(nil)
	w.saved[series(job.AttemptID{Task: "shard", Index: 1})] = []*job.CheckpointRef{w.spec.Recovery.Taken[1].Checkpoint}
	seen := w.watchAssignments()
	if n := w.state.Counts(); n[IndexSucceeded] != 2 || n[IndexReady] != 2 || n[IndexBlocked] != 1 {
		t.Errorf("it begins with %v", n)
	}
	w.untilFinished(t, OutcomeSucceeded)
	if len(seen["shard"]) != 2 || seen["shard"][1].Restore == nil || seen["shard"][1].Restore.Key != "saved/1" || seen["shard"][3].Restore != nil {
		t.Errorf("assigned were %+v", seen["shard"])
	}
	for _, e := range w.journal {
		if a := e.AttemptAssigned; a != nil && a.Task == "shard" && (a.Index == 0 || a.Index == 2) {
			t.Errorf("%+v was taken over and runs", a)
		}
	}
	merge := seen["merge"][0]
	if len(merge.Inputs) < 2 || merge.Inputs[0].Manifest.Key != "out/0" || merge.Execution.Command[1] != "7" {
		t.Errorf("merge was given %+v and runs %v", merge.Inputs, merge.Execution.Command)
	}
	for index, want := range map[int]*job.RecoveredFrom{0: {Run: "earlier", Attempt: 3}, 1: nil, 2: {Run: "first", Attempt: 1}} {
		if got := w.state.Index("shard", index).Recovered; !reflect.DeepEqual(got, want) {
			t.Errorf("index %d is from %+v, not %+v", index, got, want)
		}
	}
	snapshot, err := w.state.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(w.spec, snapshot)
	if err != nil || loaded.Index("shard", 0).Recovered == nil || loaded.Counts()[IndexSucceeded] != 5 {
		t.Errorf("loaded from its snapshot: %+v, %v", loaded.Counts(), err)
	}
}

// A run in which nothing is left to do ends at once, and rents nothing.
func TestRecoversWhatHadSucceeded(t *testing.T) {
	spec := recovered()
	spec.Recovery.Taken = nil
	for i := range spec.Tasks {
		for j := range spec.Tasks[i].Count {
			spec.Recovery.Taken = append(spec.Recovery.Taken, job.Taken{Task: spec.Tasks[i].Name, Index: j, Succeeded: true})
		}
	}
	w := play(t, spec)
	w.step(0)
	if w.state.Outcome != OutcomeSucceeded || !w.state.Closed || len(w.state.Launches)+len(w.vms) > 0 {
		t.Errorf("it is %s, closed %t, with %d launches", w.state.Outcome, w.state.Closed, len(w.state.Launches))
	}
}

// A value that a task taken over has not written is missed before anything is
// rented, as in a run that is no recovery.
func TestRecoversWithoutAResult(t *testing.T) {
	spec := recovered()
	spec.Recovery.Taken = []job.Taken{{Task: "shard", Index: 0, Succeeded: true}}
	spec.Tasks[0].Count = 1
	w := play(t, spec)
	w.step(0)
	if x := w.state.Index("merge", 0); x.EndedFor != job.CauseResult || w.state.Outcome != OutcomeFailed {
		t.Errorf("merge is %+v", x)
	}
}
