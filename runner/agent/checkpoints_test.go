//go:build unix

package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/agent/control"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// further gives the task a second checkpoint.
func further(a *job.Assignment) {
	a.Execution.Further = []job.Checkpoint{{Name: "index", Path: "data/index"}}
}

// put writes a file below the attempt's working directory.
func (r *rig) put(id job.AttemptID, name string, data []byte) {
	r.Helper()
	path := filepath.Join(r.work(id), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	temporary := filepath.Join(r.home, "temporary")
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		r.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		r.Fatal(err)
	}
}

func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.Read(data)
	return data
}

// attempt is a running attempt of the agent.
func (r *rig) attempt(id job.AttemptID) *attempt {
	r.Helper()
	r.agent.mu.Lock()
	defer r.agent.mu.Unlock()
	t := r.agent.running[id]
	if t == nil {
		r.Fatalf("%v does not run", id)
	}
	return t
}

// ask asks the agent at the task's socket, as the task would.
func (r *rig) ask(id job.AttemptID, op control.Op) control.Answer {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	answer, err := control.Call(ctx, r.attempt(id).socketPath, control.Request{Op: op})
	if err != nil || !answer.OK {
		r.Fatalf("%s: %+v, %v", op, answer, err)
	}
	return answer
}

// keys are the names of the objects below a prefix.
func (r *rig) keys(prefix string) []string {
	r.Helper()
	var keys []string
	for object, err := range r.bucket.List(r.Context(), prefix, "") {
		if err != nil {
			r.Fatal(err)
		}
		keys = append(keys, strings.TrimPrefix(object.Key, prefix))
	}
	return keys
}

// Each directory is a series of its own, and each is put back.
func TestSeveralCheckpoints(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := helper("wait", withCheckpoint, further)
	r.assign(a)
	r.running(a.AttemptID)
	r.put(a.AttemptID, "ckpt/state", []byte("one"))
	r.put(a.AttemptID, "data/index/i", []byte("two"))
	first := r.ask(a.AttemptID, control.OpSave).Checkpoint
	r.put(a.AttemptID, "data/index/i", []byte("spoilt"))
	r.ask(a.AttemptID, control.OpRestore)
	if data, err := os.ReadFile(filepath.Join(r.work(a.AttemptID), "data/index/i")); string(data) != "two" {
		t.Errorf("put back: %q, %v", data, err)
	}
	r.put(a.AttemptID, "data/index/i", []byte("three"))
	r.desired.Attempts = nil
	r.write() // cancelled: with a last save of both
	end := r.end(a.AttemptID)
	root := store.CheckpointPrefix(testRun, "task", 0, 0)
	keys := r.keys(strings.TrimSuffix(root, "0/"))
	for _, want := range []string{"0-index/000001-000000000001", "0-index/000001-000000000002", "0/000001-000000000001"} {
		if !slices.Contains(keys, want) {
			t.Errorf("keys: %v", keys)
		}
	}
	index, ok := end.Saved.Of("index")
	if !ok || end.Saved.Attempt != 1 || end.Saved.Content != first.Content || index.Sequence < 2 || index.Content == first.Others["index"].Content {
		t.Fatalf("end: %+v", end)
	}
	b := helper("environment", withCheckpoint, further)
	b.Attempt, b.Restore = 2, end.Saved
	b.Execution.Command = []string{"sh", "-c", `cat "$SPOTRELAY_CHECKPOINT_DIR/state" "$SPOTRELAY_CHECKPOINT_DIR_INDEX/i"; echo " $SPOTRELAY_RESUMED"`}
	r.assign(b)
	r.end(b.AttemptID)
	if log := r.log(b.AttemptID); !strings.Contains(log, "onethree 1\n") || !strings.Contains(log, "restored checkpoint index 1-") {
		t.Errorf("log: %s", log)
	}
}

// The one that cannot be restored is named, whichever it is.
func TestFurtherCheckpointIsMissing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := helper("exit 0", withCheckpoint, further)
	missing := job.CheckpointRef{Key: store.SeriesPrefix(testRun, "task", 0, 0, "index") + "000001-000000000009", Attempt: 1, Sequence: 9}
	a.Attempt, a.Restore = 2, (*job.CheckpointRef)(nil).With("index", missing)
	r.assign(a)
	if end := r.end(a.AttemptID); end.RestoreKey != missing.Key || end.RestoreError == "" || end.Exited {
		t.Errorf("end: %+v", end)
	}
}

// Older checkpoints go, except what the attempt went on from; and none goes any
// more when a later attempt has saved.
func TestRetention(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	root := store.CheckpointPrefix(testRun, "task", 0, 0)
	other := func(id checkpointing.ID) checkpointing.Ref {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "state"), noise(100), 0o644); err != nil {
			t.Fatal(err)
		}
		result, err := r.engine.Save(t.Context(), dir, checkpointing.SaveOptions{Key: root + checkpointing.ManifestName(id), ID: id})
		if err != nil {
			t.Fatal(err)
		}
		return result.Ref
	}
	manifest := other(checkpointing.ID{Attempt: 1, Sequence: 1})
	for n := range int64(3) {
		other(checkpointing.ID{Attempt: 1, Sequence: n + 2})
	}
	a := helper("wait", withCheckpoint)
	a.Execution.Checkpoint.Keep = &job.Retention{Last: 2}
	a.Attempt, a.Restore = 2, &job.CheckpointRef{Key: manifest.Key, Digest: manifest.Digest, Attempt: 1, Sequence: 1}
	r.assign(a)
	r.running(a.AttemptID)
	save := func(text string) {
		r.put(a.AttemptID, "ckpt/state", []byte(text))
		r.ask(a.AttemptID, control.OpSave)
	}
	for _, text := range []string{"a", "b", "c"} {
		save(text)
	}
	r.await("the removal of the older ones", func() bool {
		return slices.Equal(r.keys(root), []string{"000001-000000000001", "000002-000000000002", "000002-000000000003"})
	})
	other(checkpointing.ID{Attempt: 3, Sequence: 1})
	s := r.attempt(a.AttemptID).savers[0]
	save("d")
	s.prune() // or the one that the save began, which is waited for
	s.pruning.Lock()
	defer s.pruning.Unlock()
	if got := r.keys(root); len(got) != 5 {
		t.Errorf("an attempt that was overtaken leaves %v", got)
	}
	collected, err := r.engine.Collect(t.Context(), checkpointing.CollectOptions{
		Roots: func(ctx context.Context) iter.Seq2[string, error] { return store.Roots(ctx, r.bucket) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("collected %+v", collected)
	for _, key := range r.keys(root) {
		r.content(root+key, "")
	}
}

// lean writes so many bytes that are none.
func (r *rig) sparse(id job.AttemptID, name string, size int64) {
	r.Helper()
	r.put(id, name, nil)
	if err := os.Truncate(filepath.Join(r.work(id), name), size); err != nil {
		r.Fatal(err)
	}
}

// slowAgent was measured to send a megabyte a second.
func slowAgent(r *rig) {
	r.agent.bandwidth.measured(10<<20, 10*time.Second)
}

// A save that cannot come through is not begun, and must not cost the others
// their place; what stays is in the evidence.
func TestLastSaveIsGivenUp(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeInterruption)
	r := newRig(t, option)
	slowAgent(r)
	a := helper("trap", withCheckpoint, further)
	a.Execution.Checkpoint.NoAhead = true
	r.assign(a)
	r.running(a.AttemptID)
	r.put(a.AttemptID, "data/index/i", []byte("two"))
	r.sparse(a.AttemptID, "ckpt/large", 1<<30) // no bytes to send, which nobody knows
	say(noticeIn(8 * time.Second))
	end := r.end(a.AttemptID)
	if end.Saved == nil || end.Saved.Key != "" || !slices.Equal(end.Saved.Series(), []string{"index"}) || end.Saves != 1 {
		t.Fatalf("saved: %+v", end.Saved)
	}
	want := "given up: 1.1 GB at 1.0 MB/s take 17 min"
	if !strings.HasPrefix(end.SaveError, want) || !strings.HasSuffix(end.SaveError, "; there is no checkpoint before it") {
		t.Errorf("evidence: %q", end.SaveError)
	}
	if log := r.log(a.AttemptID); !strings.Contains(log, want) || !strings.Contains(log, "saved checkpoint index 1-1") {
		t.Errorf("log: %s", log)
	}
}

// What is too late by what was measured is tried all the same, last.
func TestLateSaveIsTried(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeInterruption)
	r := newRig(t, option)
	slowAgent(r)
	a := helper("trap", withCheckpoint, further)
	a.Execution.Checkpoint.NoAhead = true
	r.assign(a)
	r.running(a.AttemptID)
	r.put(a.AttemptID, "data/index/i", []byte("two"))
	r.sparse(a.AttemptID, "ckpt/large", 40<<20)
	say(noticeIn(30 * time.Second))
	end := r.end(a.AttemptID)
	if end.Saves != 2 || end.SaveError != "" {
		t.Fatalf("end: %+v", end)
	}
	log := r.log(a.AttemptID)
	if strings.Index(log, "saved checkpoint index 1-1") > strings.Index(log, "saved checkpoint 1-1") {
		t.Errorf("the late one went first: %s", log)
	}
}

// A save that would not fit is told ahead of time, once, and that it would
// again.
func TestForecast(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *Options) { o.NoticeLead = 30 * time.Second })
	slowAgent(r)
	r.agent.lookEvery = 5 * time.Millisecond
	a := helper("wait", withCheckpoint)
	a.Execution.Checkpoint.NoAhead = true
	r.assign(a)
	r.running(a.AttemptID)
	forecast := func(what string, condition func(job.SaveForecast) bool) job.SaveForecast {
		var f job.SaveForecast
		r.status(what, func(s job.Status) bool {
			if len(s.Running) != 1 || len(s.Running[0].Forecast) != 1 {
				return false
			}
			f = s.Running[0].Forecast[0]
			return condition(f)
		})
		return f
	}
	forecast("a forecast of nothing", func(f job.SaveForecast) bool { return f.Bytes == 0 && f.SavedAgo == 0 })
	r.sparse(a.AttemptID, "ckpt/large", 100<<20)
	f := forecast("a warning", func(f job.SaveForecast) bool { return f.Warning != "" })
	if f.Unsent != 100<<20 || f.Bytes != 100<<20 || f.Notice.D() != 30*time.Second || f.Rate != 1<<20 || f.Takes.D() < 100*time.Second ||
		!strings.HasPrefix(f.Warning, "105 MB at 1.0 MB/s takes 100 s, the notice is 30 s: ") {
		t.Errorf("forecast: %+v", f)
	}
	s := r.attempt(a.AttemptID).savers[0]
	for range 10 {
		s.look(t.Context())
	}
	r.ask(a.AttemptID, control.OpSave)
	f = forecast("a forecast after the save", func(f job.SaveForecast) bool { return f.Warning == "" && f.SavedAgo > 0 })
	if f.Unsent != 0 {
		t.Errorf("forecast: %+v", f)
	}
	r.desired.Attempts = nil
	r.write()
	r.end(a.AttemptID)
	if log := r.log(a.AttemptID); strings.Count(log, "would not fit into the notice") != 1 {
		t.Errorf("log: %s", log)
	}
}

// The plan changes while the task writes, and its file says so.
func TestNoticeFileIsRenewed(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeInterruption)
	r := newRig(t, option)
	slowAgent(r)
	a := helper("ignore", withCheckpoint, func(a *job.Assignment) { a.Execution.Checkpoint.NoAhead = true })
	r.assign(a)
	r.running(a.AttemptID)
	read := func() (document noticeDocument) {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(r.work(a.AttemptID)), "notice.json"))
		if err == nil {
			err = json.Unmarshal(data, &document)
		}
		if err != nil {
			document.WriteSeconds = nil
		}
		return document
	}
	say(noticeIn(time.Minute))
	r.await("the notice file", func() bool { return read().WriteSeconds != nil })
	before := read()
	r.sparse(a.AttemptID, "ckpt/large", 30<<20)
	r.await("a shorter time to write", func() bool {
		after := read()
		return after.WriteSeconds != nil && *after.WriteSeconds < *before.WriteSeconds-20 && *after.SaveSeconds > 20
	})
	r.cut()
}
