package controller

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// What the end of a run leaves: of each index and series what the job file says,
// the newest whole one at least where there is unfinished work; and it may be
// done again. Chunks that are still named stay.
func TestPruneAtTheEnd(t *testing.T) {
	w := newWorld(t)
	engine := checkpointing.Open(w.b)
	for index := range 3 {
		for _, name := range []string{"", "index", "all"} {
			var base *checkpointing.Ref
			dir := t.TempDir()
			for n := range int64(3) {
				content := strings.Repeat(name+string(rune('a'+index)), 5000+int(n))
				if err := os.WriteFile(filepath.Join(dir, "state"), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
				id := checkpointing.ID{Attempt: 1, Sequence: n + 1}
				saved, err := engine.Save(t.Context(), dir, checkpointing.SaveOptions{
					Key: store.SeriesPrefix(leasedRun, "train", index, 0, name) + checkpointing.ManifestName(id), ID: id, Base: base,
				})
				if err != nil {
					t.Fatal(err)
				}
				base = &saved.Ref
			}
		}
	}
	bad := store.SeriesPrefix(leasedRun, "train", 1, 0, "index") + checkpointing.ManifestName(checkpointing.ID{Attempt: 1, Sequence: 3})
	a := applierOf(t.Context(), w.b, &scripted{})
	action := &plan.ActionPrune{Task: "train", Unfinished: []int{2}, Bad: []string{bad}, AtEnd: map[string]job.AtEnd{
		"": job.AtEndRemove, "index": job.AtEndKeepLast,
	}}
	for round, removed := range []int{3 + 3 + 2 + 2 + 1 + 2, 0} {
		if err := a.prune(action); err != nil {
			t.Fatal(err)
		}
		facts := answers(t, a)
		if len(facts.Pruned) != 1 || facts.Pruned[0] != (plan.PruneAnswer{Task: "train", Kept: 27 - 13, Removed: removed}) {
			t.Errorf("round %d: %+v", round, facts.Pruned)
		}
	}
	var left []string
	refs, err := engine.List(t.Context(), store.RunPrefix(leasedRun)+"checkpoints/")
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		if !strings.Contains(ref.Key, "-all/") {
			left = append(left, strings.TrimPrefix(ref.Key, store.RunPrefix(leasedRun)+"checkpoints/train/"))
		}
	}
	slices.Sort(left)
	if want := []string{
		"0/0-index/000001-000000000003", "1/0-index/000001-000000000002", "1/0-index/000001-000000000003",
		"2/0-index/000001-000000000003", "2/0/000001-000000000003",
	}; !slices.Equal(left, want) {
		t.Errorf("left:\n%s\nwant:\n%s", strings.Join(left, "\n"), strings.Join(want, "\n"))
	}
	collected, err := engine.Collect(t.Context(), checkpointing.CollectOptions{
		Roots: func(ctx context.Context) iter.Seq2[string, error] { return store.Roots(ctx, w.b) },
	})
	if err != nil || collected.Removed == 0 || collected.Manifests != len(refs) {
		t.Errorf("collected %+v, %v", collected, err)
	}
	for _, ref := range refs {
		if result, err := engine.Verify(t.Context(), ref, checkpointing.VerifyOptions{}); err != nil || len(result.Damaged) > 0 {
			t.Errorf("%s: %v %v", ref.Key, result.Damaged, err)
		}
	}
}

// A bucket that cannot be reached is tried again; one that refuses is told of,
// and does not keep the run open for ever.
func TestPruneThatFails(t *testing.T) {
	w := newWorld(t)
	for code, again := range map[bucket.Code]bool{bucket.CodeUnavailable: true, bucket.CodeDenied: false} {
		failing := &refusing{Bucket: w.b, err: &bucket.Error{Code: code, Op: "list", Err: errors.New("no")}}
		a := applierOf(t.Context(), failing, &scripted{})
		err := a.prune(&plan.ActionPrune{Task: "train", AtEnd: map[string]job.AtEnd{"": job.AtEndRemove}})
		if again != (err != nil) {
			t.Errorf("%s: %v", code, err)
		}
		if again {
			continue
		}
		if facts := answers(t, a); len(facts.Pruned) != 1 || facts.Pruned[0].Fault == "" {
			t.Errorf("%s: %+v", code, facts.Pruned)
		}
	}
}

// refusing is a bucket that lists nothing.
type refusing struct {
	bucket.Bucket
	err error
}

func (r *refusing) List(context.Context, string, string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) { yield(bucket.Object{}, r.err) }
}
