package checkpointing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
)

// state is what a task has in its directory after step n: a large file of
// which a part changes, small files that come and go, and a link.
func state(n uint64) tree {
	t := tree{
		"model":  file(noise(1, smallFile) + noise(n, 300_000)),
		"step":   file(strconv.FormatUint(n, 10)),
		"logs":   dir(),
		"latest": link("logs/" + strconv.FormatUint(n%7, 10)),
	}
	for i := range n % 7 {
		t["logs/"+strconv.FormatUint(i, 10)] = file(noise(n+i, 20_000))
	}
	return t
}

// saveForever commits state after state and prints the sequence of each.
func saveForever(address, work, attempt string) error {
	ctx := context.Background()
	b, err := bucket.Open(ctx, address)
	if err != nil {
		return err
	}
	e := Open(b)
	number, err := strconv.Atoi(attempt)
	if err != nil {
		return err
	}
	var base *Ref
	fmt.Println("0")
	for n := uint64(1); ; n++ {
		from := filepath.Join(work, fmt.Sprint(attempt, "-", n))
		if err := state(n).write(from); err != nil {
			return err
		}
		id := ID{Attempt: number, Sequence: int64(n)}
		// At this rate most of the time is spent in the middle of a chunk.
		result, err := e.Save(ctx, from, SaveOptions{Key: keyOf(id), ID: id, Base: base, BytesPerSecond: 96 << 20})
		if err != nil {
			return err
		}
		fmt.Println(n)
		base = &result.Ref
		if err := os.RemoveAll(from); err != nil {
			return err
		}
	}
}

// victim is a process in a role, killed at some moment.
type victim struct {
	command *exec.Cmd
	lines   *bufio.Scanner
}

func start(t *testing.T, role string, arguments ...string) *victim {
	t.Helper()
	v := &victim{command: exec.CommandContext(t.Context(), os.Args[0], arguments...)}
	v.command.Env = append(os.Environ(), roleEnv+"="+role)
	v.command.Stderr = os.Stderr
	out, err := v.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.command.Start(); err != nil {
		t.Fatal(err)
	}
	v.lines = bufio.NewScanner(out)
	if !v.lines.Scan() {
		t.Fatalf("the process did not start: %v", v.lines.Err())
	}
	return v
}

// kill ends the process after a while and returns the last line it printed.
func (v *victim) kill(t *testing.T, after time.Duration) string {
	t.Helper()
	timer := time.AfterFunc(after, func() { v.command.Process.Kill() })
	defer timer.Stop()
	last := v.lines.Text()
	for v.lines.Scan() {
		last = v.lines.Text()
	}
	var exit *exec.ExitError
	if err := v.command.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the process ended by itself: %v", err)
	}
	return last
}

// TestKilledSaves kills savers at random moments, 300 of them in `make soak`.
// After each kill the newest restore gives exactly a committed state, none
// older than the last one that was acknowledged.
func TestKilledSaves(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	b, work, to := openBucket(t), t.TempDir(), filepath.Join(t.TempDir(), "to")
	acknowledged := ID{}
	rounds := 30
	if os.Getenv("SPOTRELAY_SOAK") != "" {
		rounds = 300
	}
	for round := 1; round <= rounds; round++ {
		saver := start(t, "save", b.Describe().URL, work, strconv.Itoa(round))
		sequence, err := strconv.ParseInt(saver.kill(t, time.Duration(rand.IntN(100_000))*time.Microsecond), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if sequence > 0 {
			acknowledged = ID{round, sequence}
		}
		ref, damaged, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{})
		if acknowledged == (ID{}) && errors.Is(err, &Error{Code: CodeMissing}) {
			continue
		}
		if err != nil || len(damaged) != 0 {
			t.Fatalf("round %d: %v, damaged: %v", round, err, damaged)
		}
		if ref.ID.Less(acknowledged) {
			t.Fatalf("round %d: restored %v although %v was acknowledged", round, ref.ID, acknowledged)
		}
		mustHold(t, to, state(uint64(ref.ID.Sequence)))
	}
	if acknowledged == (ID{}) {
		t.Fatal("no save was ever committed; the test shows nothing")
	}
}

// restoreForever restores the two checkpoints of a bucket in turns.
func restoreForever(address, to string) error {
	ctx := context.Background()
	b, err := bucket.Open(ctx, address)
	if err != nil {
		return err
	}
	e := Open(b)
	fmt.Println("started")
	for n := int64(1); ; n = 3 - n {
		if err := e.Restore(ctx, Ref{Key: keyOf(ID{1, n})}, to, RestoreOptions{}); err != nil {
			return err
		}
	}
}

// TestKilledRestores kills restorers at random moments: the directory is as
// one of the two checkpoints, and the next restore leaves nothing beside it.
func TestKilledRestores(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	b, from, parent := openBucket(t), t.TempDir(), t.TempDir()
	e, to := Open(b), filepath.Join(parent, "to")
	for n := int64(1); n <= 2; n++ {
		dir := filepath.Join(from, fmt.Sprint(n))
		mustWrite(t, dir, state(uint64(n+3)))
		mustSave(t, e, dir, ID{1, n}, nil)
	}
	mustRestore(t, e, Ref{Key: keyOf(ID{1, 1})}, to)
	for round := range 15 {
		start(t, "restore", b.Describe().URL, to).kill(t, time.Duration(rand.IntN(40_000))*time.Microsecond)
		if err := newTarget(to).repair(); err != nil { // as the next restore begins
			t.Fatal(err)
		}
		got, err := readTree(to)
		if err != nil {
			t.Fatal(err)
		}
		one, two := state(4).diff(got), state(5).diff(got)
		if one != "" && two != "" {
			t.Fatalf("round %d: the directory is neither the one nor the other:\n%s", round, one)
		}
		mustRestore(t, e, Ref{Key: keyOf(ID{1, 2})}, to)
		mustHold(t, to, state(5))
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Fatalf("beside it lies %v, %v", entries, err)
		}
	}
}

// TestRepairAfterMove has the state that a kill between the two renames
// leaves, where directories cannot be exchanged.
func TestRepairAfterMove(t *testing.T) {
	parent := t.TempDir()
	place := newTarget(filepath.Join(parent, "to"))
	mustWrite(t, place.before, tree{"old": file("precious")})
	mustWrite(t, place.staged, tree{"new": file("half")})
	e := Open(openBucket(t))
	err := e.Restore(t.Context(), Ref{Key: keyOf(ID{1, 1})}, place.dir, RestoreOptions{})
	if !errors.Is(err, &Error{Code: CodeMissing}) {
		t.Fatalf("Restore of nothing: %v", err)
	}
	mustHold(t, place.dir, tree{"old": file("precious")})
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("beside it lies %v, %v", entries, err)
	}
}

// TestCancelledAtEachCall ends the context at the first, second, third call of
// the bucket and so on, until a save gets through. Before that nothing is
// committed, and the save that follows works.
func TestCancelledAtEachCall(t *testing.T) {
	b, from, to := openBucket(t), filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	mustWrite(t, from, state(1))
	first := mustSave(t, Open(b), from, ID{1, 1}, nil)
	second := filepath.Join(t.TempDir(), "second")
	mustWrite(t, second, state(6))
	for call := int64(1); ; call++ {
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int64
		e := Open(&buckettest.Faults{Bucket: b, Fail: func(context.Context, buckettest.Operation, string) error {
			if calls.Add(1) == call {
				cancel()
			}
			return nil
		}})
		_, err := e.Save(ctx, second, SaveOptions{Key: keyOf(ID{1, 2}), ID: ID{1, 2}, Base: &first.Ref})
		cancel()
		if err == nil {
			if call < 4 {
				t.Fatalf("a save made %d calls only", call)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("call %d: %v", call, err)
		}
		if ref, _, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{}); err != nil || ref.ID != (ID{1, 1}) {
			t.Fatalf("call %d: restored %v, %v", call, ref.ID, err)
		}
	}
	if ref, _, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{}); err != nil || ref.ID != (ID{1, 2}) {
		t.Fatalf("restored %v, %v", ref.ID, err)
	}
	mustHold(t, to, state(6))
}

// TestCancelledInTheMiddle ends a slow save by what its Progress says.
func TestCancelledInTheMiddle(t *testing.T) {
	b, from := openBucket(t), t.TempDir()
	mustWrite(t, from, tree{"model": file(noise(1, 3<<20))})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var steps []int64
	_, err := Open(b).Save(ctx, from, SaveOptions{Key: keyOf(ID{1, 1}), ID: ID{1, 1}, BytesPerSecond: 8 << 20, Progress: func(p Progress) {
		if p.Stage == StageSending {
			steps = append(steps, p.BytesDone)
		}
		if p.BytesDone > 1<<20 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Save: %v", err)
	}
	if len(steps) < 8 || steps[len(steps)-1] > 3<<19 {
		t.Errorf("the progress is not smooth: %v", steps)
	}
	if left := objects(t, b, ""); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestStaleWriter: an attempt that should be dead goes on saving.
func TestStaleWriter(t *testing.T) {
	b, work := openBucket(t), t.TempDir()
	save := func(id ID, n uint64) {
		dir := filepath.Join(work, ManifestName(id))
		mustWrite(t, dir, state(n))
		mustSave(t, Open(b), dir, id, nil)
	}
	save(ID{1, 8}, 1)
	save(ID{2, 1}, 2)
	save(ID{1, 9}, 3)
	save(ID{1, 1_000_000}, 4)
	to := filepath.Join(work, "to")
	ref, _, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{})
	if err != nil || ref.ID != (ID{2, 1}) {
		t.Fatalf("restored %v, %v", ref.ID, err)
	}
	mustHold(t, to, state(2))
	if newest, _, err := Newest(t.Context(), Open(b), series); err != nil || newest != ref {
		t.Errorf("Newest is %+v, %v; want %+v", newest, err, ref)
	}

	// It cannot take a key that a later attempt used, nor one of its own twice.
	dir := filepath.Join(work, "other")
	mustWrite(t, dir, state(5))
	for _, id := range []ID{{2, 1}, {1, 8}} {
		_, err := Open(b).Save(t.Context(), dir, SaveOptions{Key: keyOf(id), ID: id})
		if !errors.Is(err, &Error{Code: CodeConflict}) || !errors.Is(err, bucket.ErrConflict) {
			t.Errorf("a second save of %v: %v", id, err)
		}
	}
	if _, err := Open(b).Save(t.Context(), dir, SaveOptions{Key: keyOf(ID{3, 1}), ID: ID{1, 10}}); !errors.Is(err, &Error{Code: CodeConflict}) {
		t.Errorf("a save under another's name: %v", err)
	}
}

// TestRepeatedSave: the same save again is answered with the first one's ref,
// whether its answer was lost or its caller asks again.
func TestRepeatedSave(t *testing.T) {
	b, from := openBucket(t), filepath.Join(t.TempDir(), "from")
	mustWrite(t, from, state(3))
	lossy := buckettest.LoseAnswers(b, "")
	first := mustSave(t, Open(lossy), from, ID{1, 1}, nil)
	again := mustSave(t, Open(lossy), from, ID{1, 1}, nil)
	if first.Ref != again.Ref || again.BytesSent != 0 {
		t.Errorf("the first time %+v, then %+v", first, again)
	}
	to := filepath.Join(t.TempDir(), "to")
	mustRestore(t, Open(b), again.Ref, to)
	mustHold(t, to, state(3))
}

// TestChangingFiles: a file that is replaced while it is read settles, one
// that changes for ever is named.
func TestChangingFiles(t *testing.T) {
	from := t.TempDir()
	mustWrite(t, from, tree{"big": file(noise(1, 5<<20)), "log": file("0")})
	b := openBucket(t)
	change := func(times int64) bucket.Bucket {
		var puts atomic.Int64
		return &buckettest.Faults{Bucket: b, Fail: func(_ context.Context, op buckettest.Operation, key string) error {
			if n := puts.Add(1); op != buckettest.Put || n > times {
				return nil
			}
			return errors.Join(
				os.WriteFile(filepath.Join(from, "log"), []byte(noise(uint64(time.Now().UnixNano()), 10)), 0o644),
				os.WriteFile(filepath.Join(from, "tmp"), []byte("renamed"), 0o644),
				os.Rename(filepath.Join(from, "tmp"), filepath.Join(from, "new")))
		}}
	}
	result, err := Open(change(3)).Save(t.Context(), from, SaveOptions{Key: keyOf(ID{1, 1}), ID: ID{1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "to")
	mustRestore(t, Open(b), result.Ref, to)
	want, err := readTree(from)
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, to, want)
	if _, there := want["new"]; !there {
		t.Error("the test changed nothing")
	}

	_, err = Open(change(1<<60)).Save(t.Context(), from, SaveOptions{Key: keyOf(ID{1, 2}), ID: ID{1, 2}})
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeUnsettled || !strings.HasSuffix(e.What, "log") && !strings.HasSuffix(e.What, "new") {
		t.Errorf("a directory that is never at rest: %v", err)
	}
	if _, _, err := b.Get(t.Context(), keyOf(ID{1, 2}), 0, -1); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("it was committed: %v", err)
	}
}

// TestShrinkingFile: a file becomes shorter while it is read.
func TestShrinkingFile(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	name := filepath.Join(from, "big")
	// The first pack is sent long before the end of the file is read.
	if err := os.WriteFile(name, []byte(noise(1, 5*packSize)), 0o644); err != nil {
		t.Fatal(err)
	}
	b := openBucket(t)
	var cut atomic.Bool
	e := Open(&buckettest.Faults{Bucket: b, Fail: func(_ context.Context, op buckettest.Operation, _ string) error {
		if op == buckettest.Put && cut.CompareAndSwap(false, true) {
			return os.Truncate(name, 100)
		}
		return nil
	}})
	result := mustSave(t, e, from, ID{1, 1}, nil)
	mustRestore(t, Open(b), result.Ref, to)
	if got, err := os.ReadFile(filepath.Join(to, "big")); err != nil || string(got) != noise(1, 100) {
		t.Errorf("restored %d bytes, %v", len(got), err)
	}
}
