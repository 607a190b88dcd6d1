package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/store"
)

// server is a process that serves the place's bucket.
type server struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	gone   chan struct{}
}

// serve starts one in a folder of its own.
func (p *place) serve(name string) *server {
	p.t.Helper()
	s := &server{cmd: p.command(context.Background(), "serve", "--listen", "none", "--name", name), gone: make(chan struct{})}
	s.cmd.Dir = filepath.Join(p.dir, name)
	s.cmd.Stderr = &s.stderr
	err := os.MkdirAll(s.cmd.Dir, 0o755)
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(s.gone)
		_ = s.cmd.Wait() // it is killed
	}()
	p.t.Cleanup(s.kill)
	return s
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.gone
}

// TestServingControllersKilled has three controllers on one bucket with twelve
// runs, and kills a random one of them every two seconds, six times; the long
// form kills to the end. All runs end well,
// each index commits once, and nothing is left. In the end a run is looked at
// by attach from yet another folder.
func TestServingControllersKilled(t *testing.T) {
	f := newForce(t, newPlace(t), walk{count: 2, steps: 8, bytes: 10_000})
	runs, most := 12, 6
	if soak() {
		runs, most = 60, 1000
	}
	names := []string{"one", "two", "three"}
	servers := map[string]*server{}
	for _, name := range names {
		servers[name] = f.serve(name)
	}
	b := f.open()
	defer b.Close()
	for range runs {
		f.spotrelay(exitSucceeded, "submit", f.file)
	}
	ids, err := store.ListRuns(t.Context(), b)
	if err != nil || len(ids) != runs {
		t.Fatalf("there are %d runs, %d were submitted (%v)", len(ids), runs, err)
	}
	kills := 0
	blow := time.NewTicker(2 * time.Second)
	defer blow.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	limit := time.After(hang)
	for f.alive(b) > 0 {
		select {
		case <-blow.C:
			if kills == most {
				blow.Stop()
				continue
			}
			name := names[f.chance.IntN(len(names))]
			servers[name].kill()
			servers[name] = f.serve(name)
			kills++
		case <-look.C:
		case <-limit:
			for name, s := range servers {
				s.kill()
				t.Logf("%s:\n%s", name, tail(s.stderr.String()))
			}
			t.Fatalf("after %d kills %d runs are not over", kills, f.alive(b))
		}
	}
	tenures := map[int]int{}
	for _, run := range ids {
		tenures[f.tenures(b, run)]++
		f.check(run)
	}
	t.Logf("%d kills; runs by the number of their tenures: %v", kills, tenures)
	if kills == 0 || len(tenures) == 1 && tenures[1] == runs {
		t.Error("no run ever changed its controller")
	}
	last := &place{t: t, dir: filepath.Join(f.dir, "elsewhere"), env: f.env}
	if err := os.Mkdir(last.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	last.spotrelay(exitSucceeded, "attach", slices.Max(ids))
}

// alive is how many runs are not over, by their marks.
func (f *force) alive(b bucket.Bucket) int {
	f.t.Helper()
	live, err := store.ListLive(f.t.Context(), b)
	if err != nil {
		f.t.Fatal(err)
	}
	return len(live)
}

// tenures is how many controllers had a run, one after the other.
func (f *force) tenures(b bucket.Bucket, run string) int {
	f.t.Helper()
	epochs := map[int64]bool{}
	for entry, err := range store.ReadJournal(f.t.Context(), b, run, 0) {
		if err != nil {
			f.t.Fatal(err)
		}
		epochs[entry.Epoch] = true
	}
	return len(epochs)
}
