package controller

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// saveNode commits a checkpoint of a gang's node and gives its key.
func saveNode(t *testing.T, b bucket.Bucket, node, attempt int, sequence int64) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "model"), fmt.Appendf(nil, "%d %d %d", node, attempt, sequence), 0o644); err != nil {
		t.Fatal(err)
	}
	id := checkpointing.ID{Attempt: attempt, Sequence: sequence}
	key := store.CheckpointKey(leasedRun, "train", 0, node, id)
	if _, err := checkpointing.Open(b).Save(t.Context(), dir, checkpointing.SaveOptions{Key: key, ID: id}); err != nil {
		t.Fatal(err)
	}
	return key
}

// A gang goes on from the newest round that every node has whole: not from one
// that a node lacks, not from one that is excluded or damaged, and of a node
// that was replaced from its later incarnation. What is named lies in a
// committed gang manifest, the same one when it is asked for again.
func TestFindGang(t *testing.T) {
	b := openFolder(t)
	for node := range 2 {
		for round := int64(1); round <= 3; round++ {
			saveNode(t, b, node, 1, round)
		}
	}
	saveNode(t, b, 0, 1, job.LastRound) // node 1 was lost before it
	again := saveNode(t, b, 1, 1, job.GangSequence(2, 3))
	a := applierOf(t.Context(), b, nil)
	find := func(exclude ...string) plan.FoundCheckpoint {
		t.Helper()
		a.do(plan.Action{Find: &plan.ActionFind{Task: "train", Nodes: 2, Attempt: 1, Exclude: exclude}}, stamp{})
		return answers(t, a).Found[0]
	}
	found := find()
	if found.Checkpoint == nil || found.Checkpoint.Attempt != 1 || found.Checkpoint.Sequence != 3 || len(found.Nodes) != 2 ||
		found.Nodes[0].Sequence != 3 || found.Nodes[1].Key != again || found.Nodes[1].Content == "" {
		t.Fatalf("found %+v of %+v", found.Checkpoint, found.Nodes)
	}
	manifest, err := store.ReadGang(t.Context(), b, found.Checkpoint.Key)
	if err != nil || len(manifest.Nodes) != 2 || manifest.Nodes[1].Key != again || manifest.Round != 3 {
		t.Errorf("the manifest is %+v, %v", manifest, err)
	}
	if second := find(); second.Checkpoint.Key != found.Checkpoint.Key {
		t.Errorf("the same is committed as %s and %s", found.Checkpoint.Key, second.Checkpoint.Key)
	}
	if older := find(again, found.Nodes[0].Key); older.Checkpoint == nil || older.Checkpoint.Sequence != 2 {
		t.Errorf("with round 3 excluded: %+v", older.Checkpoint)
	}
	if err := b.Delete(t.Context(), store.CheckpointKey(leasedRun, "train", 0, 0, checkpointing.ID{Attempt: 1, Sequence: 2})); err != nil {
		t.Fatal(err)
	}
	if older := find(again, found.Nodes[0].Key); older.Checkpoint == nil || older.Checkpoint.Sequence != 1 {
		t.Errorf("with round 2 of one node removed: %+v", older.Checkpoint)
	}
	last := saveNode(t, b, 1, 1, job.LastRound+2) // the third try to save
	if newest := find(); newest.Checkpoint.Sequence != job.LastRound || newest.Nodes[1].Key != last {
		t.Errorf("with the last round whole: %+v of %+v", newest.Checkpoint, newest.Nodes)
	}
}
