//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// attempt is one execution of a task, from its acceptance to its end.
type attempt struct {
	agent *Agent
	id    job.AttemptID
	job   job.Assignment
	log   *slog.Logger

	dir        string // of the attempt; work, inputs and the notice file lie in it
	work       string // the working directory
	noticeFile string
	socketPath string

	output *output  // the task's log
	savers []*saver // of the checkpoints; none without one
	// transparent is nil unless the checkpoint's method is criu.
	transparent *transparent
	gang        *gang     // nil: it is no part of one
	company     company   // what users run beside it
	frozen      bool      // it was dumped and ended
	noticed     time.Time // until when it may write, as the notice file says

	begun time.Time // acceptance, with the monotonic clock
	// preparing ends when the attempt is told to stop.
	preparing   context.Context
	stopPrepare context.CancelFunc
	// poked wakes the one who waits for the process.
	poked chan struct{}
	done  chan struct{}

	cancelled bool // guarded by the agent's lock

	mu       sync.Mutex
	end      job.AttemptEnd // filled as things happen
	stops    []stop
	deadline time.Time // the earliest of the stops', zero for none
	window   time.Time // when the task was told of it
	cgroup   *cgroup
}

// stopReason is why an attempt is told to stop.
type stopReason string

const (
	stopCancel  stopReason = "cancel"
	stopTimeout stopReason = "timeout"
	stopNotice  stopReason = "notice"
	stopOS      stopReason = "shutdown"
	stopOrphan  stopReason = "orphaned run"
)

// stop tells an attempt to end.
type stop struct {
	reason stopReason
	// deadline by which everything must be done; zero: no hurry but KillAfter.
	deadline time.Time
	notice   *job.Notice // with stopNotice
}

func newAttempt(a *Agent, assignment job.Assignment, serial int) *attempt {
	id := assignment.AttemptID
	dir := filepath.Join(a.home, "attempts", fmt.Sprintf("%s-%d-%d", id.Task, id.Index, id.Attempt))
	t := &attempt{
		agent: a, id: id, job: assignment,
		log:        a.log.With("task", id.Task, "index", id.Index, "attempt", id.Attempt),
		dir:        dir,
		work:       filepath.Join(dir, "work"),
		noticeFile: filepath.Join(dir, "notice.json"),
		socketPath: filepath.Join(a.socketDir, fmt.Sprintf("%d.sock", serial)),
		begun:      time.Now(),
		poked:      make(chan struct{}, 1),
		done:       make(chan struct{}),
	}
	t.end = job.AttemptEnd{AttemptID: id, Started: t.begun, Step: job.StepPreparing, Restored: assignment.Restore}
	t.preparing, t.stopPrepare = context.WithCancel(a.life)
	t.gang = newGang(assignment.Gang, t.dir)
	t.output = newOutput(a, id, assignment.Gang)
	if c := assignment.Execution.Checkpoint; c != nil {
		if c.Method == job.CheckpointCRIU {
			// All paths are the same for the next attempt, wherever it is.
			t.dir = fixedDir(a.fixedHome, a.config.Run, id)
			t.work, t.noticeFile, t.socketPath = filepath.Join(t.dir, "work"), filepath.Join(t.dir, "notice.json"), filepath.Join(t.dir, "s")
			t.transparent = &transparent{t: t}
		}
	}
	for i, c := range assignment.Execution.Checkpoints() {
		t.savers = append(t.savers, newSaver(t, c, i))
	}
	return t
}

// run executes the attempt and is its end. It always returns.
func (t *attempt) run() job.AttemptEnd {
	defer close(t.done)
	defer t.stopPrepare()
	if err := t.prepare(t.preparing); err != nil {
		t.blame(err)
	} else if err := t.gather(); err != nil {
		t.blame(err)
	} else if err := t.execute(); err != nil {
		t.blame(err)
	}
	t.gang.release()
	t.closeSavers()
	t.output.close(t.commitContext(logPatience))
	t.mu.Lock()
	t.end.Ended = time.Now()
	t.end.Elapsed = job.Duration(time.Since(t.begun))
	t.end.LogBytes = t.output.written()
	t.end.Saved, t.end.Saves = t.committed()
	end := t.end
	t.mu.Unlock()
	if !t.keeps(end) {
		t.clean()
	}
	return end
}

// keeps reports whether the attempt's folder stays as it is for somebody to look
// at: it failed by itself, and its instance is kept for that. What stays goes
// with the instance.
func (t *attempt) keeps(end job.AttemptEnd) bool {
	return t.job.Keep && !end.Committed && !end.Cancelled && !end.Orphaned && !end.OSStopping && end.Notice == nil
}

// blame writes down an error as the evidence it is. A stop that cut something
// short is no fault of anybody's.
func (t *attempt) blame(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var f *fault
	switch {
	case len(t.stops) > 0 && (t.end.Step == job.StepPreparing || t.end.Step == job.StepSetup || t.end.Step == job.StepGathering):
		return
	case errors.As(err, &f):
		f.mark(&t.end, err)
	case isFull(err):
		t.end.DiskFull = true
		t.end.Warnings = append(t.end.Warnings, err.Error())
	default:
		t.end.AgentError = err.Error()
	}
	t.log.Warn("the attempt could not go on", "step", t.end.Step, "error", err)
	t.output.note("%v", err)
}

// fault is an error that has a place of its own in an AttemptEnd.
type fault struct {
	mark func(end *job.AttemptEnd, err error)
	err  error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func setupFault(err error) error {
	return &fault{err: err, mark: func(end *job.AttemptEnd, err error) {
		end.SetupFailed = true
		end.Fault = err.Error()
	}}
}

func startFault(err error) error {
	return &fault{err: err, mark: func(end *job.AttemptEnd, err error) {
		end.StartFailed = true
		end.Fault = err.Error()
	}}
}

// restoreFault is of the checkpoint with that key; "" is the only one.
func restoreFault(key string, err error) error {
	return &fault{err: err, mark: func(end *job.AttemptEnd, err error) { end.RestoreError, end.RestoreKey = err.Error(), key }}
}

func outputFault(err error) error {
	return &fault{err: err, mark: func(end *job.AttemptEnd, err error) { end.OutputError = err.Error() }}
}

func agentFault(err error) error {
	return &fault{err: err, mark: func(end *job.AttemptEnd, err error) {
		end.AgentFull = isFull(err)
		end.AgentError = err.Error()
	}}
}

// isFull: a disk of this instance has no room; a bucket that is full is
// another matter.
func isFull(err error) bool {
	var stored *bucket.Error
	if errors.As(err, &stored) {
		return false
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeFull})
}

// tell tells the attempt to stop. It never blocks. A second reason is added to
// the first, and the earlier deadline holds.
func (t *attempt) tell(s stop) {
	t.mu.Lock()
	t.stops = append(t.stops, s)
	if !s.deadline.IsZero() && (t.deadline.IsZero() || s.deadline.Before(t.deadline)) {
		t.deadline = s.deadline
	}
	switch s.reason {
	case stopCancel:
		t.end.Cancelled = true
	case stopTimeout:
		t.end.TimedOut = true
	case stopOS:
		t.end.OSStopping = true
	case stopOrphan:
		t.end.Orphaned = true
	case stopNotice:
		if t.end.Notice == nil {
			t.end.Notice = s.notice
		}
	}
	t.mu.Unlock()
	t.stopPrepare()
	t.poke()
}

func (t *attempt) poke() {
	select {
	case t.poked <- struct{}{}:
	default:
	}
}

// told is the reasons to stop up to now, and the deadline.
func (t *attempt) told() (stops []stop, deadline time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stops, t.deadline
}

func (t *attempt) setStep(step job.Step) {
	t.mu.Lock()
	t.end.Step = step
	t.mu.Unlock()
	t.agent.changed()
}

// record changes the evidence.
func (t *attempt) record(change func(end *job.AttemptEnd)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.end)
}

func (t *attempt) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.log.Warn(text)
	t.record(func(end *job.AttemptEnd) { end.Warnings = append(end.Warnings, text) })
}

// status is how the attempt stands.
func (t *attempt) status() job.AttemptStatus {
	t.mu.Lock()
	s := job.AttemptStatus{
		AttemptID: t.id,
		Step:      t.end.Step,
		Started:   t.end.Started,
		Usage:     t.end.Usage,
	}
	cg := t.cgroup
	t.mu.Unlock()
	s.Elapsed = job.Duration(time.Since(t.begun).Round(time.Millisecond))
	if cg != nil {
		s.Usage = cg.usage()
	}
	s.LogBytes = t.output.written()
	s.Address = t.gang.ours()
	s.Checkpoint, s.Saves = t.committed()
	s.Saving, s.Forecast = t.saving(), t.forecasts()
	return s
}

// commitContext bounds what is still to be committed: by the deadline and a
// while beyond it, since a deadline is the cloud's estimate and work that
// comes too late does no harm; without a deadline by patience.
func (t *attempt) commitContext(patience time.Duration) (context.Context, context.CancelFunc) {
	if _, deadline := t.told(); !deadline.IsZero() {
		return context.WithTimeout(t.agent.life, max(time.Until(deadline), 0)+beyondDeadline)
	}
	return context.WithTimeout(t.agent.life, patience)
}

const (
	// beyondDeadline is how long after its deadline an instance still tries.
	beyondDeadline = 30 * time.Second
	// logPatience is how long the end of an attempt waits for its log.
	logPatience = 20 * time.Second
)
