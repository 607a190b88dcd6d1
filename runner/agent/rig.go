//go:build unix

package agent

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/runner/agent/notice"
)

// Rig stands in for the machine that an agent works on, so that the agent can be
// simulated on virtual time: with one there are no processes, no sockets, no
// cgroups and no metadata service, and all else is as on a real machine.
type Rig struct {
	// Start starts a task's command. It returns at once; the command is over
	// when End is called.
	Start func(*RigCommand)
	// Notices gives each change of what the machine is told, until ctx ends.
	Notices func(ctx context.Context, emit func(notice.Event))
	// Look is how often checkpoint directories are looked at, since there are
	// no events; 0: as on a machine without them.
	Look time.Duration
}

// RigCommand is a command that a Rig runs.
type RigCommand struct {
	Argv []string
	Dir  string
	Env  []string
	// Signals are what it is sent; SIGKILL ends it, whatever it does.
	Signals chan syscall.Signal

	process *process
	once    sync.Once
}

// End says how the command ended. Only the first call counts.
func (c *RigCommand) End(status syscall.WaitStatus) {
	c.once.Do(func() { c.process.finish(status, syscall.Rusage{}) })
}

// start starts a command on the rig.
func (r *Rig) start(c command) *process {
	const signals = 16 // more than an attempt is ever sent
	run := &RigCommand{Argv: c.argv, Dir: c.dir, Env: c.env, Signals: make(chan syscall.Signal, signals)}
	run.process = &process{done: make(chan struct{})}
	run.process.send = func(sig syscall.Signal) {
		select {
		case run.Signals <- sig:
		default:
		}
		if sig == syscall.SIGKILL {
			run.End(syscall.WaitStatus(syscall.SIGKILL))
		}
	}
	r.Start(run)
	return run.process
}
