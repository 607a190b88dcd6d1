package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

func desiredOf(instance string, epoch, sequence int64) job.Desired {
	return job.Desired{Run: testRun, Instance: instance, Epoch: epoch, Sequence: sequence, Leave: sequence%2 == 0}
}

// TestStaleDesiredIsRefused: whatever the order of writes, and whatever
// versions the writers believe in, the document with the highest epoch and
// sequence is what is there in the end.
func TestStaleDesiredIsRefused(t *testing.T) {
	b := folder(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		instance := fmt.Sprintf("i-%d", n)
		var known [2]DesiredAt
		var highest job.Desired
		for range rapid.IntRange(1, 10).Draw(t, "writes") {
			d := desiredOf(instance, rapid.Int64Range(1, 3).Draw(t, "epoch"), rapid.Int64Range(1, 5).Draw(t, "sequence"))
			w := rapid.IntRange(0, 1).Draw(t, "writer")
			at, err := WriteDesired(context.Background(), b, d, known[w])
			stale := !DesiredLess(highest, d) && !(highest.Epoch == d.Epoch && highest.Sequence == d.Sequence)
			if stale != errors.Is(err, ErrStale) || !stale && err != nil {
				t.Fatalf("write %d,%d over %d,%d: %v", d.Epoch, d.Sequence, highest.Epoch, highest.Sequence, err)
			}
			if !stale {
				known[w] = at
				highest = d
			}
		}
		there, _, err := ReadDesired(context.Background(), b, testRun, instance)
		if err != nil || there.Epoch != highest.Epoch || there.Sequence != highest.Sequence {
			t.Fatalf("there is %d,%d, want %d,%d (%v)", there.Epoch, there.Sequence, highest.Epoch, highest.Sequence, err)
		}
	})
}

func TestWriteDesiredUnknownOutcome(t *testing.T) {
	b := folder(t)
	shaky := &faulty{Bucket: b, put: func(key string) (error, error) { return nil, unavailable(key) }}
	if _, err := WriteDesired(t.Context(), shaky, desiredOf("i-1", 1, 1), DesiredAt{}); err != nil {
		t.Fatalf("it was written, the answer was lost: %v", err)
	}
}

// A desired document that was damaged is replaced; one of a later version is
// left alone.
func TestDamagedDesiredIsWrittenAnew(t *testing.T) {
	b := folder(t)
	known, err := WriteDesired(t.Context(), b, desiredOf("i-1", 1, 1), DesiredAt{})
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(content string) {
		if _, err := b.Put(t.Context(), DesiredKey(testRun, "i-1"), strings.NewReader(content), bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	spoil(`{"version":1,"run":`)
	if known, err = WriteDesired(t.Context(), b, desiredOf("i-1", 1, 2), known); err != nil {
		t.Fatalf("over a damaged document: %v", err)
	}
	if there, _, err := ReadDesired(t.Context(), b, testRun, "i-1"); err != nil || there.Sequence != 2 {
		t.Fatalf("there is %+v (%v)", there, err)
	}
	spoil(`{"version":99}`)
	if _, err = WriteDesired(t.Context(), b, desiredOf("i-1", 1, 3), known); !errors.Is(err, ErrVersion) {
		t.Fatalf("over a later version: %v", err)
	}
}

func TestSwapLease(t *testing.T) {
	b := folder(t)
	first := Lease{Epoch: 1, Counter: 1, Duration: job.Duration(1e9), Holder: Holder{ID: "a", PID: 1}}
	object, err := SwapLease(t.Context(), b, testRun, first, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SwapLease(t.Context(), b, testRun, Lease{Epoch: 1, Holder: Holder{ID: "b"}}, ""); !errors.Is(err, ErrLost) {
		t.Fatalf("a second first holder: %v", err)
	}
	shaky := &faulty{Bucket: b, put: func(key string) (error, error) { return nil, unavailable(key) }}
	second := first
	second.Counter = 2
	if _, err := SwapLease(t.Context(), shaky, testRun, second, object.Version); err != nil {
		t.Fatalf("it was written, the answer was lost: %v", err)
	}
	third := first
	third.Counter = 3
	if _, err := SwapLease(t.Context(), b, testRun, third, object.Version); !errors.Is(err, ErrLost) {
		t.Fatalf("over an old version: %v", err)
	}
	never := &faulty{Bucket: b, put: func(key string) (error, error) { return unavailable(key), nil }}
	_, now, err := ReadLease(t.Context(), b, testRun)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SwapLease(t.Context(), never, testRun, third, now.Version); !errors.Is(err, bucket.ErrUnavailable) || errors.Is(err, ErrLost) {
		t.Fatalf("nothing was written: %v", err)
	}
}

func TestSpecIsWrittenOnce(t *testing.T) {
	b := folder(t)
	spec := &job.Spec{Run: testRun, Job: "train", Seed: 7}
	for range 2 {
		if err := WriteSpec(t.Context(), b, spec); err != nil {
			t.Fatal(err)
		}
	}
	other := *spec
	other.Job = "other"
	if err := WriteSpec(t.Context(), b, &other); !errors.Is(err, ErrExists) {
		t.Fatalf("another content: %v", err)
	}
	read, err := ReadSpec(t.Context(), b, testRun)
	if err != nil || read.Job != "train" || read.Version != job.SpecVersion {
		t.Fatalf("%+v %v", read, err)
	}
	if _, err := ReadSpec(t.Context(), b, "../../etc"); !errors.Is(err, bucket.ErrNotFound) {
		t.Fatalf("an id that is none: %v", err)
	}
}

func TestUnknownVersionIsNamed(t *testing.T) {
	b := folder(t)
	for _, text := range []string{`{"version": 99, "run": 5}`, `{"version":2}`} {
		if _, err := writeObject(t.Context(), b, SpecKey(testRun), []byte(text), bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
		_, err := ReadSpec(t.Context(), b, testRun)
		if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), SpecKey(testRun)) {
			t.Fatalf("%s: %v", text, err)
		}
	}
	for _, text := range []string{``, `{}`, `[]`, `{"version":"1"}`, `{"version":1,"run":3}`, `{"version":1,"run":"x"}`} {
		if _, err := writeObject(t.Context(), b, SpecKey(testRun), []byte(text), bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSpec(t.Context(), b, testRun); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%q: %v", text, err)
		}
	}
}

func TestListRuns(t *testing.T) {
	b := folder(t)
	runs := []string{"01hzy3k8w9v5t2q6n4m7c0d1ea", "01hzy3k8w9v5t2q6n4m7c0d1eb", "01hzy3k8w9v5t2q6n4m7c0d1ec"}
	for _, run := range runs {
		if err := WriteSpec(t.Context(), b, &job.Spec{Run: run}); err != nil {
			t.Fatal(err)
		}
		for seq := range 3 {
			if _, err := writeObject(t.Context(), b, JournalKey(run, int64(seq+1)), []byte("x"), bucket.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A submission that stopped half-way, and a stray object.
	for _, key := range []string{WorkdirKey("01hzy3k8w9v5t2q6n4m7c0d1ed"), "runs/stray", "runs/no-run/spec.json"} {
		if _, err := writeObject(t.Context(), b, key, []byte("x"), bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ListRuns(t.Context(), b)
	if err != nil || !reflect.DeepEqual(got, runs) {
		t.Fatalf("%v %v", got, err)
	}
	var roots []string
	for key, err := range Roots(t.Context(), b) {
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, key)
	}
	if len(roots) != 1 || roots[0] != WorkdirKey("01hzy3k8w9v5t2q6n4m7c0d1ed") {
		t.Fatalf("roots %v", roots)
	}
}

func TestRequests(t *testing.T) {
	b := folder(t)
	key, err := PutRequest(t.Context(), b, testRun, plan.Request{Kind: plan.RequestCancel, By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writeObject(t.Context(), b, RequestKey(testRun, "cancel", "bad"), []byte("?"), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	requests, faults, err := ListRequests(t.Context(), b, testRun)
	if err != nil || len(faults) != 1 || len(requests) != 1 || requests[0].Key != key || requests[0].Request.By != "ann" {
		t.Fatalf("%v %v %v", requests, faults, err)
	}
}

func TestStatusOfAnotherIsCorrupt(t *testing.T) {
	b := folder(t)
	if _, err := WriteStatus(t.Context(), b, job.Status{Run: testRun, Instance: "i-1", Beat: 3}, ""); err != nil {
		t.Fatal(err)
	}
	status, object, err := ReadStatus(t.Context(), b, testRun, "i-1")
	if err != nil || status.Beat != 3 || object.Version == "" {
		t.Fatalf("%+v %v", status, err)
	}
	data, _, _ := readObject(t.Context(), b, StatusKey(testRun, "i-1"))
	if _, err := writeObject(t.Context(), b, StatusKey(testRun, "i-2"), data, bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadStatus(t.Context(), b, testRun, "i-2"); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("%v", err)
	}
	if _, err := WriteStatus(t.Context(), b, job.Status{Run: testRun, Instance: "../x"}, ""); !errors.Is(err, bucket.ErrInvalid) {
		t.Fatalf("%v", err)
	}
}

// lateBucket fails the next write, and lets it have its effect when it is told.
type lateBucket struct {
	bucket.Bucket
	armed bool
	late  func() error
}

func (b *lateBucket) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if !b.armed {
		return b.Bucket.Put(ctx, key, body, cond)
	}
	b.armed = false
	b.late = func() error {
		_, err := b.Bucket.Put(ctx, key, body, cond)
		return err
	}
	return bucket.Object{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key}
}

// TestLateStatusBuriesNothing: a write that was held to have failed, and has
// its effect after the next one, does not undo that. It was found by the
// simulation (seed 73): a task whose success lay in the status was run again.
func TestLateStatusBuriesNothing(t *testing.T) {
	b := &lateBucket{Bucket: folder(t)}
	status := job.Status{Run: testRun, Instance: "i-1", Beat: 1}
	first, err := WriteStatus(t.Context(), b, status, "")
	if err != nil {
		t.Fatal(err)
	}
	b.armed = true
	status.Beat = 2
	if _, err := WriteStatus(t.Context(), b, status, first.Version); !errors.Is(err, bucket.ErrUnavailable) {
		t.Fatal(err)
	}
	status.Beat = 3
	third, err := WriteStatus(t.Context(), b, status, first.Version)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.late(); !errors.Is(err, bucket.ErrConflict) {
		t.Errorf("the late write: %v", err)
	}
	found, object, err := ReadStatus(t.Context(), b, testRun, "i-1")
	if err != nil || found.Beat != 3 || object.Version != third.Version {
		t.Errorf("the status is of beat %d, %v", found.Beat, err)
	}
	// One that had its effect at once, though it seemed to fail, is gone on from.
	b.armed = true
	status.Beat = 4
	_, _ = WriteStatus(t.Context(), b, status, third.Version)
	if err := b.late(); err != nil {
		t.Fatal(err)
	}
	status.Beat = 5
	if _, err := WriteStatus(t.Context(), b, status, third.Version); err != nil {
		t.Error(err)
	}
}
