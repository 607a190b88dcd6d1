package checkpointing

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
)

// allCheckpoints is the roots of a bucket that has nothing but one series.
func allCheckpoints(b bucket.Bucket) func(context.Context) iter.Seq2[string, error] {
	return func(ctx context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for o, err := range b.List(ctx, series, "") {
				if !yield(o.Key, err) {
					return
				}
			}
		}
	}
}

func TestCollect(t *testing.T) {
	b := openBucket(t)
	first, second, own := twoCheckpoints(t, b)
	collect := func(dry bool) CollectResult {
		result, err := Open(b).Collect(t.Context(), CollectOptions{Roots: allCheckpoints(b), DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if result := collect(false); result.Removed != 0 || result.Manifests != 2 || result.Chunks == 0 {
		t.Fatalf("with all in use: %+v", result)
	}
	if err := b.Delete(t.Context(), second.Key); err != nil {
		t.Fatal(err)
	}
	before := len(objects(t, b, ""))
	if dry := collect(true); dry.Removed != len(own)-1 || len(objects(t, b, "")) != before {
		t.Fatalf("a dry run: %+v", dry)
	}
	if result := collect(false); result.Removed != len(own)-1 || result.BytesRemoved < 5<<20 || result.Manifests != 1 {
		t.Fatalf("with the second checkpoint gone: %+v", result)
	}
	mustRestore(t, Open(b), first, filepath.Join(t.TempDir(), "to"))
	if left := objects(t, b, markerPrefix); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestCollectIsCareful: what cannot be known stops it before it deletes.
func TestCollectIsCareful(t *testing.T) {
	b := openBucket(t)
	_, second, _ := twoCheckpoints(t, b)
	before := len(objects(t, b, ""))
	fault := errors.New("the listing broke off")
	var calls atomic.Int32
	for name, roots := range map[string]func(context.Context) iter.Seq2[string, error]{
		"no roots": nil,
		"an error": func(context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { yield("", fault) }
		},
		"an error after the grace": func(context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				if calls.Add(1) == 2 {
					yield("", fault)
				}
			}
		},
	} {
		if _, err := Open(b).Collect(t.Context(), CollectOptions{Roots: roots}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := buckettest.Damage(t.Context(), b, second.Key, buckettest.FlipBit(999)); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := Open(b).Collect(t.Context(), CollectOptions{Roots: allCheckpoints(b)}); !errors.As(err, &e) || e.Code != CodeCorrupt || e.What != second.Key {
		t.Errorf("with a damaged root: %v", err)
	}
	if n := len(objects(t, b, "")); n != before {
		t.Errorf("%d objects were %d", n, before)
	}
}

// TestCollectAgainstSave runs a save at each moment of a collection that
// condemns the very chunks that the save needs: what is committed is whole.
func TestCollectAgainstSave(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	mustWrite(t, from, state(5))
	for moment := int64(1); ; moment++ {
		b := openBucket(t)
		garbage := mustSave(t, Open(b), from, ID{1, 1}, nil).Ref
		if err := b.Delete(t.Context(), garbage.Key); err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int64
		var saved Ref
		watched := &buckettest.Faults{Bucket: b, Fail: func(context.Context, buckettest.Operation, string) error {
			if calls.Add(1) == moment {
				saved = mustSave(t, Open(b), from, ID{1, 2}, nil).Ref
			}
			return nil
		}}
		result, err := Open(watched).Collect(t.Context(), CollectOptions{Roots: allCheckpoints(b)})
		if err != nil {
			t.Fatal(err)
		}
		if saved == (Ref{}) {
			if moment < 6 || result.Removed == 0 {
				t.Fatalf("a collection made %d calls and removed %d chunks", moment-1, result.Removed)
			}
			return
		}
		to := filepath.Join(t.TempDir(), "to")
		if err := Open(b).Restore(t.Context(), saved, to, RestoreOptions{}); err != nil {
			t.Fatalf("a save before call %d of a collection: %v", moment, err)
		}
		mustHold(t, to, state(5))
	}
}

// TestCollectSparesSaveUnderWay: a save that began before the collection and
// shares a condemned chunk commits during the grace.
func TestCollectSparesSaveUnderWay(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	mustWrite(t, from, state(5))
	b := openBucket(t)
	garbage := mustSave(t, Open(b), from, ID{1, 1}, nil).Ref
	if err := b.Delete(t.Context(), garbage.Key); err != nil {
		t.Fatal(err)
	}
	sent, commit, committed := make(chan struct{}), make(chan struct{}), make(chan error)
	slow := Open(&buckettest.Faults{Bucket: b, Fail: func(_ context.Context, op buckettest.Operation, key string) error {
		if op == buckettest.Put && strings.HasPrefix(key, series) {
			close(sent)
			<-commit
		}
		return nil
	}})
	var saved SaveResult
	go func() {
		var err error
		saved, err = slow.Save(t.Context(), from, SaveOptions{Key: keyOf(ID{1, 2}), ID: ID{1, 2}})
		committed <- err
	}()
	<-sent
	listings := 0
	result, err := Open(b).Collect(t.Context(), CollectOptions{Roots: func(ctx context.Context) iter.Seq2[string, error] {
		if listings++; listings == 2 {
			close(commit)
			if err := <-committed; err != nil {
				t.Error(err)
			}
		}
		return allCheckpoints(b)(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if saved.BytesSent != 0 || result.Removed != 0 {
		t.Errorf("the save sent %d bytes, the collection removed %d chunks; want 0 and 0", saved.BytesSent, result.Removed)
	}
	mustRestore(t, Open(b), saved.Ref, to)
	mustHold(t, to, state(5))
}

// TestSaltedSave: under a collection a save shares with its base only, and
// finds what it sent itself when it is repeated.
func TestSaltedSave(t *testing.T) {
	b, from := openBucket(t), filepath.Join(t.TempDir(), "from")
	mustWrite(t, from, state(5))
	first := mustSave(t, Open(b), from, ID{1, 1}, nil).Ref
	overwrite(t, b, markerPrefix+"x", nil)
	if result := mustSave(t, Open(b), from, ID{1, 2}, &first); result.BytesSent != 0 {
		t.Errorf("a save on its base sent %d bytes", result.BytesSent)
	}
	content := state(6)
	content["more"] = file(noise(9, packSize))
	from = filepath.Join(t.TempDir(), "from")
	mustWrite(t, from, content)
	broken := buckettest.FailNth(b, buckettest.Put, 3, bucket.CodeDenied) // the manifest
	save := func(b bucket.Bucket) (SaveResult, error) {
		return Open(b).Save(t.Context(), from, SaveOptions{Key: keyOf(ID{1, 3}), ID: ID{1, 3}})
	}
	if _, err := save(broken); !errors.Is(err, bucket.ErrDenied) {
		t.Fatal(err)
	}
	result, err := save(b)
	if err != nil {
		t.Fatal(err)
	}
	if result.BytesSent >= result.Ref.Bytes/2 {
		t.Errorf("the repeated save sent %d of %d bytes again", result.BytesSent, result.Ref.Bytes)
	}
	salted := 0
	for key := range objects(t, b, dataPrefix) {
		if strings.Contains(key, "-") {
			salted++
		}
	}
	if salted == 0 {
		t.Error("no chunk was set apart")
	}
}
