//go:build unix

package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/agent/control"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// metadata is a metadata service that says what the test wants.
func metadata(t testing.TB, kind job.NoticeKind) (say func(body string), option func(*Options)) {
	var body atomic.Value
	body.Store("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := body.Load().(string); text != "" {
			fmt.Fprint(w, text)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	return func(text string) { body.Store(text) }, func(o *Options) {
		o.Metadata = server.URL
		o.Config.Notice = &providers.NoticeProbe{Sources: []providers.NoticeSource{{
			Name: "test", Kind: string(kind), URL: "{metadata}/", Interval: 25 * time.Millisecond, Absent: []int{404},
			Match: providers.NoticeMatch{Action: "action", Deadline: "time", DeadlineLayout: time.RFC3339Nano},
		}}}
	}
}

func noticeIn(d time.Duration) string {
	return `{"action":"terminate","time":"` + time.Now().Add(d).Format(time.RFC3339Nano) + `"}`
}

func (r *rig) leaves() {
	r.Helper()
	r.await("the agent's leaving", func() bool {
		select {
		case err := <-r.ended:
			if err != nil {
				r.Error(err)
			}
			r.ended <- nil
			return true
		default:
			return false
		}
	})
}

func TestNoticeWithTrap(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeInterruption)
	r := newRig(t, option)
	a := helper("trap", withCheckpoint)
	r.assign(a)
	r.running(a.AttemptID)
	said := time.Now()
	say(noticeIn(30 * time.Second))
	end := r.end(a.AttemptID)
	if !end.SignalSent || end.ExitBefore || end.ExitCode != 75 || end.Saves != 1 || end.Notice == nil || end.Notice.Action != "terminate" || end.Committed {
		t.Errorf("end: %+v", end)
	}
	files := r.content(end.Saved.Key, end.Saved.Digest)
	if files["state"] != "saved on the signal" {
		t.Errorf("saved: %v", files)
	}
	told, err := time.Parse(time.RFC3339Nano, files["told"])
	if err != nil {
		t.Fatal(err)
	}
	reaction := told.Sub(said)
	t.Logf("from the notice to the signal in the task: %s", reaction)
	if reaction > time.Second {
		t.Errorf("the task was told after %s", reaction)
	}
	r.leaves()
	status, _ := r.readStatus()
	if status.Phase != job.PhaseLeaving || status.Notice == nil || len(status.Ended) != 1 {
		t.Errorf("last status: %+v", status)
	}
	log := r.log(a.AttemptID)
	var document noticeDocument
	_, line, _ := strings.Cut(log, "notice file: ")
	line, _, _ = strings.Cut(line, "\n")
	if err := json.Unmarshal([]byte(line), &document); err != nil || document.Action != "terminate" || document.Deadline == "" || document.Seconds < 20 || document.Seconds > 30 ||
		document.WriteSeconds == nil || *document.WriteSeconds < 15 || *document.WriteSeconds > document.Seconds ||
		document.SaveSeconds == nil || *document.SaveSeconds <= 0 {
		t.Errorf("notice file %q: %+v, %v", line, document, err)
	}
	if !strings.Contains(log, "[spotrelay] interruption notice") || !strings.Contains(log, "[spotrelay] saved checkpoint 1-1") {
		t.Errorf("log: %s", log)
	}
}

func TestNoticeIgnored(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeInterruption)
	r := newRig(t, option)
	a := helper("ignore", withCheckpoint)
	a.Execution.KillAfter = job.Duration(100 * time.Millisecond) // is not for notices
	r.assign(a)
	r.running(a.AttemptID)
	deadline := time.Now().Add(4 * time.Second)
	say(noticeIn(4 * time.Second))
	r.status("draining", func(s job.Status) bool { return s.Phase != job.PhaseReady && s.Notice != nil })
	end := r.end(a.AttemptID)
	if end.Signal != "SIGKILL" || !end.SignalSent || end.Saves != 1 {
		t.Errorf("end: %+v", end)
	}
	if !end.Ended.Before(deadline) {
		t.Errorf("it was saved %s after the deadline", end.Ended.Sub(deadline))
	}
	if left := deadline.Sub(end.Ended); left > 2*time.Second {
		t.Errorf("%s of its four seconds were taken from the task", left)
	}
	r.leaves()
}

func TestNoticeWithoutTime(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeInterruption)
	r := newRig(t, option)
	a := helper("ignore", withCheckpoint, killAfter(200*time.Millisecond))
	r.assign(a)
	r.running(a.AttemptID)
	say(`{"action":"stop"}`)
	end := r.end(a.AttemptID)
	if end.Signal != "SIGKILL" || end.Saves != 1 || end.Notice == nil || !end.Notice.Deadline.IsZero() {
		t.Errorf("end: %+v", end)
	}
	r.leaves()
}

func TestNothingIsAcceptedAfterANotice(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeInterruption)
	r := newRig(t, option)
	a, b := helper("finish"), helper("exit 0", func(a *job.Assignment) { a.Task = "second" })
	a.Execution.Signal = "SIGUSR1"
	a.Execution.Command = []string{"sh", "-c", "trap : USR1; touch ready; until test -e go; do sleep 0.01; done"}
	r.assign(a)
	r.running(a.AttemptID)
	say(noticeIn(20 * time.Second))
	r.status("draining", func(s job.Status) bool { return s.Phase == job.PhaseDraining })
	r.assign(b)
	status := r.status("the document that assigns more", func(s job.Status) bool { return s.Sequence == r.desired.Sequence })
	if len(status.Running) != 1 || status.Running[0].Step != job.StepStopping {
		t.Errorf("status: %+v", status)
	}
	if err := os.WriteFile(filepath.Join(r.work(a.AttemptID), "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.leaves()
	status, _ = r.readStatus()
	if len(status.Ended) != 1 || !status.Ended[0].Committed || status.Ended[0].Notice == nil {
		t.Errorf("ended: %+v", status.Ended)
	}
}

func TestRebalanceSavesEarly(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeRebalance)
	r := newRig(t, option)
	a := helper("ignore", withCheckpoint)
	r.assign(a)
	r.running(a.AttemptID)
	say(`{"noticeTime":"2020-10-26T17:59:00Z"}`)
	status := r.status("an early checkpoint", func(s job.Status) bool { return len(s.Running) == 1 && s.Running[0].Checkpoint != nil })
	if status.Phase != job.PhaseReady || status.Notice == nil || status.Notice.Kind != job.NoticeRebalance {
		t.Errorf("status: %+v", status)
	}
	say("")
	r.status("the withdrawal", func(s job.Status) bool { return s.Notice == nil })
}

func TestMaintenanceFarAhead(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeMaintenance)
	r := newRig(t, option)
	a := helper("trap", withCheckpoint)
	r.assign(a)
	r.running(a.AttemptID)
	say(noticeIn(time.Hour))
	r.status("draining", func(s job.Status) bool {
		return s.Phase == job.PhaseDraining && len(s.Running) == 1 && s.Running[0].Step == job.StepRunning
	})
	say("")
	r.status("ready again", func(s job.Status) bool { return s.Phase == job.PhaseReady && s.Notice == nil })
	say(noticeIn(30 * time.Second))
	if end := r.end(a.AttemptID); end.Notice == nil || end.Notice.Kind != job.NoticeMaintenance || !end.SignalSent || end.Saves == 0 {
		t.Errorf("end: %+v", end)
	}
	r.leaves()
}

func TestDesiredDocuments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.status("the first status", func(s job.Status) bool { return s.Phase == job.PhaseReady })
	if first.Boot == "" || first.Agent != "test" || first.Beat == 0 {
		t.Errorf("first status: %+v", first)
	}
	a := helper("exit 0")
	r.assign(a)
	r.end(a.AttemptID)
	stale := r.desired
	stale.Attempts = []job.Assignment{helper("exit 0", func(a *job.Assignment) { a.Task = "stale" })}
	r.agent.take(stale) // the same epoch and sequence
	stale.Epoch, stale.Sequence = 0, 99
	r.agent.take(stale)
	// Listed again after its end, it does not run again; acknowledged, it goes.
	r.desired.Acknowledged = []job.AttemptID{a.AttemptID}
	r.write()
	status := r.status("the acknowledgement", func(s job.Status) bool { return s.Sequence == r.desired.Sequence })
	if len(status.Ended)+len(status.Running) != 0 {
		t.Errorf("status: %+v", status)
	}
	r.status("a heartbeat", func(s job.Status) bool { return s.Beat > status.Beat })
	r.desired.Attempts, r.desired.Leave = nil, true
	r.write()
	r.leaves()
	status, _ = r.readStatus()
	if status.Phase != job.PhaseLeaving || len(status.Ended) != 0 {
		t.Errorf("last status: %+v", status)
	}
}

func TestEndsShareAWrite(t *testing.T) {
	t.Parallel()
	b, _ := folderBucket(t)
	slow := &paced{Bucket: b, pace: 300 * time.Millisecond}
	r := newRigOn(t, slow, withSlots(12), func(o *Options) { o.Config.Timing.Heartbeat = job.Duration(time.Hour) })
	r.status("the first status", func(job.Status) bool { return true })
	before, begun := slow.writes.Load(), time.Now()
	var assignments []job.Assignment
	for i := range 12 {
		assignments = append(assignments, helper("exit 0", func(a *job.Assignment) { a.Index = i }))
	}
	r.assign(assignments...)
	r.status("all ends", func(s job.Status) bool { return len(s.Ended) == 12 })
	writes, most := slow.writes.Load()-before, int64(time.Since(begun)/slow.pace)+2
	if writes > most {
		t.Errorf("%d writes of the status, want at most %d", writes, most)
	}
}

// paced is a bucket that wants pauses, and counts the writes of the status.
type paced struct {
	bucket.Bucket
	pace   time.Duration
	writes atomic.Int64
}

func (p *paced) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if key == store.StatusKey(testRun, testInstance) {
		p.writes.Add(1)
	}
	return p.Bucket.Put(ctx, key, body, cond)
}

func (p *paced) Describe() bucket.Description {
	d := p.Bucket.Describe()
	d.Pace = p.pace
	return d
}

func TestOutage(t *testing.T) {
	t.Parallel()
	b, _ := folderBucket(t)
	f := &faulty{Bucket: b}
	r := newRigOn(t, f, func(o *Options) {
		o.Config.Timing.Lease = job.Duration(20 * time.Millisecond)
		o.Config.Timing.OrphanGrace = job.Duration(time.Hour)
	})
	a := helper("", withCommand("sh", "-c", "touch ready; until test -e go; do sleep 0.01; done; echo survived; echo done > out/result"), withOutput)
	r.assign(a)
	r.running(a.AttemptID)
	f.set(true)
	r.await("the agent to notice", func() bool { return f.failures() > 20 })
	if err := os.WriteFile(filepath.Join(r.work(a.AttemptID), "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	// More often than one save of the engine tries by itself.
	r.await("tries to commit", func() bool { return f.saves() > 8 })
	f.set(false)
	end := r.end(a.AttemptID)
	if !end.Committed || len(end.Warnings) > 0 || end.AgentError != "" {
		t.Errorf("end: %+v", end)
	}
	if log := r.log(a.AttemptID); !strings.Contains(log, "survived") {
		t.Errorf("log: %q", log)
	}
}

func TestBucketDownAtTheStart(t *testing.T) {
	t.Parallel()
	b, _ := folderBucket(t)
	f := &faulty{Bucket: b, down: true}
	r := newRigOn(t, f)
	r.await("failures", func() bool { return f.failures() > 1 })
	f.set(false)
	r.status("the first status", func(s job.Status) bool { return s.Phase == job.PhaseReady })
}

func TestPreparationGivesUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.status("the first status", func(job.Status) bool { return true })
	missing := job.Manifest{Key: "runs/" + testRun + "/workdir", Digest: strings.Repeat("0", 64)}
	a := helper("exit 0", func(a *job.Assignment) { a.Workdir = &missing })
	r.assign(a)
	if end := r.end(a.AttemptID); !strings.Contains(end.AgentError, "the workdir") || end.Exited {
		t.Errorf("end: %+v", end)
	}
}

func TestOrphaned(t *testing.T) {
	t.Parallel()
	short := func(o *Options) {
		o.Config.Timing.Lease = job.Duration(30 * time.Millisecond)
		o.Config.Timing.OrphanGrace = job.Duration(200 * time.Millisecond)
	}
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, short)
		r.leaves()
		if status, _ := r.readStatus(); status.Phase != job.PhaseLeaving || !strings.Contains(status.Reason, "nobody has controlled") {
			t.Errorf("status: %+v", status)
		}
	})
	t.Run("busy", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, short)
		a := helper("trap", withCheckpoint)
		r.assign(a)
		end := r.end(a.AttemptID)
		if !end.Orphaned || end.Saves > 1 {
			t.Errorf("end: %+v", end)
		}
		r.leaves()
	})
	t.Run("controlled", func(t *testing.T) {
		t.Parallel()
		var watch leaseWatch
		now := time.Now()
		for i := range 100 {
			if still := watch.saw(fmt.Sprint(i), now, time.Second); still != 0 {
				t.Fatal("a lease that moves stood still")
			}
			now = now.Add(time.Second)
		}
		watch.saw("100", now, time.Second)
		watch.missed()
		if still := watch.saw("100", now.Add(time.Hour), time.Second); still != 0 {
			t.Errorf("an unreachable bucket counted as %s of silence", still)
		}
		if still := watch.saw("100", now.Add(2*time.Hour), time.Second); still != time.Second {
			t.Errorf("a suspended machine counted as %s of silence", still)
		}
	})
}

func TestOSStopping(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := helper("trap", withCheckpoint)
	r.assign(a)
	r.running(a.AttemptID)
	r.agent.Stop()
	r.leaves()
	status, _ := r.readStatus()
	if status.Phase != job.PhaseLeaving || len(status.Ended) != 1 || !status.Ended[0].OSStopping || status.Ended[0].Saves != 1 || !status.Ended[0].SignalSent {
		t.Errorf("last status: %+v", status)
	}
}

func TestEarlierLife(t *testing.T) {
	t.Parallel()
	b, _ := folderBucket(t)
	ended := job.AttemptEnd{AttemptID: job.AttemptID{Task: "done", Attempt: 1}, Committed: true}
	a := helper("exit 0")
	if _, err := store.WriteStatus(t.Context(), b, job.Status{
		Run: testRun, Instance: testInstance, Boot: "before", Phase: job.PhaseReady, Ended: []job.AttemptEnd{ended},
		Running: []job.AttemptStatus{{AttemptID: a.AttemptID, Step: job.StepRunning}},
	}, ""); err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, b)
	r.assign(a)
	end := r.end(a.AttemptID)
	if end.Exited || !strings.Contains(end.AgentError, "before") {
		t.Errorf("an attempt of an earlier life: %+v", end)
	}
	if end := r.end(ended.AttemptID); !end.Committed {
		t.Errorf("a result of an earlier life: %+v", end)
	}
	status := r.status("the document", func(s job.Status) bool { return s.Sequence == r.desired.Sequence })
	if len(status.Running) != 0 || len(status.Ended) != 2 {
		t.Errorf("an attempt of an earlier life runs again: %+v", status)
	}
}

func TestEnvironmentAndFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	workdir := r.manifest("runs/"+testRun+"/workdir", map[string]string{"data/file": "of the workdir", "ckpt/state": "of the workdir"})
	shard := r.manifest(store.OutputKey(testRun, job.AttemptID{Task: "word-count", Index: 1, Attempt: 1}), map[string]string{"part": "seven"})
	saved := r.manifest(store.CheckpointKey(testRun, "train", 2, 0, checkpointing.ID{Attempt: 1, Sequence: 1}), map[string]string{"state": "epoch 7"})
	restore := &job.CheckpointRef{Key: saved.Key, Attempt: 1, Sequence: 1, Digest: saved.Digest, Bytes: saved.Bytes}
	full := func(a *job.Assignment) {
		a.AttemptID = job.AttemptID{Task: "train", Index: 2, Attempt: 3}
		a.Count, a.Key, a.Seed, a.Workdir, a.Restore = 5, "eu", 4711, &workdir, restore
		a.Inputs = []job.Input{{Task: "word-count", Index: 1, Array: true, Manifest: shard}}
		a.Execution.Env["OF_JOB"] = "dir=@{input:word-count} literal=@@{x}"
		withCheckpoint(a)
		withOutput(a)
	}
	a := helper("environment", full)
	r.assign(a)
	end := r.end(a.AttemptID)
	log := r.log(a.AttemptID)
	dir := filepath.Dir(filepath.Join(r.home, "attempts", "train-2-3", "work"))
	for _, line := range []string{
		"SPOTRELAY_RUN_ID=" + testRun, "SPOTRELAY_INSTANCE=i-test", "SPOTRELAY_TASK=train", "SPOTRELAY_INDEX=2", "SPOTRELAY_COUNT=5", "SPOTRELAY_KEY=eu", "SPOTRELAY_ATTEMPT=3", "SPOTRELAY_SEED=4711",
		"SPOTRELAY_RESUMED=1", "SPOTRELAY_CHECKPOINT_DIR=" + dir + "/work/ckpt", "SPOTRELAY_OUTPUT_DIR=" + dir + "/work/out",
		"SPOTRELAY_INPUT_DIR_WORD_COUNT=" + dir + "/inputs/word-count", "SPOTRELAY_NOTICE_FILE=" + dir + "/notice.json",
		"OF_JOB=dir=" + dir + "/inputs/word-count literal=@{x}", "PWD=" + dir + "/work", "cwd=" + dir + "/work", "HOME=" + os.Getenv("HOME"),
		"[spotrelay] attempt 3 on i-test, restored checkpoint 1-1 (7 bytes in",
	} {
		if !strings.Contains(log, line) {
			t.Errorf("%q is missing", line)
		}
	}
	if strings.Contains(log, "SPOTRELAY_AGENT_CONFIG") || !strings.Contains(log, ":"+r.home+"/bin\n") {
		t.Errorf("environment: %s", log)
	}
	if !end.Committed || end.Restored == nil || !reflect.DeepEqual(end.Restored, restore) {
		t.Errorf("end: %+v", end)
	}
	r.desired.Attempts = nil
	b := helper("", full, withCommand("sh", "-c", "cat data/file ckpt/state '@{input:word-count:1}/part'"), func(b *job.Assignment) { b.Attempt = 4 })
	r.assign(b)
	r.end(b.AttemptID)
	if log := r.log(b.AttemptID); !strings.Contains(log, "of the workdirepoch 7seven") {
		t.Errorf("log: %s", log)
	}
}

func TestSetupOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	workdir := r.manifest("runs/"+testRun+"/workdir", map[string]string{"tool": "#!/bin/sh\necho tool\n"})
	counter := filepath.Join(t.TempDir(), "count")
	var assignments []job.Assignment
	for i := range 6 {
		assignments = append(assignments, helper("", withCommand("sh", "-c", "test $(wc -l < made) = 1 && echo mine >> made && ln -s made link && ./tool"),
			setup("sh", "-c", "echo x >> "+counter+"; echo made > made; chmod +x tool"), func(a *job.Assignment) { a.Index, a.Workdir = i, &workdir }))
	}
	r.assign(assignments...)
	for _, a := range assignments {
		if end := r.end(a.AttemptID); !end.Committed {
			t.Errorf("end: %+v, log %s", end, r.log(a.AttemptID))
		}
	}
	if data, err := os.ReadFile(counter); err != nil || string(data) != "x\n" {
		t.Errorf("the setup command ran %d times: %v", len(data)/2, err)
	}
}

func TestBackgroundSavesAndResume(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := helper("", withCommand("sh", "-c", "echo one > ckpt/new && mv ckpt/new ckpt/state; touch ready; exec sleep 1000"), func(a *job.Assignment) {
		a.Execution.Checkpoint = &job.Checkpoint{Path: "ckpt", Interval: job.Duration(60 * time.Millisecond)}
	})
	r.assign(a)
	r.status("a checkpoint", func(s job.Status) bool { return len(s.Running) == 1 && s.Running[0].Saves == 1 })
	beat := r.status("three heartbeats", func(s job.Status) bool { return s.Beat > 8 })
	if beat.Running[0].Saves > 2 {
		t.Errorf("%d saves although nothing changed", beat.Running[0].Saves)
	}
	if err := os.WriteFile(filepath.Join(r.work(a.AttemptID), "ckpt", "state"), []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	first := beat.Running[0].Checkpoint.Sequence
	status := r.status("the next checkpoint", func(s job.Status) bool { return s.Running[0].Checkpoint.Sequence > first })
	ref := status.Running[0].Checkpoint
	if got := r.content(ref.Key, ref.Digest)["state"]; got != "two" {
		t.Errorf("saved %q", got)
	}
	r.desired.Attempts = nil
	r.write()
	end := r.end(a.AttemptID)
	b := helper("resume", withCheckpoint, func(b *job.Assignment) { b.Attempt, b.Restore = 2, end.Saved })
	r.assign(b)
	r.end(b.AttemptID)
	if log := r.log(b.AttemptID); !strings.Contains(log, "resumed=1 state: two") {
		t.Errorf("log: %s", log)
	}
}

func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	r := newRig(t)
	const size = 200 << 20
	var most atomic.Uint64
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var m runtime.MemStats
		for {
			select {
			case <-tick.C:
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapAlloc))
			case <-stop:
				return
			}
		}
	}()
	a := helper(fmt.Sprint("flood ", size))
	r.assign(a)
	end := r.end(a.AttemptID)
	close(stop)
	<-done
	if !end.Committed || end.LogBytes != size {
		t.Errorf("end: %+v", end)
	}
	t.Logf("%d MB on one line, %d MB of heap at most", size>>20, most.Load()>>20)
	if most.Load() > 120<<20 {
		t.Errorf("the heap grew to %d MB", most.Load()>>20)
	}
}

// longHome is a folder whose path is too long for a socket.
func longHome(t *testing.T) string {
	return filepath.Join(t.TempDir(), strings.Repeat("long-", 20), strings.Repeat("path-", 10))
}

func TestWatchInALongFolder(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *Options) { o.Home, o.UploadLimit = longHome(t), 600_000 })
	r.status("the first status", func(job.Status) bool { return true })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// Bytes that do not compress, so that the limit is felt.
	a := helper("", withCommand("sh", "-c", "head -c 600000 /dev/urandom > ckpt/state; exit 75"), withCheckpoint)
	var events []control.Event
	r.assign(a)
	for event, err := range control.Watch(ctx, filepath.Join(r.home, "agent.sock")) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
		if event.Event == control.SaveProgress && !slices.ContainsFunc(events[:len(events)-1], func(e control.Event) bool { return e.Event == control.SaveProgress }) {
			if _, err := r.engine.List(ctx, store.CheckpointPrefix(testRun, "task", 0, 0)); err != nil {
				t.Fatal(err)
			}
			if status, _ := r.readStatus(); len(status.Ended) > 0 {
				t.Error("the first progress came after the end")
			}
		}
		if event.Event == control.SaveCommitted || event.Event == control.SaveFailed {
			break
		}
	}
	var names []string
	for _, e := range events {
		names = append(names, string(e.Event))
	}
	names = slices.Compact(names)
	if want := []string{"save-started", "save-progress", "save-committed"}; !slices.Equal(names, want) && !slices.Equal(names, want[1:]) {
		t.Errorf("events: %v", events)
	}
	last := events[len(events)-1]
	if last.Task != "task" || last.Attempt != 1 || last.Sequence != 1 {
		t.Errorf("last event: %+v", last)
	}
}

func TestKilledInTheMiddleOfASave(t *testing.T) {
	t.Parallel()
	b, address := folderBucket(t)
	home := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperVariable+"=agent "+address+" "+home+" 400000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // for the case that it panics
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			t.Log(lines.Text())
		}
	}()
	killed := false
	defer func() {
		if !killed {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	r := &rig{TB: t, bucket: b, engine: checkpointing.Open(b), home: home, desired: job.Desired{Run: testRun, Instance: testInstance, Epoch: 1}}
	a := helper("progress 1000", withCheckpoint)
	r.assign(a)
	r.running(a.AttemptID)
	first := r.status("the first checkpoint", func(s job.Status) bool { return len(s.Running) == 1 && s.Running[0].Saves == 1 }).Running[0].Checkpoint

	// A second state that takes seconds to send; the kill comes after its first bytes.
	state := filepath.Join(r.work(a.AttemptID), "ckpt", "state")
	random := make([]byte, 4<<20)
	urandom, err := os.Open("/dev/urandom")
	if err != nil {
		t.Fatal(err)
	}
	_, err = urandom.Read(random)
	urandom.Close()
	if err == nil {
		err = os.WriteFile(state, random, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		_, _ = control.Call(ctx, filepath.Join(home, "s", "1.sock"), control.Request{Op: control.OpSave})
	}()
	for event, err := range control.Watch(ctx, filepath.Join(home, "agent.sock")) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Event == control.SaveProgress && event.Sequence == 2 {
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	killed = true
	refs, err := r.engine.List(t.Context(), store.CheckpointPrefix(testRun, "task", 0, 0))
	if err != nil || len(refs) != 1 || refs[0].Key != first.Key {
		t.Fatalf("checkpoints after the kill: %v, %v", refs, err)
	}
	if got := r.content(first.Key, first.Digest)["state"]; got != strings.Repeat("s", 1000) {
		t.Errorf("the checkpoint before has %d bytes", len(got))
	}
	// The next life ends what the first one left, and says so.
	next := newRigOn(t, b, func(o *Options) { o.Home = home })
	end := next.end(a.AttemptID)
	if end.Saved == nil || end.Saved.Key != first.Key || end.AgentError == "" {
		t.Errorf("end: %+v", end)
	}
	if left := strays(noGroup, varNotice+"="+filepath.Join(home, "attempts")+"/"); len(left) > 0 {
		t.Errorf("processes of the earlier life: %v", left)
	}
}

func TestLeaving(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 || r.Method != http.MethodDelete || r.URL.Path != "/me" || r.Header.Get("X-Of") != "test" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "left")
	for name, test := range map[string]struct {
		leave providers.Leave
		fails bool
		check func() bool
	}{
		"exit":       {leave: providers.Leave{Means: providers.LeaveExit}},
		"none":       {leave: providers.Leave{Means: providers.LeaveNone}},
		"no default": {leave: providers.Leave{}, fails: true},
		"request":    {leave: providers.Leave{Means: providers.LeaveRequest, Method: http.MethodDelete, URL: "{metadata}/me", Headers: map[string]string{"X-Of": "test"}}, check: func() bool { return asked.Load() == 2 }},
		"command": {leave: providers.Leave{Means: providers.LeaveCommand, Command: []string{"sh", "-c", "echo $SPOTRELAY_INSTANCE $SPOTRELAY_METADATA > " + file}}, check: func() bool {
			data, _ := os.ReadFile(file)
			return string(data) == testInstance+" "+server.URL+"\n"
		}},
	} {
		b, _ := folderBucket(t)
		o := testOptions(b, t.TempDir())
		o.Metadata, o.Config.Leave = server.URL, test.leave
		a, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.end(t.Context()); (err != nil) != test.fails {
			t.Errorf("%s: %v", name, err)
		}
		if test.check != nil && !test.check() {
			t.Errorf("%s: it was not done", name)
		}
	}
}

// TestReaping: as a subreaper the agent collects orphans of tasks and still
// sees the end of each command.
func TestReaping(t *testing.T) {
	t.Parallel()
	b, address := folderBucket(t)
	home := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperVariable+"=agent "+address+" "+home+" 0")
	if runtime.GOOS == "linux" && os.Getuid() == 0 {
		cmd.SysProcAttr = pidNamespace()
	}
	if err := cmd.Start(); err != nil {
		t.Skip("no process of its own namespace can be started here: ", err)
	}
	r := &rig{TB: t, bucket: b, engine: checkpointing.Open(b), home: home, desired: job.Desired{Run: testRun, Instance: testInstance, Epoch: 1}}
	var assignments []job.Assignment
	for i := range 20 {
		command := []string{"sh", "-c", "(sleep 0.01; sleep 0.01) & (setsid sleep 100 &) ; exit 7"}
		assignments = append(assignments, helper("", withCommand(command...), func(a *job.Assignment) { a.Index = i }))
	}
	r.assign(assignments...)
	for _, a := range assignments {
		if end := r.end(a.AttemptID); end.ExitCode != 7 || !end.Exited {
			t.Errorf("end: %+v", end)
		}
	}
	r.desired.Leave, r.desired.Attempts = true, nil
	r.write()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
