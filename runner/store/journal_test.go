package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

const testRun = "01hzy3k8w9v5t2q6n4m7c0d1ef"

// tb is what testing.TB and rapid.T share here.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

func folder(t *testing.T) bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), "file://"+t.TempDir()+"?sync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// faulty is a bucket whose puts fail as told: before they take place, or after.
type faulty struct {
	bucket.Bucket
	put func(key string) (before, after error)
}

func (f *faulty) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	before, after := f.put(key)
	if before != nil {
		return bucket.Object{}, before
	}
	object, err := f.Bucket.Put(ctx, key, body, cond)
	if err == nil && after != nil {
		return bucket.Object{}, after
	}
	return object, err
}

func unavailable(key string) error {
	return &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key, Err: errors.New("injected")}
}

func marked(writer string, n int) Entry {
	return Entry{Now: plan.Time(n), Events: []plan.Event{{RunHeld: &plan.RunHeld{Reason: fmt.Sprint(writer, n)}}}}
}

func readAll(t tb, b bucket.Bucket, run string) []Entry {
	t.Helper()
	var entries []Entry
	for entry, err := range ReadJournal(context.Background(), b, run, 0) {
		if err != nil {
			t.Fatalf("reading the journal: %v", err)
		}
		entries = append(entries, entry)
	}
	return entries
}

// TestJournalOneSequence lets two writers append as chance has it, with lost
// answers: there is one sequence without a gap, what a writer was told to have
// written is there once and in its order, and one that lost is told so and
// finds that another's entry is in its place.
func TestJournalOneSequence(t *testing.T) {
	b := folder(t)
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		run := fmt.Sprintf("run%d", runs)
		faults := rapid.SliceOfN(rapid.IntRange(0, 12), 40, 40).Draw(t, "faults")
		puts := 0
		shaky := &faulty{Bucket: b, put: func(key string) (error, error) {
			puts++
			switch faults[puts%len(faults)] {
			case 1, 2, 3:
				return nil, unavailable(key)
			case 4:
				return unavailable(key), nil
			}
			return nil, nil
		}}
		var at [2]Position
		journals := [2]*Journal{}
		wrote := [2][]string{}
		for i := range journals {
			journals[i] = OpenJournal(shaky, run, at[i], int64(i+1), Holder{Name: fmt.Sprint(i)})
		}
		turns := rapid.SliceOfN(rapid.IntRange(0, 1), 1, 12).Draw(t, "turns")
		for n, i := range turns {
			entry, err := journals[i].Append(context.Background(), marked(fmt.Sprint(i, "-"), n))
			switch {
			case err == nil:
				wrote[i] = append(wrote[i], entry.Nonce)
			case errors.Is(err, ErrLost):
				there, err := ReadEntry(context.Background(), b, run, journals[i].Last()+1)
				if err != nil || there.Holder.Name == fmt.Sprint(i) {
					t.Fatalf("writer %d was told that it lost entry %d, which is %v, %v", i, journals[i].Last()+1, there, err)
				}
				// It reads on, as a claim does.
				last := readAll(t, b, run)
				journals[i].Moved(Position{Seq: int64(len(last))})
			default:
				t.Fatalf("append: %v", err)
			}
		}
		seen := [2][]string{}
		for n, entry := range readAll(t, b, run) {
			if entry.Seq != int64(n+1) {
				t.Fatalf("entry %d says that it is %d", n+1, entry.Seq)
			}
			seen[entry.Epoch-1] = append(seen[entry.Epoch-1], entry.Nonce)
		}
		for i := range seen {
			if fmt.Sprint(seen[i]) != fmt.Sprint(wrote[i]) {
				t.Fatalf("writer %d was told of %v, the journal has %v", i, wrote[i], seen[i])
			}
		}
	})
}

// TestJournalConcurrentWriters has them race for real: each entry has one
// winner.
func TestJournalConcurrentWriters(t *testing.T) {
	b := folder(t)
	const writers, rounds = 4, 25
	var wins atomic.Int64
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			journal := OpenJournal(b, testRun, Position{}, int64(i+1), Holder{Name: fmt.Sprint(i)})
			for n := range rounds {
				_, err := journal.Append(t.Context(), marked(fmt.Sprint(i), n))
				if err == nil {
					wins.Add(1)
				} else if errors.Is(err, ErrLost) {
					journal.Moved(Position{Seq: journal.Last() + 1})
				} else {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if entries := readAll(t, b, testRun); int64(len(entries)) != wins.Load() || len(entries) < rounds {
		t.Fatalf("%d appends succeeded, the journal has %d entries", wins.Load(), len(entries))
	}
}

// TestAppendUnknownOutcome: the put took place and its answer was lost. That
// is a success, once.
func TestAppendUnknownOutcome(t *testing.T) {
	b := folder(t)
	lost := true
	journal := OpenJournal(&faulty{Bucket: b, put: func(key string) (error, error) {
		if lost {
			lost = false
			return nil, unavailable(key)
		}
		return nil, nil
	}}, testRun, Position{}, 1, Holder{})
	for n := range 3 {
		if _, err := journal.Append(t.Context(), marked("w", n)); err != nil {
			t.Fatal(err)
		}
	}
	if entries := readAll(t, b, testRun); len(entries) != 3 || entries[2].Events[0].RunHeld.Reason != "w2" {
		t.Fatalf("the journal has %v", entries)
	}
}

// TestAppendEndsWithItsContext: a bucket that stays away is no lost race.
func TestAppendEndsWithItsContext(t *testing.T) {
	b := folder(t)
	journal := OpenJournal(&faulty{Bucket: b, put: func(key string) (error, error) { return unavailable(key), nil }}, testRun, Position{}, 1, Holder{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := journal.Append(ctx, marked("w", 0))
	if !errors.Is(err, bucket.ErrUnavailable) || errors.Is(err, ErrLost) {
		t.Fatalf("got %v", err)
	}
}

func TestJournalGapIsNamed(t *testing.T) {
	b := folder(t)
	journal := OpenJournal(b, testRun, Position{}, 1, Holder{})
	for n := range 40 {
		if _, err := journal.Append(t.Context(), marked("w", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(t.Context(), JournalKey(testRun, 23)); err != nil {
		t.Fatal(err)
	}
	read := 0
	var last error
	for _, err := range ReadJournal(t.Context(), b, testRun, 0) {
		if last = err; err == nil {
			read++
		}
	}
	if read != 22 || !errors.Is(last, ErrCorrupt) {
		t.Fatalf("read %d entries, then %v", read, last)
	}
}

func TestLargeEntryIsCompressed(t *testing.T) {
	entry := Entry{Version: job.SpecVersion, Seq: 7, Epoch: 2, Nonce: "n"}
	for i := range 2000 {
		entry.Events = append(entry.Events, plan.Event{At: plan.Time(i), AttemptAccepted: &plan.AttemptAccepted{AttemptID: job.AttemptID{Task: "train", Index: i, Attempt: 1}}})
	}
	data, err := EncodeEntry(entry)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, zstdMagic) || len(data) > 60_000 {
		t.Fatalf("%d bytes, not compressed", len(data))
	}
	back, err := DecodeEntry("k", data)
	if err != nil || len(back.Events) != 2000 || back.Events[1999].AttemptAccepted.Index != 1999 {
		t.Fatalf("%v %v", back, err)
	}
}

func TestAgeCountsGaps(t *testing.T) {
	at := Position{}
	journalled := []Entry{
		{Seq: 1, Epoch: 1, Now: 0},
		{Seq: 2, Epoch: 1, Now: plan.Time(10 * time.Minute)},
		{Seq: 3, Epoch: 2, Now: plan.Time(10 * time.Minute), Gap: 24 * time.Hour},
	}
	state := plan.New(&job.Spec{})
	for _, entry := range journalled {
		at.Fold(state, entry)
	}
	now := plan.Time(11 * time.Minute)
	for _, row := range []struct {
		at   plan.Time
		want time.Duration
	}{
		{plan.Time(10 * time.Minute), 24*time.Hour + time.Minute},
		{plan.Time(5 * time.Minute), 24*time.Hour + 6*time.Minute},
		{plan.Time(10*time.Minute) + 1, time.Minute - 1},
	} {
		if got := at.Age(row.at, now); got != row.want {
			t.Errorf("opened at %s: %s, want %s", row.at, got, row.want)
		}
	}
}

// randomBytes is n bytes that don't compress.
func randomBytes(n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(data)
	return data
}
