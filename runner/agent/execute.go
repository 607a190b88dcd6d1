//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/runner/job"
)

var errNotInPath = errors.New("not found in PATH")

const (
	defaultSignal    = syscall.SIGTERM
	defaultKillAfter = 10 * time.Second
	// drainFor bounds the wait for the last output after the last process.
	drainFor = 5 * time.Second
)

// runSetup runs the setup command in dir. Its log is this attempt's.
func (t *attempt) runSetup(ctx context.Context, setup []string, dir string) error {
	env := t.setupEnvironment()
	env["PWD"] = dir
	path, err := lookPath(setup[0], env["PATH"], dir)
	if err != nil {
		return setupFault(fmt.Errorf("the setup command could not be started: %w", err))
	}
	tree, err := t.spawn(command{path: path, argv: setup, dir: dir, env: env.list()}, "setup")
	if err != nil {
		return setupFault(fmt.Errorf("the setup command %s could not be started: %w", setup[0], err))
	}
	select {
	case <-tree.process.done:
	case <-ctx.Done():
		tree.process.signal(syscall.SIGKILL)
		<-tree.process.done
	}
	tree.finish(t.marker())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	status := tree.process.status
	if status.ExitStatus() == 0 {
		return nil
	}
	if volumeFull(dir) {
		return fmt.Errorf("the setup command ended with %s: %w", endText(status), syscall.ENOSPC)
	}
	return setupFault(fmt.Errorf("the setup command ended with %s; its output is above in this log", endText(status)))
}

// tree is a started command with all that descends from it.
type tree struct {
	process *process
	cgroup  *cgroup
	pipe    *pipe

	outputName string // of the pipe, as the system calls it

	// orphaned says whether the agent has inherited a process of some attempt.
	orphaned func() bool

	oomKills int64
	strays   int // live descendants that had to be killed
	usage    job.Usage
}

// spawn starts a command in a cgroup of its own, its output to the log.
func (t *attempt) spawn(c command, kind string) (*tree, error) {
	return t.spawnBy(c, kind, t.agent.processes.start)
}

// spawnBy does so by another way to start it.
func (t *attempt) spawnBy(c command, kind string, start func(command) (*process, error)) (*tree, error) {
	if t.agent.rig != nil {
		return &tree{process: t.agent.rig.start(c)}, nil
	}
	cg, err := t.makeCgroup(kind)
	if err != nil {
		// A limit is a service, not a promise: without it the task still runs.
		t.warn("no cgroup for the task: %v", err)
		cg = nil
	}
	p, err := newPipe(t.output)
	if err != nil {
		cg.remove()
		return nil, err
	}
	c.output, c.cgroup = p.write, cg
	name := p.name()
	process, err := start(c)
	if errno := syscall.Errno(0); err != nil && cg != nil && errors.As(err, &errno) {
		// A kernel may let us make a cgroup and not let us start in it.
		refused := err
		c.cgroup = nil
		if process, err = start(c); err == nil {
			t.warn("the task runs without a cgroup: %v", refused)
			cg.remove()
			cg = nil
		}
	}
	p.write.Close()
	if err != nil {
		p.drained(0)
		cg.remove()
		return nil, err
	}
	return &tree{process: process, cgroup: cg, pipe: p, outputName: name, orphaned: t.agent.processes.orphaned}, nil
}

// makeCgroup makes one of the attempt's own where its processes are dumped with
// it, and else takes one that may have been another's before.
func (t *attempt) makeCgroup(kind string) (*cgroup, error) {
	if t.transparent != nil {
		return t.agent.cgroups.create(filepath.Base(t.dir)+"."+kind, t.job.Execution.MemoryLimit)
	}
	return t.agent.cgroups.lend(t.job.Execution.MemoryLimit)
}

// finish kills what is left of the tree after its first process has ended,
// reads the counters before the cgroup goes, and waits for the last output.
func (tr *tree) finish(marker string) {
	if tr.pipe == nil {
		return // it ran on a rig, and left nothing
	}
	if !tr.over() {
		tr.strays = sweep(tr.process.pid, marker, tr.cgroup)
	}
	tr.oomKills = tr.cgroup.grown()
	tr.usage = tr.cgroup.usage()
	ru := tr.process.usage
	tr.usage.CPU = max(tr.usage.CPU, job.Duration(time.Duration(ru.Utime.Nano()+ru.Stime.Nano())))
	if tr.usage.MaxMemory == 0 {
		tr.usage.MaxMemory = maxResident(&ru)
	}
	tr.pipe.drained(drainFor)
	tr.cgroup.remove()
}

// over reports whether it is plain, without a look at every process there is,
// that nothing of the tree is left: its cgroup and its process group are empty,
// and nothing that left both was handed to the agent.
func (tr *tree) over() bool {
	return tr.cgroup != nil && tr.cgroup.empty() && !tr.orphaned() &&
		errors.Is(syscall.Kill(-tr.process.pid, 0), syscall.ESRCH)
}

// execute runs the command to its end and commits what it leaves.
func (t *attempt) execute() error {
	stopServing, err := t.serve()
	if err != nil {
		return agentFault(err)
	}
	defer stopServing()
	t.company.admit()
	tree, err := t.startCommand()
	if err != nil {
		t.company.dismiss()
		return err
	}
	t.mu.Lock()
	t.cgroup = tree.cgroup
	t.mu.Unlock()
	if t.transparent != nil {
		t.transparent.running(tree)
	}
	t.setStep(job.StepRunning)
	stopTending := t.tend()
	stopFollowing := t.followAddresses()
	signalled := t.await(tree.process)
	t.company.dismiss()
	stopTending()
	stopFollowing()
	if t.transparent != nil {
		t.transparent.running(nil)
	}
	t.mu.Lock()
	t.cgroup = nil
	t.mu.Unlock()
	tree.finish(t.marker())
	stopServing()
	t.recordExit(tree, signalled)
	t.setStep(job.StepCommitting)
	return t.commit()
}

func (t *attempt) startCommand() (*tree, error) {
	if t.transparent != nil && t.job.Restore != nil {
		return t.transparent.start()
	}
	env := t.environment()
	argv := t.expandAll(t.job.Execution.Command)
	path, err := lookPath(argv[0], env["PATH"], t.work)
	if err != nil {
		return nil, startFault(fmt.Errorf("the command could not be started: %w", err))
	}
	if t.preparing.Err() != nil {
		return nil, t.preparing.Err() // told to stop in the meantime
	}
	c := command{path: path, argv: argv, dir: t.work, env: env.list()}
	if t.transparent != nil {
		c.session, c.pid = true, firstPID(t.id)
	}
	t.gang.release()
	tree, err := t.spawn(c, "task")
	switch {
	case err == nil:
		return tree, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return nil, agentFault(fmt.Errorf("no process could be made for the command: %w", err))
	}
	return nil, startFault(fmt.Errorf("the command %s could not be started: %w", argv[0], err))
}

// recordExit writes down how the tree ended.
func (t *attempt) recordExit(tr *tree, signalled bool) {
	status := tr.process.status
	full := (!status.Exited() || status.ExitStatus() != 0) && volumeFull(t.dir)
	t.record(func(end *job.AttemptEnd) {
		end.Exited = true
		if status.Signaled() {
			end.Signal = unix.SignalName(status.Signal())
		} else {
			end.ExitCode = status.ExitStatus()
		}
		end.OOMKills = tr.oomKills
		end.Usage = tr.usage
		end.DiskFull = end.DiskFull || full
		end.ExitBefore = end.Notice != nil && !signalled
		if tr.oomKills > 0 && status.Exited() && status.ExitStatus() == 0 {
			end.Warnings = append(end.Warnings, fmt.Sprintf("exit code 0, although the kernel killed %d of its processes for want of memory", tr.oomKills))
		}
		if tr.strays > 0 && !t.frozen {
			end.Warnings = append(end.Warnings, fmt.Sprintf("%d of its processes were still running at its end and were killed", tr.strays))
		}
	})
	if status.ExitStatus() != 0 {
		t.output.note("ended with %s after %s", endText(status), tr.process.ended.Sub(t.begun).Round(time.Millisecond))
	}
	t.log.Info("the task ended", "end", endText(status), "oom_kills", tr.oomKills, "strays", tr.strays)
}

func endText(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}
