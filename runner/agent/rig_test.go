//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	testRun      = "01jd00000000000000000000aa"
	testInstance = "i-test"
)

// rig is an agent in this process, with a folder as its bucket and a
// controller that is this test.
type rig struct {
	testing.TB
	bucket bucket.Bucket
	engine checkpointing.Engine
	agent  *Agent
	home   string
	ended  chan error
	cut    context.CancelFunc

	desired job.Desired
}

func testOptions(b bucket.Bucket, home string) Options {
	return Options{
		Config: bootstrap.Config{
			Version: job.SpecVersion, Run: testRun, Fleet: "test", Slots: 1,
			Timing: job.Timing{Heartbeat: job.Duration(200 * time.Millisecond), Lease: job.Duration(time.Hour)},
			Leave:  providers.Leave{Means: providers.LeaveExit},
		},
		Instance: testInstance, Home: home, Version: "test", Bucket: b,
		Environ: append(os.Environ(), bootstrap.VarConfig+"=secret"),
		Logger:  slog.New(slog.DiscardHandler),
	}
}

func folderBucket(t testing.TB) (bucket.Bucket, string) {
	t.Helper()
	address := "file://" + t.TempDir() + "?sync=off"
	b, err := bucket.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, address
}

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	b, _ := folderBucket(t)
	return newRigOn(t, b, change...)
}

func newRigOn(t testing.TB, b bucket.Bucket, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{TB: t, bucket: b, engine: checkpointing.Open(b), home: t.TempDir(), ended: make(chan error, 1)}
	r.desired = job.Desired{Run: testRun, Instance: testInstance, Epoch: 1}
	o := testOptions(b, r.home)
	for _, f := range change {
		f(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.agent = a
	r.home = o.Home
	ctx, cut := context.WithCancel(context.Background())
	r.cut = cut
	go func() { r.ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cut()
		<-a.life.Done()
		r.await("the agent's end", func() bool {
			select {
			case err := <-r.ended:
				r.ended <- err
				return true
			default:
				return false
			}
		})
	})
	return r
}

func (r *rig) await(what string, condition func() bool) {
	r.Helper()
	if !until(condition) {
		status, _ := r.readStatus()
		r.Fatalf("%s did not come; status: %+v", what, status)
	}
}

// write writes the desired document.
func (r *rig) write() {
	r.Helper()
	r.desired.Sequence++
	if _, err := store.WriteDesired(r.Context(), r.bucket, r.desired, store.DesiredAt{}); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) assign(assignments ...job.Assignment) {
	r.Helper()
	r.desired.Attempts = append(r.desired.Attempts, assignments...)
	r.write()
}

func (r *rig) readStatus() (job.Status, bool) {
	status, _, err := store.ReadStatus(context.Background(), r.bucket, testRun, testInstance)
	return status, err == nil
}

// status waits for a status that fulfils the condition.
func (r *rig) status(what string, condition func(job.Status) bool) job.Status {
	r.Helper()
	var status job.Status
	r.await(what, func() bool {
		s, ok := r.readStatus()
		if ok {
			status = s
		}
		return ok && condition(s)
	})
	return status
}

// end waits for the end of an attempt.
func (r *rig) end(id job.AttemptID) job.AttemptEnd {
	r.Helper()
	var end job.AttemptEnd
	r.status("the end of the attempt", func(s job.Status) bool {
		i := slices.IndexFunc(s.Ended, func(e job.AttemptEnd) bool { return e.AttemptID == id })
		if i >= 0 {
			end = s.Ended[i]
		}
		return i >= 0
	})
	return end
}

// running waits until the attempt's program says that it is ready.
func (r *rig) running(id job.AttemptID) {
	r.Helper()
	r.await("the start of the task", func() bool { return present(filepath.Join(r.work(id), "ready")) })
}

func (r *rig) work(id job.AttemptID) string {
	return filepath.Join(r.home, "attempts", fmt.Sprintf("%s-%d-%d", id.Task, id.Index, id.Attempt), "work")
}

func (r *rig) log(id job.AttemptID) string {
	r.Helper()
	var text strings.Builder
	if err := store.ReadLog(r.Context(), r.bucket, testRun, id, &text); err != nil {
		r.Fatal(err)
	}
	return text.String()
}

// helper is an assignment of a task that runs one of the helpers.
func helper(program string, change ...func(*job.Assignment)) job.Assignment {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	a := job.Assignment{
		AttemptID: job.AttemptID{Task: "task", Index: 0, Attempt: 1},
		Count:     1,
		Execution: job.Execution{
			Command:   []string{self},
			Env:       map[string]string{helperVariable: program},
			Signal:    "SIGTERM",
			KillAfter: job.Duration(20 * time.Second),
		},
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

func withCheckpoint(a *job.Assignment) { a.Execution.Checkpoint = &job.Checkpoint{Path: "ckpt"} }
func withOutput(a *job.Assignment)     { a.Execution.Output = &job.Output{Path: "out"} }

func withCommand(command ...string) func(*job.Assignment) {
	return func(a *job.Assignment) { a.Execution.Command = command }
}

// manifest commits files under a key.
func (r *rig) manifest(key string, files map[string]string) job.Manifest {
	r.Helper()
	dir := r.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			r.Fatal(err)
		}
	}
	result, err := r.engine.Save(r.Context(), dir, checkpointing.SaveOptions{Key: key, ID: checkpointing.ID{Attempt: 1, Sequence: 1}})
	if err != nil {
		r.Fatal(err)
	}
	return job.Manifest{Key: key, Digest: result.Ref.Digest, Bytes: result.Ref.Bytes, Files: result.Ref.Files}
}

// content restores a manifest and is its files.
func (r *rig) content(key, digest string) map[string]string {
	r.Helper()
	dir := filepath.Join(r.TempDir(), "restored")
	if err := checkpointing.Open(r.bucket).Restore(r.Context(), checkpointing.Ref{Key: key, Digest: digest}, dir, checkpointing.RestoreOptions{}); err != nil {
		r.Fatal(err)
	}
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	return files
}

// faulty is a bucket that can be cut off.
type faulty struct {
	bucket.Bucket
	mu   sync.Mutex
	down bool
	lost int // calls that failed so
	sent int // for chunks, among them
}

func (f *faulty) set(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *faulty) failures() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

func (f *faulty) saves() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

func (f *faulty) fail(op, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.down {
		return nil
	}
	f.lost++
	if strings.HasPrefix(key, "data/") {
		f.sent++
	}
	return &bucket.Error{Code: bucket.CodeUnavailable, Op: op, Key: key, Err: errors.New("cut off by the test")}
}

func (f *faulty) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	if err := f.fail("get", key); err != nil {
		return nil, bucket.Object{}, err
	}
	return f.Bucket.Get(ctx, key, offset, length)
}

func (f *faulty) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if err := f.fail("put", key); err != nil {
		return bucket.Object{}, err
	}
	return f.Bucket.Put(ctx, key, body, cond)
}

func (f *faulty) List(ctx context.Context, prefix, startAfter string) iter.Seq2[bucket.Object, error] {
	if err := f.fail("list", prefix); err != nil {
		return func(yield func(bucket.Object, error) bool) { yield(bucket.Object{}, err) }
	}
	return f.Bucket.List(ctx, prefix, startAfter)
}
