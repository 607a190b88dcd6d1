package checkpointing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
)

// TestLent: whoever goes on reading a body after its call gets nothing of what
// the buffer is used for next.
func TestLent(t *testing.T) {
	data := []byte("mine")
	body := &lent{ctx: t.Context(), data: data}
	if got, err := io.ReadAll(body); err != nil || string(got) != "mine" {
		t.Fatalf("read %q, %v", got, err)
	}
	if _, err := body.Seek(1, io.SeekStart); err != nil || body.Len() != 3 {
		t.Fatalf("sought: %v, %d left", err, body.Len())
	}
	body.takeBack()
	copy(data, "next")
	if got, err := io.ReadAll(body); !errors.Is(err, errOver) || len(got) != 0 {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestSlowTransferIsDoubled: one Put out of many gets stuck; the save does not.
func TestSlowTransferIsDoubled(t *testing.T) { synctest.Test(t, testSlowTransferIsDoubled) }

func testSlowTransferIsDoubled(t *testing.T) {
	b, from, to := openBucket(t), filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	content := tree{"big": file(noise(1, 6*packSize))}
	mustWrite(t, from, content)
	var puts, stuck atomic.Int64
	e := Open(&buckettest.Faults{Bucket: b, Fail: func(ctx context.Context, op buckettest.Operation, key string) error {
		if op == buckettest.Put && puts.Add(1) == 4 {
			<-ctx.Done() // until the other one has won
			stuck.Add(1)
			return &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key, Err: ctx.Err()}
		}
		return nil
	}})
	result := mustSave(t, e, from, ID{1, 1}, nil)
	if stuck.Load() != 1 || result.BytesSent < 6*packSize {
		t.Errorf("%d transfers were stuck, %d bytes sent", stuck.Load(), result.BytesSent)
	}
	mustRestore(t, Open(b), result.Ref, to)
	mustHold(t, to, content)
}

// TestConflictWithoutObject: S3 answers 409 to one of two writers at once. It
// is no proof that the object is there, be it a pack or the manifest.
func TestConflictWithoutObject(t *testing.T) {
	for put := int64(1); put <= 2; put++ {
		b, from, to := openBucket(t), filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
		mustWrite(t, from, state(4))
		result := mustSave(t, Open(buckettest.FailNth(b, buckettest.Put, put, bucket.CodeConflict)), from, ID{1, 1}, nil)
		mustRestore(t, Open(b), result.Ref, to)
		mustHold(t, to, state(4))
	}
}

// TestLostRefusals: the answer to each put is lost, and after it each refusal
// of a second one.
func TestLostRefusals(t *testing.T) {
	b, from, to := openBucket(t), filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	mustWrite(t, from, state(4))
	var puts atomic.Int64
	mute := &mutePuts{Bucket: b, puts: &puts}
	result := mustSave(t, Open(mute), from, ID{1, 1}, nil)
	if n := puts.Load(); n != int64(len(objects(t, b, ""))) {
		t.Errorf("%d puts for %d objects", n, len(objects(t, b, "")))
	}
	mustRestore(t, Open(b), result.Ref, to)
	mustHold(t, to, state(4))

	// What another save has committed under the name is not taken for one's own.
	mustWrite(t, filepath.Join(from, "more"), tree{"x": file("other")})
	_, err := Open(mute).Save(t.Context(), from, SaveOptions{Key: keyOf(ID{1, 1}), ID: ID{1, 1}})
	if !errors.Is(err, &Error{Code: CodeConflict}) {
		t.Errorf("a save under a name that is taken: %v", err)
	}
}

// mutePuts is a bucket whose puts take place, or are refused, without an
// answer.
type mutePuts struct {
	bucket.Bucket
	puts *atomic.Int64
}

func (b *mutePuts) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	b.puts.Add(1)
	_, _ = b.Bucket.Put(ctx, key, body, cond)
	return bucket.Object{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key, Err: errors.New("the connection was reset, says the test")}
}

// TestCutOffPackIsReplaced: an object of the right name and another length is
// not taken for the pack.
func TestCutOffPackIsReplaced(t *testing.T) {
	b, from, to := openBucket(t), filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	mustWrite(t, from, state(4))
	mustSave(t, Open(b), from, ID{1, 1}, nil)
	for key := range objects(t, b, dataPrefix) {
		if err := buckettest.Damage(t.Context(), b, key, func(d []byte) []byte { return d[:len(d)/2] }); err != nil {
			t.Fatal(err)
		}
	}
	result := mustSave(t, Open(b), from, ID{1, 2}, nil)
	mustRestore(t, Open(b), result.Ref, to)
	mustHold(t, to, state(4))
}

// breaking is a bucket whose bodies break off, or stop, after some bytes.
type breaking struct {
	bucket.Bucket
	times atomic.Int64
	stop  bool
}

func (b *breaking) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	body, o, err := b.Bucket.Get(ctx, key, offset, length)
	if err != nil || length < 100 || b.times.Add(-1) < 0 {
		return body, o, err
	}
	head, err := io.ReadAll(io.LimitReader(body, length/2))
	if err != nil {
		return nil, o, err
	}
	body.Close()
	return &brokenBody{Reader: bytes.NewReader(head), ctx: ctx, stop: b.stop}, o, nil
}

type brokenBody struct {
	*bytes.Reader
	ctx  context.Context
	stop bool
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.Len() > 0 {
		return b.Reader.Read(p)
	}
	if b.stop {
		<-b.ctx.Done()
		return 0, b.ctx.Err()
	}
	return 0, io.ErrUnexpectedEOF
}

func (b *brokenBody) Close() error { return nil }

// TestReadsThatBreakOff go on where they were.
func TestReadsThatBreakOff(t *testing.T) { synctest.Test(t, testReadsThatBreakOff) }

func testReadsThatBreakOff(t *testing.T) {
	b, from := openBucket(t), filepath.Join(t.TempDir(), "from")
	content := tree{"big": file(noise(1, packSize+5)), "small": file("small")}
	mustWrite(t, from, content)
	ref := mustSave(t, Open(b), from, ID{1, 1}, nil).Ref
	for _, stop := range []bool{false, true} {
		broken := &breaking{Bucket: b, stop: stop}
		broken.times.Store(3)
		if stop {
			broken.times.Store(1)
		}
		to := filepath.Join(t.TempDir(), "to")
		mustRestore(t, Open(broken), ref, to)
		mustHold(t, to, content)
		if broken.times.Load() >= 0 {
			t.Error("nothing broke off")
		}
	}
}

// TestLanes: more are used as long as that helps, and fewer when it hurts.
func TestLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The whole takes the bandwidth of useful lanes at most.
		transfer := func(l *lanes, useful, transfers int) {
			var under sync.WaitGroup
			for range transfers {
				if err := l.enter(t.Context()); err != nil {
					t.Fatal(err)
				}
				l.mu.Lock()
				busy := l.busy
				l.mu.Unlock()
				under.Go(func() {
					took := time.Duration(max(busy, useful)) * 10 * time.Millisecond / time.Duration(useful)
					time.Sleep(took)
					l.leave(packSize, took)
				})
			}
			under.Wait()
		}
		for _, test := range []struct{ useful, least, most int }{{1, 4, 6}, {16, 9, 16}} {
			l := newLanes(mostLanes)
			transfer(l, test.useful, 600)
			if l.limit < test.least || l.limit > test.most {
				t.Errorf("with %d useful lanes %d are used", test.useful, l.limit)
			}
			if l.busy != 0 {
				t.Errorf("%d lanes are never left", l.busy)
			}
		}
		l := newLanes(mostLanes)
		l.answered(30 * time.Millisecond)
		if l.limit <= firstLanes {
			t.Errorf("%d lanes where an answer takes 30 ms", l.limit)
		}
	})
}
