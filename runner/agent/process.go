//go:build unix

package agent

import (
	"cmp"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// command is a process to start.
type command struct {
	path   string // resolved, or relative to dir
	argv   []string
	dir    string
	env    []string
	output *os.File   // stdout and stderr
	errors *os.File   // stderr, where it is apart
	cgroup *cgroup    // nil: none
	files  []*os.File // it inherits, from number 3 on
	// session: it leads a session of its own, not only a group.
	session bool
	// pid that it gets where that is free and the system lets us choose; 0: any.
	pid int
}

// process is a started process, the leader of its own process group. The
// fields below done are valid when it is closed.
type process struct {
	pid  int
	done chan struct{}
	send func(syscall.Signal) // on a rig: what signals do; nil elsewhere

	status syscall.WaitStatus
	usage  syscall.Rusage
	ended  time.Time
}

// signal sends sig to the process group. A group that is gone is no error.
func (p *process) signal(sig syscall.Signal) {
	if p.send != nil {
		p.send(sig)
		return
	}
	_ = syscall.Kill(-p.pid, sig)
	if sig != syscall.SIGKILL {
		return
	}
	select {
	case <-p.done:
	default: // it may have left its group
		_ = syscall.Kill(p.pid, sig)
	}
}

// processes starts processes and collects them. With reap it also collects
// whatever was left to this process as the first of its namespace or as a
// subreaper; then nothing else in this program may wait for children.
type processes struct {
	reap bool
	// exposed: what is started gets oomScore, instead of the agent's own.
	exposed  bool
	oomScore int

	// forking is held for reading from a fork to its registration, and for
	// writing while the ended are collected, so that none is collected before
	// it is known.
	forking sync.RWMutex
	mu      sync.Mutex
	waiting map[int]*process
	// expected counts those who announced a child that is not started here;
	// unclaimed are children that ended meanwhile.
	expected  int
	unclaimed map[int]collected
}

// newProcesses: where the kernel is told to spare the agent for want of memory,
// as the start script does, it kills tasks first all the same.
func newProcesses(reap bool) *processes {
	return &processes{reap: reap, exposed: ownOOMScore() < 0, waiting: map[int]*process{}}
}

// start starts a command. The error is that of fork or exec, a syscall.Errno.
func (ps *processes) start(c command) (*process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	ps.forking.RLock()
	defer ps.forking.RUnlock()
	pid, err := fork(c, null)
	if err != nil {
		return nil, err
	}
	if ps.exposed {
		expose(pid, ps.oomScore, c.cgroup)
	}
	p := &process{pid: pid, done: make(chan struct{})}
	if ps.reap {
		ps.mu.Lock()
		ps.waiting[pid] = p
		ps.mu.Unlock()
		return p, nil
	}
	go p.wait()
	return p, nil
}

// fork starts the process.
func fork(c command, null *os.File) (pid int, err error) {
	refused := c.cgroup.inside(func() {
		attr := attributes(c.cgroup)
		if c.session {
			attr.Setsid, attr.Setpgid = true, false
		}
		if c.pid > 0 {
			choosePID(c.pid)
		}
		files := []uintptr{null.Fd(), c.output.Fd(), cmp.Or(c.errors, c.output).Fd()}
		for _, file := range c.files {
			files = append(files, file.Fd())
		}
		pid, err = syscall.ForkExec(c.path, c.argv, &syscall.ProcAttr{
			Dir:   c.dir,
			Env:   c.env,
			Files: files,
			Sys:   attr,
		})
	})
	if refused != nil {
		return 0, refused
	}
	runtime.KeepAlive(c.output)
	runtime.KeepAlive(c.errors)
	runtime.KeepAlive(c.files)
	return pid, err
}

// choosePID has the next process get this id, or the next one that is free. It
// is a wish: where it is refused any id will do.
func choosePID(pid int) {
	_ = os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0)
}

// collected is how a child ended that nobody had announced.
type collected struct {
	status syscall.WaitStatus
	usage  syscall.Rusage
}

// expect announces that another program will make a child of this one. claim
// takes it in by its pid; until done, one that ends at once is not lost.
func (ps *processes) expect() (claim func(pid int) *process, done func()) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.expected++
	return ps.claim, func() {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		if ps.expected--; ps.expected == 0 {
			ps.unclaimed = nil
		}
	}
}

func (ps *processes) claim(pid int) *process {
	p := &process{pid: pid, done: make(chan struct{})}
	if !ps.reap {
		go p.wait()
		return p
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if e, ok := ps.unclaimed[pid]; ok {
		delete(ps.unclaimed, pid)
		p.finish(e.status, e.usage)
		return p
	}
	ps.waiting[pid] = p
	return p
}

// wait collects this one process.
func (p *process) wait() {
	var status syscall.WaitStatus
	var usage syscall.Rusage
	for {
		_, err := syscall.Wait4(p.pid, &status, 0, &usage)
		if err != syscall.EINTR {
			break
		}
	}
	p.finish(status, usage)
}

func (p *process) finish(status syscall.WaitStatus, usage syscall.Rusage) {
	p.status, p.usage, p.ended = status, usage, time.Now()
	close(p.done)
}

// collect collects ended children until stop is closed.
func (ps *processes) collect(stop <-chan struct{}) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	// A signal may have come before Notify, and signals are merged.
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		ps.collectEnded()
		select {
		case <-ended:
		case <-look.C:
		case <-stop:
			return
		}
	}
}

func (ps *processes) collectEnded() {
	ps.forking.Lock()
	defer ps.forking.Unlock()
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, &usage)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		ps.mu.Lock()
		p := ps.waiting[pid]
		delete(ps.waiting, pid)
		if p == nil && ps.expected > 0 {
			if ps.unclaimed == nil {
				ps.unclaimed = map[int]collected{}
			}
			ps.unclaimed[pid] = collected{status, usage}
		}
		ps.mu.Unlock()
		if p != nil {
			p.finish(status, usage)
		}
	}
}
