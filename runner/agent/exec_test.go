//go:build unix

package agent

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// beside asks for a command beside an attempt.
func (r *rig) beside(id job.AttemptID, exec string, command ...string) {
	r.Helper()
	r.besideFor(id, exec, time.Hour, command...)
}

func (r *rig) besideFor(id job.AttemptID, exec string, timeout time.Duration, command ...string) {
	r.Helper()
	request := job.ExecRequest{ID: exec, AttemptID: id, Command: command, Timeout: job.Duration(timeout), By: "ann@host", Written: time.Now()}
	if err := store.AddExec(r.Context(), r.bucket, testRun, testInstance, request); err != nil {
		r.Fatal(err)
	}
}

// answer waits for how a command ended, with its output.
func (r *rig) answer(exec string) (result job.ExecResult, out, errs string) {
	r.Helper()
	r.await("the end of "+exec, func() bool {
		var err error
		result, err = store.ReadExecResult(r.Context(), r.bucket, testRun, testInstance, exec)
		if err != nil && !errors.Is(err, bucket.ErrNotFound) {
			r.Fatal(err)
		}
		return err == nil
	})
	read := func(prefix string) string {
		var text bytes.Buffer
		if err := store.ReadLogAt(r.Context(), r.bucket, prefix, &text); err != nil {
			r.Fatal(err)
		}
		return text.String()
	}
	return result, read(store.ExecOutPrefix(testRun, testInstance, exec)), read(store.ExecErrPrefix(testRun, testInstance, exec))
}

// alive reports whether a process is there whose id a file holds.
func alive(r *rig, file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		r.Fatal(err)
	}
	pid := whole(strings.TrimSpace(string(text)))
	return errors.Is(syscall.Kill(pid, 0), nil)
}

func TestExecBeside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := helper("trap")
	task.Execution.Env["COLOUR"] = "blue"
	r.assign(task)
	id := task.AttemptID
	r.running(id)

	r.beside(id, "a", "sh", "-c", "echo $COLOUR $SPOTRELAY_TASK; pwd; ls; echo bad >&2; exit 7")
	result, out, errs := r.answer("a")
	work, _ := filepath.EvalSymlinks(r.work(id))
	if result.ExitCode != 7 || result.Fault != "" || errs != "bad\n" || !strings.HasPrefix(out, "blue "+id.Task+"\n"+work+"\n") || !strings.Contains(out, "ready\n") {
		t.Errorf("%+v, wrote %q and %q", result, out, errs)
	}
	if result.Bytes != int64(len(out)+len(errs)) || result.Dropped != 0 {
		t.Errorf("%+v of %d bytes", result, len(out)+len(errs))
	}

	r.beside(id, "missing", "no-such-program")
	if result, _, _ := r.answer("missing"); !result.Refused || !strings.Contains(result.Fault, "not found in PATH") {
		t.Errorf("%+v", result)
	}
	other := id
	other.Attempt++
	r.beside(other, "other", "true")
	if result, _, _ := r.answer("other"); !result.Refused || !strings.Contains(result.Fault, "is not on this instance") {
		t.Errorf("%+v", result)
	}
	r.besideFor(id, "long", time.Millisecond, "sleep", "1000")
	if result, _, _ := r.answer("long"); result.Signal != "SIGKILL" || result.Fault != errExecTimeout.Error() {
		t.Errorf("%+v", result)
	}

	// Taken back, it ends with all that it has started, and nothing else does.
	r.beside(id, "back", "sh", "-c", "sleep 1000 & echo $! > child; wait")
	child := filepath.Join(r.work(id), "child")
	r.await("the child", func() bool {
		text, _ := os.ReadFile(child)
		return bytes.HasSuffix(text, []byte("\n"))
	})
	if err := store.RemoveExec(r.Context(), r.bucket, testRun, testInstance, "back"); err != nil {
		t.Fatal(err)
	}
	if result, _, _ := r.answer("back"); result.Fault != errTakenBack.Error() {
		t.Errorf("%+v", result)
	}
	if alive(r, child) {
		t.Error("the child is alive")
	}
	if status, _ := r.readStatus(); len(status.Running) != 1 || len(status.Ended) != 0 {
		t.Errorf("the task is not as it was: %+v", status)
	}
}

// TestExecEndsWithTheTask: it is killed, and is no stray of the task.
func TestExecEndsWithTheTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := helper("trap")
	r.assign(task)
	id := task.AttemptID
	r.running(id)
	r.beside(id, "a", "sh", "-c", "touch begun; exec sleep 1000")
	r.await("the command", func() bool { return present(filepath.Join(r.work(id), "begun")) })
	r.desired.Attempts[0].Cancel = true
	r.write()
	end := r.end(id)
	if end.ExitCode != 75 || len(end.Warnings) > 0 {
		t.Errorf("%+v", end)
	}
	if result, _, _ := r.answer("a"); result.Fault != errHostEnded.Error() || result.Refused {
		t.Errorf("%+v", result)
	}
	r.beside(id, "late", "true")
	if result, _, _ := r.answer("late"); !result.Refused {
		t.Errorf("%+v", result)
	}
}

// TestExecInKeptFolder: where an attempt failed and is kept, until the agent
// leaves, which ends what runs.
func TestExecInKeptFolder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := helper("exit 3")
	task.Keep = true
	r.assign(task)
	id := task.AttemptID
	if end := r.end(id); end.ExitCode != 3 {
		t.Fatalf("%+v", end)
	}
	r.beside(id, "a", "pwd")
	work, _ := filepath.EvalSymlinks(r.work(id))
	if result, out, _ := r.answer("a"); result.ExitCode != 0 || result.Fault != "" || out != work+"\n" {
		t.Errorf("%+v: %q", result, out)
	}
	r.beside(id, "b", "sh", "-c", "touch begun; exec sleep 1000")
	r.await("the command", func() bool { return present(filepath.Join(r.work(id), "begun")) })
	r.desired.Leave = true
	r.write()
	if result, _, _ := r.answer("b"); result.Fault != errLeaving.Error() {
		t.Errorf("%+v", result)
	}
}

func TestExecBounds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := helper("trap")
	r.assign(task)
	id := task.AttemptID
	r.running(id)
	r.beside(id, "large", "sh", "-c", "head -c 10000000 /dev/zero; head -c 10000000 /dev/zero >&2")
	result, out, errs := r.answer("large")
	if len(out)+len(errs) != execOutput || result.Bytes != 20000000 || result.Dropped != 20000000-execOutput {
		t.Errorf("%d and %d bytes, %+v", len(out), len(errs), result)
	}
	for i := range mostExecs {
		r.beside(id, "many-"+string(rune('a'+i)), "sh", "-c", "touch $SPOTRELAY_EXEC; exec sleep 1000")
	}
	for i := range mostExecs {
		name := "many-" + string(rune('a'+i))
		r.await(name, func() bool { return present(filepath.Join(r.work(id), name)) })
	}
	r.beside(id, "more", "true")
	if result, _, _ := r.answer("more"); !result.Refused || !strings.Contains(result.Fault, "the most") {
		t.Errorf("%+v", result)
	}
}

// TestExecRequests: each writer changes its own request alone, and what nobody
// removed is dropped when its time is over.
func TestExecRequests(t *testing.T) {
	t.Parallel()
	b, _ := folderBucket(t)
	ctx := t.Context()
	add := func(id string, written time.Time) {
		request := job.ExecRequest{ID: id, Command: []string{"true"}, Timeout: job.Duration(time.Minute), Written: written}
		if err := store.AddExec(ctx, b, testRun, testInstance, request); err != nil {
			t.Error(err)
		}
	}
	add("old", time.Now().Add(-3*time.Hour))
	done := make(chan struct{})
	for _, id := range []string{"a", "b", "c"} {
		go func() { defer func() { done <- struct{}{} }(); add(id, time.Now()) }()
	}
	for range 3 {
		<-done
	}
	if err := store.RemoveExec(ctx, b, testRun, testInstance, "b"); err != nil {
		t.Fatal(err)
	}
	found, version, changed, err := store.ReadExecsUnless(context.Background(), b, testRun, testInstance, "")
	if err != nil || !changed || len(found.Requests) != 2 {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, _, changed, err := store.ReadExecsUnless(ctx, b, testRun, testInstance, version); err != nil || changed {
		t.Errorf("changed %t, %v", changed, err)
	}
}
