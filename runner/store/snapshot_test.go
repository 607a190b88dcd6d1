package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/spotrelay/spotrelay/runner/plan"
)

// TestSnapshotOfALargeRun: a snapshot is compressed part by part, and says the
// same as the state's JSON in one piece.
func TestSnapshotOfALargeRun(t *testing.T) {
	spec := foldSpec()
	spec.Tasks[0].Count = 90_000
	state := plan.New(spec)
	for i := range 1000 {
		state.Apply(plan.Event{At: plan.Time(i), IndexEnded: &plan.IndexEnded{Task: "task", Index: i, Reason: fmt.Sprint(`"tasks":null, "state":null `, i)}})
	}
	taken, err := TakeSnapshot(state, Position{Seq: 7, Epoch: 2, Taken: map[string]bool{`"state":null`: true}})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := DecodeSnapshot("snapshot", taken.data)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole) < part {
		t.Fatalf("%d bytes are less than one part", len(whole))
	}
	if snapshot.Seq != 7 || snapshot.Taken[0] != `"state":null` || !bytes.Equal(snapshot.State, whole) {
		t.Errorf("entry %d, %d bytes of state, want 7 and %d", snapshot.Seq, len(snapshot.State), len(whole))
	}
	if _, err := plan.Load(spec, snapshot.State); err != nil {
		t.Error(err)
	}
}
