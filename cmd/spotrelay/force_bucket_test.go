package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/s3bucket" // opens s3://
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
	"github.com/spotrelay/spotrelay/runner/store"
)

// These tests run a job against a real S3 server that is treated badly. They
// belong to make test-buckets, which .ci/run calls, since make test shall not
// need a server.

// onServer is a place whose bucket is on a server.
func onServer(t *testing.T, server *servertest.Server) *place {
	t.Helper()
	p := newPlace(t) // after the server gave its credentials
	p.env = append(p.env, "SPOTRELAY_BUCKET="+server.URL("acme"))
	return p
}

// service is an S3 server with its disk below root.
func service(t *testing.T, root string) *servertest.Service {
	t.Helper()
	if os.Getenv(servertest.Variable) != "1" {
		t.Skipf("NOT TESTED HERE: a run whose S3 server is killed, frozen, full or cut off. make test-buckets does, which sets %s=1", servertest.Variable)
	}
	return servertest.StartService(t, root)
}

// disturb makes a run, and disturbs it with one disaster after the other until
// it ends: from its first checkpoint on, and each time that the journal grew
// since the last one, each twice at most. A disaster ends by itself.
func (f *force) disturb(b bucket.Bucket, disasters ...func(gone <-chan struct{}) string) {
	f.t.Helper()
	c := f.control("run", f.file)
	await(f.t, "a checkpoint", c.gone, func() bool { return f.count(b, store.CheckpointPrefix(c.run, "walk", 0, 0)) > 0 })
	order := f.chance.Perm(len(disasters))
	struck := 0
	most := 2 * len(disasters)
	if soak() {
		most *= 10
	}
	for ; struck < most; struck++ {
		if !passes(f.within(700*time.Millisecond), c.gone) {
			break
		}
		journal := store.JournalPrefix(c.run)
		before := f.count(b, journal)
		f.t.Logf("after %d entries: %s", before, disasters[order[struck%len(order)]](c.gone))
		if !await(f.t, "an entry in the journal", c.gone, func() bool { return f.count(b, journal) > before }) {
			break
		}
	}
	if struck < len(disasters) {
		f.t.Errorf("the run ended after %d disasters of %d", struck, len(disasters))
	}
	f.finish([]*controlling{c})
	j := f.check(c.run)
	if n := j.classes["infrastructure/agent-error"]; n > 0 {
		f.t.Errorf("%d attempts ended for the bucket's sake", n)
	}
}

// count is the number of objects below a prefix, for as long as it takes until
// the bucket can be listed.
func (f *force) count(b bucket.Bucket, prefix string) (count int) {
	f.t.Helper()
	await(f.t, "a listing", nil, func() bool {
		count = 0
		for _, err := range b.List(f.t.Context(), prefix, "") {
			if err != nil {
				return false
			}
			count++
		}
		return true
	})
	return count
}

// longWalk is one that lasts through all disasters.
var longWalk = walk{count: 4, steps: 14, bytes: 300_000, poll: 200 * time.Millisecond}

// TestServerKilledAndFrozen kills, restarts and freezes the bucket's server in a
// run with checkpoints. While it is frozen nothing can go on, and what is
// promised is that nothing goes wrong.
func TestServerKilledAndFrozen(t *testing.T) {
	s := service(t, t.TempDir())
	f := newForce(t, onServer(t, s.Server), longWalk)
	b := f.open()
	defer b.Close()
	f.disturb(b, func(<-chan struct{}) string {
		s.Kill()
		s.Restart()
		return "killed the server, started it at once"
	}, func(gone <-chan struct{}) string {
		pause := f.within(3 * time.Second)
		s.Kill()
		passes(pause, gone)
		s.Restart()
		return "killed the server, started it after " + pause.String()
	}, func(gone <-chan struct{}) string {
		pause := f.within(time.Second)
		s.Freeze()
		passes(pause, gone)
		s.Thaw()
		return "froze the server for " + pause.String()
	}, func(gone <-chan struct{}) string {
		pause := 3*time.Second + f.within(3*time.Second)
		s.Freeze()
		passes(pause, gone)
		s.Thaw()
		return "froze the server for longer than a lease, " + pause.String()
	})
}

// TestBadLink cuts, slows and truncates the connections of controller and
// agents to the bucket.
func TestBadLink(t *testing.T) {
	s := service(t, t.TempDir())
	link := servertest.StartLink(t, s.Server)
	f := newForce(t, onServer(t, link.Server), longWalk)
	b, err := bucket.Open(t.Context(), s.URL("acme")) // the test's own view is a good one
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var disasters []func(<-chan struct{}) string
	for _, toxic := range []servertest.Toxic{
		servertest.Truncate(servertest.Up, 150_000), servertest.Truncate(servertest.Down, 700),
		servertest.Reset(servertest.Up, 30), servertest.Reset(servertest.Down, 100),
		servertest.Latency(servertest.Down, 300, 250), servertest.Bandwidth(servertest.Up, 100),
		servertest.Slice(servertest.Up, 500, 200), servertest.Swallow(servertest.Down, 400),
	} {
		disasters = append(disasters, func(gone <-chan struct{}) string {
			pause := f.within(1500 * time.Millisecond)
			link.Spoil(toxic)
			passes(pause, gone)
			link.Heal()
			return toxic.String() + " for " + pause.String()
		})
	}
	f.disturb(b, disasters...)
}

// TestServerFull fills the disk of the bucket's server in the middle of a run,
// and makes room again: nothing half-written counts, and the run ends well.
// Where no small disk can be mounted, a proxy answers as though it were full.
func TestServerFull(t *testing.T) {
	root := t.TempDir()
	small := os.Getenv(servertest.Variable) == "1" && mountSmall(t, root)
	s := service(t, root)
	ballast := filepath.Join(root, "ballast")
	server, fillUp, makeRoom := s.Server, func() { fill(t, ballast) }, func() { _ = os.Remove(ballast) }
	if !small {
		t.Log("NO DISK IS FULL HERE: to mount a small one takes root and a tmpfs with extended attributes; a proxy says 507 instead")
		proxy := servertest.NewProxy(t, s.Server)
		server, makeRoom = proxy.Server, func() { proxy.Rule(nil) }
		fillUp = func() {
			proxy.Rule(func(r *http.Request) servertest.Fault {
				if r.Method == http.MethodPut || r.Method == http.MethodPost {
					return servertest.Fault{Status: http.StatusInsufficientStorage}
				}
				return servertest.Fault{}
			})
		}
	}
	f := newForce(t, onServer(t, server), longWalk)
	b := f.open()
	defer b.Close()
	f.disturb(b, func(gone <-chan struct{}) string {
		fillUp()
		_, err := b.Put(t.Context(), "acme-probe", bytes.NewReader(make([]byte, 1<<20)), bucket.Condition{})
		if !errors.Is(err, bucket.ErrFull) && !errors.Is(err, bucket.ErrUnavailable) {
			t.Errorf("a write to the full store: %v", err)
		}
		pause := f.within(5 * time.Second)
		passes(pause, gone)
		makeRoom()
		return "filled the disk for " + pause.String()
	})
}

// mountSmall mounts a disk of 256 MiB with extended attributes, which the server
// keeps its own in, or says why it can't.
func mountSmall(t *testing.T, at string) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=256m", "spotrelay-test", at).CombinedOutput()
	if err != nil {
		t.Logf("mount: %v: %s", err, out)
		return false
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", at).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	if err := setAttribute(at); err != nil {
		t.Logf("extended attributes: %v", err)
		return false
	}
	return true
}

// fill writes a file until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	_, _ = rand.Read(block) // it never fails
	for size := len(block); size > 0; {
		if _, err := file.Write(block[:size]); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
