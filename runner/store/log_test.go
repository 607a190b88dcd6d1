package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

var testAttempt = job.AttemptID{Task: "train", Index: 3, Attempt: 2}

func logText(t tb, b bucket.Bucket) string {
	t.Helper()
	var text bytes.Buffer
	if err := ReadLog(context.Background(), b, testRun, testAttempt, &text); err != nil {
		t.Fatalf("reading the log: %v", err)
	}
	return text.String()
}

func logParts(t tb, b bucket.Bucket) int {
	t.Helper()
	n := 0
	for _, err := range b.List(context.Background(), LogPrefix(testRun, testAttempt), "") {
		if err != nil {
			t.Fatalf("listing the log: %v", err)
		}
		n++
	}
	return n
}

func TestEmptyLogWritesNothing(t *testing.T) {
	b := folder(t)
	w := NewLogWriter(t.Context(), b, testRun, testAttempt, LogOptions{})
	w.Write(nil)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := logParts(t, b); n != 0 || logText(t, b) != "" {
		t.Fatalf("%d parts", n)
	}
}

// TestLogIsWhole: whatever the pieces it is written in, what is read is what
// was written, in parts of bounded size.
func TestLogIsWhole(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, err := bucket.Open(context.Background(), "file://"+t.TempDir()+"?sync=off")
		if err != nil {
			rt.Fatalf("%v", err)
		}
		defer b.Close()
		part := rapid.IntRange(1, 64).Draw(rt, "part")
		w := NewLogWriter(context.Background(), b, testRun, testAttempt, LogOptions{PartBytes: part})
		var want bytes.Buffer
		for range rapid.IntRange(0, 12).Draw(rt, "writes") {
			piece := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "piece")
			want.Write(piece)
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				rt.Fatalf("wrote %d of %d: %v", n, len(piece), err)
			}
		}
		if err := w.Close(context.Background()); err != nil {
			rt.Fatalf("%v", err)
		}
		if got := logText(rt, b); got != want.String() {
			rt.Fatalf("got %q, want %q", got, want.String())
		}
		if n := logParts(rt, b); n < want.Len()/part {
			rt.Fatalf("%d bytes in %d parts of at most %d", want.Len(), n, part)
		}
	})
}

// TestLogPartAge: a line is in the bucket a second after it was written.
func TestLogPartAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := folder(t)
		w := NewLogWriter(t.Context(), b, testRun, testAttempt, LogOptions{})
		fmt.Fprintln(w, "epoch 1")
		synctest.Wait()
		if logParts(t, b) != 0 {
			t.Error("sent at once")
		}
		time.Sleep(DefaultPartAge + time.Millisecond) // the bubble's time
		synctest.Wait()
		if got := logText(t, b); got != "epoch 1\n" {
			t.Errorf("after a second the bucket has %q", got)
		}
		fmt.Fprintln(w, "epoch 2")
		if err := w.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if got := logText(t, b); got != "epoch 1\nepoch 2\n" {
			t.Errorf("after a flush the bucket has %q", got)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("a closed log takes more")
		}
	})
}

// TestLogOutage: while the bucket is away writes go on, at first into the
// spill file, and what doesn't fit there is dropped with a line that says so.
// The order is kept.
func TestLogOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		b := folder(t)
		shaky := &faulty{Bucket: b, put: func(key string) (error, error) {
			if away.Load() {
				return unavailable(key), nil
			}
			return nil, nil
		}}
		dir := t.TempDir()
		w := NewLogWriter(t.Context(), shaky, testRun, testAttempt, LogOptions{PartBytes: 100, SpillDir: dir, SpillBytes: 1000})
		line := func(n int) string { return fmt.Sprintf("line %04d\n", n) } // 10 bytes
		var want strings.Builder
		away.Store(true)
		for n := range 10 {
			io.WriteString(w, line(n))
		}
		synctest.Wait() // it tried, and failed
		for n := 10; n < 300; n++ {
			io.WriteString(w, line(n))
		}
		away.Store(false)
		time.Sleep(time.Minute)
		io.WriteString(w, "the end\n")
		if err := w.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "1800 bytes") {
			t.Errorf("the error does not tell what is missing: %v", err)
		}
		// A part under way, ten in the file, what was dropped, and the tail.
		for n := range 110 {
			want.WriteString(line(n))
		}
		want.Write(marker(1800))
		for n := 290; n < 300; n++ {
			want.WriteString(line(n))
		}
		want.WriteString("the end\n")
		if got := logText(t, b); got != want.String() {
			t.Errorf("the log is %d bytes:\n%s", len(got), got)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("the spill file is left: %v", left)
		}
	})
}

// TestLogCloseGivesUp: a bucket that stays away holds nobody up for ever.
func TestLogCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := folder(t)
		w := NewLogWriter(t.Context(), &faulty{Bucket: b, put: func(key string) (error, error) { return unavailable(key), nil }},
			testRun, testAttempt, LogOptions{SpillDir: t.TempDir()})
		io.WriteString(w, "hello")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, bucket.ErrUnavailable) || !strings.Contains(err.Error(), "5 bytes") {
			t.Errorf("got %v", err)
		}
	})
}

// TestLogOneLongLine: a line that is much longer than a part needs no more
// memory than any other log.
func TestLogOneLongLine(t *testing.T) {
	b := folder(t)
	var most atomic.Int64
	counted := &faulty{Bucket: b, put: func(string) (error, error) { return nil, nil }}
	w := NewLogWriter(t.Context(), counted, testRun, testAttempt, LogOptions{PartBytes: 1 << 20, SpillDir: t.TempDir()})
	piece := randomBytes(1 << 20)
	for range 64 {
		w.Write(piece)
		w.mu.Lock()
		most.Store(max(most.Load(), int64(cap(w.tail)+cap(w.spare))+w.spill.to))
		w.mu.Unlock()
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if most.Load() > 4<<20 {
		t.Fatalf("%d bytes held", most.Load())
	}
	if got := logText(t, b); len(got) != 64<<20 || got[63<<20:] != string(piece) {
		t.Fatalf("%d bytes", len(got))
	}
}

func TestFollowLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := folder(t)
		w := NewLogWriter(t.Context(), b, testRun, testAttempt, LogOptions{})
		var over atomic.Bool
		var text bytes.Buffer
		done := make(chan error, 1)
		go func() {
			done <- FollowLog(t.Context(), b, testRun, testAttempt, &text, 100*time.Millisecond, func(context.Context) (bool, error) { return over.Load(), nil })
		}()
		for n := range 5 {
			fmt.Fprintln(w, "line", n)
			time.Sleep(1500 * time.Millisecond)
		}
		w.Close(t.Context())
		over.Store(true)
		if err := <-done; err != nil || text.String() != "line 0\nline 1\nline 2\nline 3\nline 4\n" {
			t.Errorf("%q %v", text.String(), err)
		}
	})
}

func TestCorruptLogPartIsNamed(t *testing.T) {
	b := folder(t)
	key := LogKey(testRun, testAttempt, 1)
	if _, err := writeObject(t.Context(), b, key, append(zstdMagic[:4:4], "nonsense"...), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	err := ReadLog(t.Context(), b, testRun, testAttempt, io.Discard)
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), key) {
		t.Fatal(err)
	}
}
