//go:build unix

package task

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/task/socket"
)

// outside clears the variables of a task that may run this test.
func outside(t *testing.T) {
	t.Helper()
	for _, name := range []string{varSocket, varCheckpoint, varResumed, varOutput, varNotice} {
		t.Setenv(name, "")
	}
}

// agent answers at the task's socket with one line for each request.
func agent(t *testing.T, answers ...string) (requests chan string) {
	t.Helper()
	outside(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv(varSocket, path)
	requests = make(chan string, len(answers))
	go func() {
		for _, answer := range answers {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var request json.RawMessage
			if json.NewDecoder(conn).Decode(&request) == nil {
				requests <- string(request)
				_, _ = conn.Write([]byte(answer + "\n"))
			}
			conn.Close()
		}
	}()
	return requests
}

func TestOutside(t *testing.T) {
	outside(t)
	if Active() || Resumed() || Dir("here") != "here" || OutputDir("there") != "there" {
		t.Error("not as without spotrelay")
	}
	if c, err := Save(t.Context()); err != nil || c != (Checkpoint{}) {
		t.Errorf("save: %+v, %v", c, err)
	}
	if n, err := ReadNotice(); n != nil || err != nil {
		t.Errorf("notice: %v, %v", n, err)
	}
}

func TestSave(t *testing.T) {
	requests := agent(t,
		`{"ok":true,"checkpoint":{"key":"k","attempt":2,"sequence":7,"digest":"d","bytes":12},"unchanged":true}`,
		`{"ok":true}`,
		`{"ok":false,"error":"not saved","hint":"try again"}`,
	)
	c, err := Save(t.Context())
	if want := (Checkpoint{Attempt: 2, Sequence: 7, Bytes: 12, Unchanged: true}); err != nil || c != want {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := SaveInBackground(t.Context()); err != nil || c != (Checkpoint{}) {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = Save(t.Context())
	var refused *Refused
	if !errors.As(err, &refused) || refused.Hint != "try again" || err.Error() != "not saved (try again)" {
		t.Errorf("%v", err)
	}
	for _, want := range []string{`{"op":"save"}`, `{"op":"save","background":true}`, `{"op":"save"}`} {
		if got := <-requests; got != want {
			t.Errorf("asked %s, not %s", got, want)
		}
	}
}

func TestResumed(t *testing.T) {
	outside(t)
	dir := t.TempDir()
	t.Setenv(varCheckpoint, dir)
	t.Setenv(varResumed, "1")
	if Resumed() {
		t.Error("an empty directory is nothing to go on from")
	}
	if err := WriteFile(filepath.Join(Dir("none"), "state"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !Resumed() {
		t.Error("not resumed")
	}
	t.Setenv(varResumed, "0")
	if Resumed() {
		t.Error("files of the workdir are no checkpoint")
	}
}

func TestWriteFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	path := filepath.Join(dir, "state")
	for _, text := range []string{"first", "second"} {
		if err := WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
		// as a kill would leave it
		if err := os.WriteFile(filepath.Join(dir, ".new-state"), []byte("half"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteFile(path, []byte("third"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := WriteFile(filepath.Join(path, "below"), nil, 0o600); err == nil {
		t.Error("a file below a file was written")
	}
}

func giveNotice(t *testing.T, text string) string {
	t.Helper()
	outside(t)
	path := filepath.Join(t.TempDir(), "notice.json")
	t.Setenv(varNotice, path)
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestReadNotice(t *testing.T) {
	path := giveNotice(t, `{"action":"terminate","deadline":"2030-01-01T00:00:00Z","seconds":30}`)
	written := time.Now().Add(-10 * time.Second)
	if err := os.Chtimes(path, written, written); err != nil {
		t.Fatal(err)
	}
	n, err := ReadNotice()
	if err != nil || n == nil || n.Action != "terminate" {
		t.Fatalf("%+v, %v", n, err)
	}
	if left := time.Until(n.Deadline); left < 15*time.Second || left > 20*time.Second {
		t.Errorf("%s left, not 20s", left)
	}
	giveNotice(t, `{"action":"stop","seconds":0}`)
	if n, err := ReadNotice(); err != nil || n == nil || !n.Deadline.IsZero() {
		t.Errorf("nobody knows the deadline: %+v, %v", n, err)
	}
	giveNotice(t, `{"action`)
	if _, err := ReadNotice(); err == nil || !strings.Contains(err.Error(), "notice.json") {
		t.Errorf("a broken file: %v", err)
	}
}

func ended(ctx context.Context, t *testing.T) error {
	t.Helper()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(20 * time.Second):
		t.Fatal("the context goes on")
		return nil
	}
}

func TestContextEnds(t *testing.T) {
	path := giveNotice(t, "")
	ctx, stop := Context(t.Context(), syscall.SIGUSR1)
	if err := os.WriteFile(path, []byte(`{"action":"stop"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ended(ctx, t); !errors.Is(err, ErrInterrupted) {
		t.Errorf("by a notice: %v", err)
	}
	stop()

	outside(t)
	ctx, stop = Context(t.Context(), syscall.SIGUSR1)
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if err := ended(ctx, t); !errors.Is(err, ErrInterrupted) {
		t.Errorf("by a signal: %v", err)
	}
	stop()

	ctx, stop = Context(t.Context())
	stop()
	if err := ended(ctx, t); !errors.Is(err, context.Canceled) {
		t.Errorf("by stop: %v", err)
	}
}
