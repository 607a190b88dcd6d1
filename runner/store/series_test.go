package store_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/store"
)

// The layout of a task with one directory is what it always was, and a listing
// of its series shows no other.
func TestSeriesPrefix(t *testing.T) {
	if got := store.SeriesPrefix("r", "train", 3, 0, ""); got != "runs/r/checkpoints/train/3/0/" || got != store.CheckpointPrefix("r", "train", 3, 0) {
		t.Error(got)
	}
	if got := store.SeriesPrefix("r", "train", 3, 0, "index"); got != "runs/r/checkpoints/train/3/0-index/" {
		t.Error(got)
	}
}

func TestSeriesOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := rapid.StringMatching(`[a-z][a-z0-9_-]{0,8}`).Draw(t, "task")
		name := rapid.StringMatching(`([a-z][a-z0-9_-]{0,8})?`).Draw(t, "name")
		index, node := rapid.IntRange(0, 100).Draw(t, "index"), rapid.IntRange(0, 3).Draw(t, "node")
		id := checkpointing.ID{Attempt: 1, Sequence: 2}
		key := store.SeriesPrefix("r", task, index, node, name) + checkpointing.ManifestName(id)
		gotTask, gotIndex, gotNode, gotName, ok := store.SeriesOf("r", key)
		if !ok || gotTask != task || gotIndex != index || gotNode != node || gotName != name {
			t.Fatalf("%s is of %s/%d, node %d, %q, %v", key, gotTask, gotIndex, gotNode, gotName, ok)
		}
	})
	for _, key := range []string{
		"", "runs/r/checkpoints/", "runs/r/checkpoints/train/0/0", "runs/q/checkpoints/train/0/0/000001-000000000001",
		"runs/r/checkpoints/train/x/0/000001-000000000001", "runs/r/checkpoints/train/0/0-/000001-000000000001",
		"runs/r/checkpoints/train/0/x-y/000001-000000000001", "runs/r/checkpoints/train/00/0/000001-000000000001",
		"runs/r/checkpoints/train/-1/0/000001-000000000001", "runs/r/checkpoints/train/0/0/a/000001-000000000001",
	} {
		if task, _, _, _, ok := store.SeriesOf("r", key); ok {
			t.Errorf("%s is of %q", key, task)
		}
	}
}
