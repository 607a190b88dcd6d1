//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// varExec is a variable that every process of a command has which a user runs
// beside an attempt; its value is the request's id.
const varExec = "SPOTRELAY_EXEC"

const (
	// execOutput bounds the output that is kept of one command, in bytes.
	execOutput = 16 << 20
	// execPart is how much of it is sent at once at most.
	execPart = 1 << 20
	// execTimeout is for a request that has none.
	execTimeout = 10 * time.Minute
)

var (
	errTakenBack   = errors.New("it was interrupted")
	errExecTimeout = errors.New("its timeout fired")
	errHostEnded   = errors.New("the attempt ended")
	errLeaving     = errors.New("the instance ends")
	errNotRunning  = errors.New("the attempt's command does not run: it is still being prepared, or has ended")
)

// company is what users run beside an attempt. It is let in while the
// attempt's own command runs, and once its folder is kept.
type company struct {
	mu    sync.Mutex
	open  bool
	end   map[string]context.CancelCauseFunc
	guest sync.WaitGroup
}

func (c *company) admit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = true
}

// enter has the command with that id ended with the attempt; leave says that it
// has.
func (c *company) enter(id string, end context.CancelCauseFunc) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		return nil, errNotRunning
	}
	if c.end == nil {
		c.end = map[string]context.CancelCauseFunc{}
	}
	c.end[id] = end
	c.guest.Add(1)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.end, id)
		c.guest.Done()
	}, nil
}

// dismiss ends all and returns when nothing of them runs any more.
func (c *company) dismiss() {
	c.mu.Lock()
	c.open = false
	for _, end := range c.end {
		end(errHostEnded)
	}
	c.mu.Unlock()
	c.guest.Wait()
}

// runBeside runs a command in the attempt's folder, with its variables, in a
// cgroup without limits of its own: what it takes is not the task's. It returns
// when nothing of it is left and its output is in the bucket.
func (t *attempt) runBeside(ctx context.Context, request job.ExecRequest) job.ExecResult {
	a, begun := t.agent, time.Now()
	kept := &kept{left: execOutput}
	out := kept.stream(a, request, store.ExecOutPrefix(a.config.Run, a.instance, request.ID))
	errs := kept.stream(a, request, store.ExecErrPrefix(a.config.Run, a.instance, request.ID))
	result := t.runGuest(ctx, request, out, errs)
	sending, cancel := context.WithTimeout(a.life, logPatience)
	defer cancel()
	if err := errors.Join(out.log.Close(sending), errs.log.Close(sending)); err != nil && result.Fault == "" {
		result.Fault = "its output is incomplete: " + err.Error()
	}
	result.ID, result.Elapsed = request.ID, job.Duration(time.Since(begun))
	result.Bytes, result.Dropped = kept.written.Load(), kept.dropped.Load()
	return result
}

func refused(err error) job.ExecResult { return job.ExecResult{Fault: err.Error(), Refused: true} }

// runGuest runs the command to its end, or to that of ctx.
func (t *attempt) runGuest(ctx context.Context, request job.ExecRequest, out, errs *keptStream) job.ExecResult {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	leave, err := t.company.enter(request.ID, end)
	if err != nil {
		return refused(err)
	}
	g, err := t.startGuest(request, out, errs)
	if err != nil {
		leave()
		return refused(fmt.Errorf("the command could not be started: %w", err))
	}
	var result job.ExecResult
	select {
	case <-g.process.done:
	case <-ctx.Done():
		result.Fault = context.Cause(ctx).Error()
		g.process.signal(syscall.SIGKILL)
		<-g.process.done
	}
	sweep(g.process.pid, varExec+"="+request.ID, g.cgroup)
	leave() // what it wrote need not hold up the attempt
	g.close()
	if status := g.process.status; status.Signaled() {
		result.Signal = unix.SignalName(status.Signal())
	} else {
		result.ExitCode = status.ExitStatus()
	}
	return result
}

// guest is a started command with what descends from it.
type guest struct {
	process   *process
	cgroup    *cgroup
	out, errs *pipe
}

func (t *attempt) startGuest(request job.ExecRequest, out, errs *keptStream) (*guest, error) {
	if len(request.Command) == 0 {
		return nil, errors.New("the request has no command")
	}
	env := t.guestEnvironment()
	env[varExec] = request.ID
	path, err := lookPath(request.Command[0], env["PATH"], t.work)
	if err != nil {
		return nil, err
	}
	g := &guest{}
	if g.out, err = newPipe(out); err != nil {
		return nil, err
	}
	if g.errs, err = newPipe(errs); err != nil {
		g.out.write.Close()
		g.out.drained(0)
		return nil, err
	}
	if g.cgroup, err = t.agent.cgroups.lend(0); err != nil {
		g.cgroup = nil // it is swept by its marker all the same
	}
	c := command{path: path, argv: request.Command, dir: t.work, env: env.list(), output: g.out.write, errors: g.errs.write, cgroup: g.cgroup}
	g.process, err = t.agent.processes.start(c)
	if errno := syscall.Errno(0); err != nil && g.cgroup != nil && errors.As(err, &errno) {
		g.cgroup.remove() // a kernel may let us make one and not start in it
		g.cgroup, c.cgroup = nil, nil
		g.process, err = t.agent.processes.start(c)
	}
	g.out.write.Close()
	g.errs.write.Close()
	if err != nil {
		g.out.drained(0)
		g.errs.drained(0)
		g.cgroup.remove()
		return nil, err
	}
	return g, nil
}

// guestEnvironment is what the attempt's command has, or would have had: a part
// of a gang that failed while it was prepared knows of no other nodes.
func (t *attempt) guestEnvironment() environment {
	if t.gang != nil && len(t.gang.now().Addresses) == 0 {
		return t.setupEnvironment()
	}
	return t.environment()
}

// close waits for the last output.
func (g *guest) close() {
	g.out.drained(drainFor)
	g.errs.drained(drainFor)
	g.cgroup.remove()
}

// kept bounds what is kept of the two streams of a command together.
type kept struct {
	mu               sync.Mutex
	left             int64
	written, dropped atomic.Int64
}

// keptStream is one of them.
type keptStream struct {
	kept *kept
	log  *store.LogWriter
}

func (k *kept) stream(a *Agent, request job.ExecRequest, prefix string) *keptStream {
	options := store.LogOptions{Prefix: prefix, SpillDir: a.spillDir(), SpillBytes: execOutput, PartBytes: execPart, PartAge: execAge}
	return &keptStream{kept: k, log: store.NewLogWriter(a.life, a.bucket, a.config.Run, request.AttemptID, options)}
}

// execAge is how old the first byte of a part is when it is sent.
const execAge = 500 * time.Millisecond

// Write keeps what there is room for, and takes all of p.
func (s *keptStream) Write(p []byte) (int, error) {
	s.kept.written.Add(int64(len(p)))
	s.kept.mu.Lock()
	n := min(int64(len(p)), s.kept.left)
	s.kept.left -= n
	s.kept.mu.Unlock()
	s.kept.dropped.Add(int64(len(p)) - n)
	if n > 0 {
		if _, err := s.log.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
