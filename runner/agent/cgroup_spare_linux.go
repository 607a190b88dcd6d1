package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

const (
	// mostSpare bounds the cgroups that are kept for the next attempts.
	mostSpare = 256
	// mostLeft is what may still be charged to a cgroup that is used again, in
	// bytes: the next attempt's memory is counted from there.
	mostLeft = 1 << 20
)

// lend is a cgroup for an attempt whose processes know nothing of its name: a
// spare one, or a new one that becomes one. Making and removing them, and above
// all moving a thread into one of version 1, takes longer than a short task:
// the kernel waits for all its processors.
func (cs *cgroups) lend(limit int64) (*cgroup, error) {
	cs.mu.Lock()
	for i := len(cs.spare) - 1; i >= 0; i-- {
		if cg := cs.spare[i]; cg.limit == limit {
			cs.spare = append(cs.spare[:i], cs.spare[i+1:]...)
			cs.mu.Unlock()
			return cg, nil
		}
	}
	cs.made++
	name := fmt.Sprintf("%d.slot", cs.made)
	cs.mu.Unlock()
	cg, err := cs.create(name, limit)
	if cg != nil {
		cg.lender = cs
	}
	return cg, err
}

// keep takes a lent cgroup back for the next attempt; false when it is not as
// good as new. Where the unified hierarchy counts the memory none is: its peak
// cannot be reset. Nor is one that was told to kill: kernels are about that
// kill what starts in it ever after.
func (cs *cgroups) keep(cg *cgroup) bool {
	if cs == nil || cg.v2mem || cg.killed.Load() || !cg.empty() {
		return false
	}
	if cg.memory != "" {
		if number(cg.memory, "memory.usage_in_bytes") > mostLeft || writeValue(cg.memory, "memory.max_usage_in_bytes", "0") != nil {
			return false
		}
	}
	cg.before = cg.oomSeen // nothing was in it since
	cg.cpuBefore.Store(int64(cg.cpuUsed()))
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed || len(cs.spare) >= mostSpare {
		return false
	}
	cs.spare = append(cs.spare, cg)
	return true
}

// discardSpare removes what was kept.
func (cs *cgroups) discardSpare() {
	cs.mu.Lock()
	spare := cs.spare
	cs.spare, cs.closed = nil, true
	cs.mu.Unlock()
	for _, cg := range spare {
		cg.discard()
	}
}

// empty reports whether no process is in it; one that ended is in none.
func (cg *cgroup) empty() bool {
	for _, pid := range cg.pids() {
		if pid != os.Getpid() { // whose thread stands in it
			return false
		}
	}
	return true
}

// inside runs f on a thread whose forks land in the cgroup. Of the unified
// hierarchy the fork itself says so. Version 1 takes the forking thread in: one
// stands in each cgroup for as long as that is there.
func (cg *cgroup) inside(f func()) error {
	if cg == nil || cg.memory == "" {
		f()
		return nil
	}
	if cg.thread == nil {
		thread, err := standIn(cg.memory)
		if err != nil {
			return err
		}
		cg.thread = thread
	}
	done := make(chan struct{})
	cg.thread.calls <- func() { defer close(done); f() }
	<-done
	return nil
}

// thread is one that stands in a cgroup of version 1.
type thread struct {
	calls chan func()
	left  chan struct{}
}

// standIn moves a thread into the memory cgroup dir.
func standIn(dir string) (*thread, error) {
	t := &thread{calls: make(chan func()), left: make(chan struct{})}
	entered := make(chan error)
	go func() {
		defer close(t.left)
		runtime.LockOSThread() // it ends with the goroutine
		err := writeValue(dir, "tasks", strconv.Itoa(syscall.Gettid()))
		entered <- err
		if err != nil {
			return
		}
		for f := range t.calls {
			f()
		}
		// Above the agent's folder, since a thread may outlive the goroutine:
		// the program's first one does.
		_ = writeValue(filepath.Dir(filepath.Dir(dir)), "tasks", strconv.Itoa(syscall.Gettid()))
	}()
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("entering %s: %w", dir, err)
	}
	return t, nil
}

func (t *thread) leave() {
	if t != nil {
		close(t.calls)
		<-t.left
	}
}
