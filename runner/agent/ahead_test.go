//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/agent/control"
	"github.com/spotrelay/spotrelay/runner/job"
)

// gate counts the bytes of packs, and can hold them up.
type gate struct {
	bucket.Bucket
	mu     sync.Mutex
	sent   int64
	shut   bool
	held   chan struct{} // gets one for each pack that is held up
	broken int           // packs whose sending was ended
	// commit gets the times at which checkpoints were committed; may be nil.
	commit chan time.Time
}

func (g *gate) bytes() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sent
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
}

func (g *gate) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if !strings.HasPrefix(key, "data/") || strings.HasPrefix(key, "data/collect") {
		object, err := g.Bucket.Put(ctx, key, body, cond)
		if err == nil && g.commit != nil && strings.Contains(key, "/checkpoints/") {
			g.commit <- time.Now()
		}
		return object, err
	}
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut {
		select {
		case g.held <- struct{}{}:
		default:
		}
		<-ctx.Done()
		g.mu.Lock()
		g.broken++
		g.mu.Unlock()
		return bucket.Object{}, ctx.Err()
	}
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return bucket.Object{}, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return bucket.Object{}, err
	}
	object, err := g.Bucket.Put(ctx, key, body, cond)
	if err == nil {
		g.mu.Lock()
		g.sent += size
		g.mu.Unlock()
	}
	return object, err
}

func newGate(t testing.TB) *gate {
	b, _ := folderBucket(t)
	return &gate{Bucket: b, held: make(chan struct{}, 1)}
}

// quick makes files rest sooner.
func quick(a *Agent) {
	a.courier.mu.Lock()
	defer a.courier.mu.Unlock()
	a.courier.rest, a.courier.sweep = 60*time.Millisecond, 100*time.Millisecond
}

const megabyte = 1 << 20

// What has come to rest is in the bucket before the save, which then has next to
// nothing to send; nothing is committed meanwhile.
func TestCopiesAhead(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeInterruption)
	g := newGate(t)
	r := newRigOn(t, g, option)
	quick(r.agent)
	a := helper("trap", withCheckpoint)
	r.assign(a)
	r.running(a.AttemptID)
	r.put(a.AttemptID, "ckpt/deep/down/weights", noise(3*megabyte))
	r.await("the copy", func() bool { return g.bytes() >= 3*megabyte })
	r.put(a.AttemptID, "ckpt/deep/more", noise(megabyte))
	r.await("the copy of what came later", func() bool { return g.bytes() >= 4*megabyte })
	if status, _ := r.readStatus(); len(status.Running) != 1 || status.Running[0].Checkpoint != nil {
		t.Errorf("status: %+v", status)
	}
	s := r.attempt(a.AttemptID).savers[0]
	r.await("an estimate that knows of it", func() bool {
		s.look(t.Context())
		f, ok := s.forecast()
		return ok && f.Unsent == 0 && f.Bytes == 4*megabyte
	})
	before := g.bytes()
	say(noticeIn(30 * time.Second))
	end := r.end(a.AttemptID)
	if sent := g.bytes() - before; sent > 10_000 || end.Saves != 1 {
		t.Errorf("the last save sent %d bytes; end: %+v", sent, end)
	}
	if files := r.content(end.Saved.Key, end.Saved.Digest); len(files["deep/down/weights"]) != 3*megabyte || len(files["deep/more"]) != megabyte {
		t.Errorf("saved: %d files", len(files))
	}
}

// A save ends what is sent ahead, and does not wait for it.
func TestSaveEndsCopyingAhead(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	r := newRigOn(t, g)
	quick(r.agent)
	a := helper("wait", withCheckpoint)
	r.assign(a)
	r.running(a.AttemptID)
	g.set(true)
	r.put(a.AttemptID, "ckpt/weights", noise(2*megabyte))
	select {
	case <-g.held:
	case <-time.After(time.Minute):
		t.Fatal("nothing is copied ahead")
	}
	release := r.agent.courier.hold() // returns when nothing is sent any more
	g.mu.Lock()
	broken := g.broken
	g.mu.Unlock()
	if broken == 0 {
		t.Error("the sending goes on beside a save")
	}
	g.set(false)
	if s, _ := r.agent.courier.next(); s != nil {
		t.Error("it would be copied while it is held")
	}
	saved := r.ask(a.AttemptID, control.OpSave)
	if saved.Checkpoint.Bytes != 2*megabyte || g.bytes() < 2*megabyte {
		t.Errorf("saved %+v, %d bytes sent", saved.Checkpoint, g.bytes())
	}
	release()
	r.put(a.AttemptID, "ckpt/weights", noise(2*megabyte))
	r.await("copying after the save", func() bool { return g.bytes() >= 4*megabyte })
}

// Where there are too many directories to be watched, a look now and then does.
func TestCopiesAheadWithoutEvents(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	r := newRigOn(t, g)
	quick(r.agent)
	a := helper("wait", withCheckpoint)
	a.Execution.Command = []string{"sh", "-c", "until test -e go; do sleep 0.01; done; touch ready; exec sleep 1000"}
	a.Execution.Setup = []string{"sh", "-c", fmt.Sprintf("mkdir ckpt && cd ckpt && seq %d | xargs mkdir", mostWatched+1)}
	r.assign(a)
	r.await("the task", func() bool { return present(r.work(a.AttemptID)) })
	r.put(a.AttemptID, "go", nil)
	r.running(a.AttemptID)
	s := r.attempt(a.AttemptID).savers[0]
	r.await("the end of the watch", func() bool {
		r.agent.courier.mu.Lock()
		defer r.agent.courier.mu.Unlock()
		entry := r.agent.courier.savers[s]
		return entry != nil && !entry.watched
	})
	r.put(a.AttemptID, "ckpt/7/weights", noise(megabyte))
	r.await("the copy", func() bool { return g.bytes() >= megabyte })
}

// A task that writes the same again and again does not fill the bucket.
func TestAheadIsBounded(t *testing.T) {
	s := &saver{}
	s.now.Bytes = 100 * megabyte
	for _, sent := range []int64{100 * megabyte, 100 * megabyte} {
		s.extra += sent
		if !s.mayCopy() {
			t.Errorf("nothing may be sent after %d bytes", s.extra)
		}
	}
	if s.extra++; s.mayCopy() {
		t.Errorf("more may be sent after %d bytes", s.extra)
	}
	s.extra, s.closed = 0, true
	if s.mayCopy() {
		t.Error("more may be sent of an attempt that has ended")
	}
}

// Before a notice it takes a part of what there is, after it all.
func TestAheadLimits(t *testing.T) {
	r := newRig(t)
	s := newSaver(&attempt{agent: r.agent}, job.Checkpoint{Path: "x"}, 0)
	r.agent.bandwidth.measured(16*megabyte, time.Second)
	o := r.agent.courier.options(s)
	if o.BytesPerSecond != 4*megabyte || o.ReadPerSecond <= 0 || o.Reader == nil || o.Rest != atRest {
		t.Errorf("before: %+v", o)
	}
	s.t.deadline = time.Now().Add(time.Hour)
	if o := r.agent.courier.options(s); o.BytesPerSecond != 0 || o.ReadPerSecond != 0 || o.Reader != nil || o.Rest != lastRest {
		t.Errorf("after: %+v", o)
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- watch(ctx, dir, func() { changed <- struct{}{} }) }()
	seen := func(what string) {
		t.Helper()
		select {
		case <-changed:
		case err := <-ended:
			t.Fatalf("%s: the watch ended: %v", what, err)
		case <-time.After(time.Minute):
			t.Fatalf("%s was not seen", what)
		}
	}
	n := 0
	until(func() bool { // the watch may begin after the first of them
		n++
		must(os.Mkdir(filepath.Join(dir, fmt.Sprint(n)), 0o755))
		return len(changed) > 0
	})
	seen("a directory")
	seen("the end of the pause after it")
	write(filepath.Join(dir, "1", "file"), "x")
	seen("a file in it")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A directory that is replaced is not watched any more, and the watch says so.
func TestWatchEndsWithItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	must(os.Mkdir(dir, 0o755))
	ended := make(chan error, 1)
	changed := make(chan struct{}, 1000)
	go func() { ended <- watch(t.Context(), dir, func() { changed <- struct{}{} }) }()
	until(func() bool {
		write(filepath.Join(dir, "x"), "x")
		return len(changed) > 0
	})
	must(os.Rename(dir, dir+".before"))
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the watch goes on")
	}
}
