package checkpointing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
)

// history is a directory that changes and is saved, sent ahead, restored and
// collected in any order, through a bucket that fails now and then.
type history struct {
	work, dir string
	bucket    bucket.Bucket // the faultless one
	e         Engine
	base      *Ref
	sequence  int64
	saved     map[string]tree
	files     map[string][]byte
	fail      bool // the next call that writes
}

func newHistory(t testing.TB, work string) *history {
	h := &history{work: work, dir: filepath.Join(work, "dir"), bucket: openBucket(t), saved: map[string]tree{}, files: map[string][]byte{}}
	if err := os.MkdirAll(filepath.Join(h.dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.restart()
	return h
}

// restart is another process: nothing is remembered.
func (h *history) restart() {
	h.e = Open(&buckettest.Faults{Bucket: h.bucket, Fail: func(_ context.Context, op buckettest.Operation, key string) error {
		if h.fail && op == buckettest.Put {
			h.fail = false
			return &bucket.Error{Code: bucket.CodeDenied, Op: "put", Key: key, Err: errors.New("a fault of the test")}
		}
		return nil
	}})
}

// change changes one file.
func (h *history) change(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b", "sub/c", "big"}).Draw(t, "file")
	seed := rapid.Uint64Range(0, 3).Draw(t, "seed")
	content := h.files[name]
	at := 0
	if len(content) > 0 {
		at = rapid.IntRange(0, len(content)-1).Draw(t, "at")
	}
	piece := []byte(noise(seed, rapid.SampledFrom([]int{1, 700, 90_000}).Draw(t, "length")))
	switch rapid.SampledFrom([]string{"write", "overwrite", "insert", "append", "truncate", "remove"}).Draw(t, "how") {
	case "write":
		length := rapid.SampledFrom([]int{0, 10, 3000, smallFile + 1}).Draw(t, "length")
		if name == "big" {
			length = sketchLeast + 1<<20
		}
		content = []byte(noise(seed, length))
	case "overwrite":
		content = append([]byte(nil), content...)
		copy(content[at:], piece)
	case "insert":
		content = append(append(append([]byte(nil), content[:at]...), piece...), content[at:]...)
	case "append":
		content = append(append([]byte(nil), content...), piece...)
	case "truncate":
		content = content[:at]
	case "remove":
		delete(h.files, name)
		if err := os.Remove(filepath.Join(h.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return
	}
	h.files[name] = content
	if err := os.WriteFile(filepath.Join(h.dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (h *history) save(t *rapid.T) {
	h.sequence++
	id := ID{1, h.sequence}
	opts := SaveOptions{Key: keyOf(id), ID: id, Base: h.base, Rehash: rapid.IntRange(0, 9).Draw(t, "rehash") == 0}
	if rapid.IntRange(0, 5).Draw(t, "no base") == 0 {
		opts.Base = nil
	}
	h.fail = rapid.IntRange(0, 4).Draw(t, "fault") == 0
	result, err := h.e.Save(context.Background(), h.dir, opts)
	h.fail = false
	if errors.Is(err, bucket.ErrDenied) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if h.saved[result.Ref.Key], err = readTree(h.dir); err != nil {
		t.Fatal(err)
	}
	h.base = &result.Ref
}

func (h *history) ahead(t *rapid.T) {
	if err := wait(context.Background(), tick); err != nil {
		t.Fatal(err)
	}
	h.fail = rapid.IntRange(0, 4).Draw(t, "fault") == 0
	_, err := h.e.Ahead(context.Background(), h.dir, AheadOptions{Base: h.base, Rest: time.Millisecond})
	h.fail = false
	if err != nil && !errors.Is(err, bucket.ErrDenied) {
		t.Fatal(err)
	}
}

// collect forgets the older checkpoints and collects what they leave.
func (h *history) collect(t *rapid.T) {
	last := rapid.IntRange(1, 3).Draw(t, "last")
	opts := PruneOptions{Prefix: series, Keep: Retention{Last: last}}
	if h.base != nil {
		opts.Pinned = []string{h.base.Key}
	}
	result, err := Open(h.bucket).Prune(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range result.Removed {
		delete(h.saved, ref.Key)
	}
	if _, err := Open(h.bucket).Collect(context.Background(), CollectOptions{Roots: allCheckpoints(h.bucket)}); err != nil {
		t.Fatal(err)
	}
}

// restore brings the directory back to some checkpoint.
func (h *history) restore(t *rapid.T) {
	if len(h.saved) == 0 {
		return
	}
	key := rapid.SampledFrom(sortedKeys(h.saved)).Draw(t, "checkpoint")
	ref, _, err := h.e.Inspect(context.Background(), Ref{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	reuse := rapid.Bool().Draw(t, "reuse")
	if err := h.e.Restore(context.Background(), ref, h.dir, RestoreOptions{Reuse: reuse}); err != nil {
		t.Fatal(err)
	}
	got, err := readTree(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := h.saved[key].diff(got); d != "" {
		t.Fatalf("restored (reuse %v) otherwise (-want +got):\n%s", reuse, d)
	}
	h.base = &ref
	h.files = map[string][]byte{}
	for name, n := range got {
		if n.Mode.IsRegular() {
			h.files[name] = []byte(n.Content)
		}
	}
}

func sortedKeys(saved map[string]tree) []string {
	t := tree{}
	for key := range saved {
		t[key] = node{}
	}
	return sorted(t)
}

// TestHistories: whatever happened before, each checkpoint that was not
// deleted restores what it was made of.
func TestHistories(t *testing.T) {
	t.Parallel()
	runs, memory := 0, memoryDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		h := newHistory(t, filepath.Join(memory, fmt.Sprint(runs)))
		rt.Repeat(map[string]func(*rapid.T){
			"change":  h.change,
			"again":   h.change,
			"save":    h.save,
			"resave":  h.save,
			"ahead":   h.ahead,
			"collect": h.collect,
			"restore": h.restore,
			"restart": func(*rapid.T) { h.restart() },
		})
		for key, want := range h.saved {
			to := filepath.Join(h.work, "to")
			if err := Open(h.bucket).Restore(t.Context(), Ref{Key: key}, to, RestoreOptions{}); err != nil {
				rt.Fatal(err)
			}
			got, err := readTree(to)
			if err != nil {
				rt.Fatal(err)
			}
			if d := want.diff(got); d != "" {
				rt.Fatalf("%s is restored otherwise (-want +got):\n%s", key, d)
			}
		}
		if err := removeTree(h.work); err != nil {
			rt.Fatal(err)
		}
	})
}
