package checkpointing

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
)

func nothingFails(context.Context, buckettest.Operation, string) error { return nil }

func mustAhead(t *testing.T, e Engine, dir string, base *Ref) AheadResult {
	t.Helper()
	result, err := e.Ahead(t.Context(), dir, AheadOptions{Base: base, Rest: tick})
	if err != nil {
		t.Fatalf("Ahead: %v", err)
	}
	return result
}

// TestAhead: what was sent ahead is neither read nor sent by the save.
func TestAhead(t *testing.T) {
	from, to, b := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to"), openBucket(t)
	content := state(5)
	content["big"] = file(noise(7, 2*packSize+5))
	mustWrite(t, from, content)
	rested(t)
	e := Open(b)
	ahead := mustAhead(t, e, from, nil)
	if ahead.BytesSent < 2*packSize || ahead.Files == 0 || ahead.Restless != 0 {
		t.Errorf("sent ahead: %+v", ahead)
	}
	if again := mustAhead(t, e, from, nil); again.BytesSent != 0 || again.BytesRead != 0 {
		t.Errorf("sent ahead again: %+v", again)
	}
	content["late"] = file("the last change")
	if err := os.WriteFile(filepath.Join(from, "late"), []byte("the last change"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(from, "late"), someTime, someTime); err != nil {
		t.Fatal(err)
	}
	result := mustSave(t, e, from, ID{1, 1}, nil)
	if result.BytesSent > 100 || result.BytesRead > 100 {
		t.Errorf("the save sent %d bytes and read %d", result.BytesSent, result.BytesRead)
	}
	mustRestore(t, Open(b), result.Ref, to)
	mustHold(t, to, content)
}

// TestAheadLeavesWhatMoves: a file that was written just now is left.
func TestAheadLeavesWhatMoves(t *testing.T) {
	from := t.TempDir()
	mustWrite(t, from, tree{"a": file("written just now")})
	result, err := Open(openBucket(t)).Ahead(t.Context(), from, AheadOptions{Rest: time.Hour})
	if err != nil || result.Files != 0 || result.Restless != 1 || result.BytesRestless != 16 || result.BytesSent != 0 {
		t.Errorf("sent ahead: %+v, %v", result, err)
	}
}

// TestAheadIsThrottled bounds the reading of what need not be sent.
func TestAheadIsThrottled(t *testing.T) {
	from, b := t.TempDir(), openBucket(t)
	content := tree{"big": file(noise(7, 2<<20)), "small": file(noise(8, 200_000))}
	mustWrite(t, from, content)
	e := Open(b)
	ref := mustSave(t, e, from, ID{1, 1}, nil).Ref
	mustWrite(t, from, content) // or the base would say that nothing has changed
	rested(t)
	result, err := Open(b).Ahead(t.Context(), from, AheadOptions{Base: &ref, Rest: tick, ReadPerSecond: 8 << 20})
	if err != nil || result.BytesSent != 0 || result.BytesRead != 2<<20+200_000 || result.Elapsed < 200*time.Millisecond {
		t.Errorf("sent ahead: %+v, %v", result, err)
	}
}

// TestAheadIsEnded: what was sent by then counts.
func TestAheadIsEnded(t *testing.T) {
	from, to, b := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to"), openBucket(t)
	content := tree{"big": file(noise(7, 5*packSize))}
	mustWrite(t, from, content)
	rested(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var puts atomic.Int64
	e := Open(&buckettest.Faults{Bucket: b, Fail: func(_ context.Context, op buckettest.Operation, _ string) error {
		if op == buckettest.Put && puts.Add(1) == 3 {
			for len(objects(t, b, dataPrefix)) < 2 {
				if err := wait(ctx, time.Millisecond); err != nil {
					return err
				}
			}
			cancel()
		}
		return nil
	}})
	if _, err := e.Ahead(ctx, from, AheadOptions{Rest: tick}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Ahead: %v", err)
	}
	there := int64(0)
	for _, size := range objects(t, b, dataPrefix) {
		there += size
	}
	result := mustSave(t, e, from, ID{1, 1}, nil)
	if there < 2*packSize || result.BytesSent > 5*packSize-there {
		t.Errorf("the save sent %d bytes, of which %d were there", result.BytesSent, there)
	}
	mustRestore(t, Open(b), result.Ref, to)
	mustHold(t, to, content)
}

// TestCollectAgainstAhead sends ahead, lets everything that this sent be
// condemned, and saves at each moment of the collection and after it: what is
// committed is whole.
func TestCollectAgainstAhead(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	mustWrite(t, from, state(5))
	for moment := int64(1); ; moment++ {
		b := openBucket(t)
		e := Open(b)
		rested(t)
		mustAhead(t, e, from, nil)
		var calls atomic.Int64
		var saved Ref
		save := func() { saved = mustSave(t, e, from, ID{1, 2}, nil).Ref }
		watched := &buckettest.Faults{Bucket: b, Fail: func(context.Context, buckettest.Operation, string) error {
			if calls.Add(1) == moment {
				save()
			}
			return nil
		}}
		result, err := Open(watched).Collect(t.Context(), CollectOptions{Roots: allCheckpoints(b)})
		if err != nil {
			t.Fatal(err)
		}
		last := saved == (Ref{})
		if last {
			if moment < 6 || result.Removed == 0 {
				t.Fatalf("a collection made %d calls and removed %d packs", moment-1, result.Removed)
			}
			save()
		}
		to := filepath.Join(t.TempDir(), "to")
		if err := Open(b).Restore(t.Context(), saved, to, RestoreOptions{}); err != nil {
			t.Fatalf("a save before call %d of a collection: %v", moment, err)
		}
		mustHold(t, to, state(5))
		if last {
			return
		}
	}
}

func TestEstimate(t *testing.T) {
	from, b := filepath.Join(t.TempDir(), "from"), openBucket(t)
	mustWrite(t, from, tree{"big": file(noise(1, 10<<20)), "small": file("12345")})
	e := Open(b)
	estimate := func(base *Ref, want Estimate) {
		t.Helper()
		if got, err := e.Estimate(t.Context(), from, EstimateOptions{Base: base}); err != nil || got != want {
			t.Errorf("estimated %+v, %v; want %+v", got, err, want)
		}
	}
	const all = 10<<20 + 5
	estimate(nil, Estimate{2, all, 2, all, all})
	first := mustSave(t, e, from, ID{1, 1}, nil).Ref
	estimate(&first, Estimate{Files: 2, Bytes: all})
	change := func(n uint64) {
		if err := os.WriteFile(filepath.Join(from, "big"), []byte(noise(1, 9<<20)+noise(n, 1<<20)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	change(2)
	estimate(&first, Estimate{2, all, 1, 10 << 20, 10 << 20}) // nothing is known of its changes
	second := mustSave(t, e, from, ID{1, 2}, &first).Ref
	estimate(&second, Estimate{Files: 2, Bytes: all})
	change(3)
	estimate(&second, Estimate{2, all, 1, 10 << 20, 1 << 20})
	if n := len(objects(t, b, series)); n != 2 {
		t.Errorf("%d checkpoints", n)
	}
}
