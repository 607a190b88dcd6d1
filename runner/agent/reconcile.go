//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	// callTimeout bounds one small call to the bucket.
	callTimeout = 20 * time.Second
	// longestPoll is how long a bucket that fails is left alone at most.
	longestPoll = 15 * time.Second
)

// adopt reads the status that an earlier life of this agent left: its ended
// attempts stay reported, its running ones ended with it. It is false when the
// agent ended before the bucket could be read; nothing is written before that.
func (a *Agent) adopt() bool {
	for failures := 0; ; failures++ {
		status, err := a.readStatus()
		switch {
		case err == nil:
			a.takeOver(status)
			return true
		case errors.Is(err, bucket.ErrNotFound):
			return true
		case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrVersion):
			a.warn("the status of an earlier life cannot be read: %v", err)
			return true
		}
		if failures&(failures+1) == 0 {
			a.log.Warn("the bucket cannot be read", "error", err)
		}
		if !sleep(a.life, pauseAfter(failures+1, 50*time.Millisecond, 3*time.Second)) {
			return false
		}
	}
}

func (a *Agent) readStatus() (job.Status, error) {
	ctx, cancel := context.WithTimeout(a.life, callTimeout)
	defer cancel()
	status, _, err := store.ReadStatus(ctx, a.bucket, a.config.Run, a.instance)
	return status, err
}

func (a *Agent) takeOver(status job.Status) {
	// What an earlier life started is not this one's, and must not go on.
	if a.rig == nil {
		sweep(noGroup, varNotice+"="+filepath.Join(a.home, "attempts")+"/", nil)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = append(a.ended, status.Ended...)
	now := time.Now()
	for _, running := range status.Running {
		a.ended = append(a.ended, job.AttemptEnd{
			AttemptID: running.AttemptID, Started: running.Started, Ended: now, Elapsed: running.Elapsed, Step: running.Step,
			Saved: running.Checkpoint, Saves: running.Saves, Notice: status.Notice,
			AgentError: fmt.Sprintf("the agent (boot %s) ended while the attempt ran, and was started again", status.Boot),
		})
	}
	for _, end := range a.ended {
		a.known[end.AttemptID] = true
	}
	a.log.Warn("an earlier life of the agent left a status", "boot", status.Boot, "running", len(status.Running), "ended", len(status.Ended))
}

// warn adds a warning to the status, each text once.
func (a *Agent) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.log.Warn(text)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.warnings, text) && len(a.warnings) < maxWarnings {
		a.warnings = append(a.warnings, text)
		a.changed()
	}
}

const maxWarnings = 20

// watchDesired polls the desired document until the agent ends, and takes it
// when its version has changed. A bucket that cannot be
// reached changes nothing here: what runs goes on.
func (a *Agent) watchDesired() {
	poll := orDefault(a.config.Timing.Poll, a.bucket.Describe().Poll)
	if poll <= 0 {
		poll = defaultPoll
	}
	version, failures := "", 0
	for {
		seen, err := a.lookForDesired(version)
		pause := poll
		switch {
		case err != nil && a.life.Err() == nil:
			failures++
			if failures&(failures-1) == 0 {
				a.log.Warn("the desired document could not be looked at; what runs goes on", "failures", failures, "error", err)
			}
			pause = pauseAfter(failures, poll, longestPoll)
		case err == nil:
			version, failures = seen, 0
		}
		a.mu.Lock()
		a.giveBack(2 * a.config.Timing.Ahead())
		a.mu.Unlock()
		if !sleep(a.life, pause) {
			return
		}
	}
}

// pauseAfter doubles with each failure, with jitter, up to most.
func pauseAfter(failures int, first, most time.Duration) time.Duration {
	pause := min(first<<min(failures, 12), max(most, first))
	return pause/2 + rand.N(pause/2+1)
}

// lookForDesired takes the desired document when its version is not the one
// given, and is the version that is there now.
func (a *Agent) lookForDesired(version string) (string, error) {
	ctx, cancel := context.WithTimeout(a.life, callTimeout)
	defer cancel()
	desired, object, changed, err := store.ReadDesiredUnless(ctx, a.bucket, a.config.Run, a.instance, version)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		return "", nil
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrVersion):
		a.warn("the desired document is not taken: %v", err)
		return object.Version, nil
	case err != nil:
		return version, err
	case !changed:
		return version, nil
	}
	a.take(desired)
	return object.Version, nil
}

// take reconciles the attempts with a desired document. One that is not above
// the last is from a stale writer, or known.
func (a *Agent) take(d job.Desired) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !store.DesiredLess(a.desired, d) {
		return
	}
	a.desired = d
	acknowledged := map[job.AttemptID]bool{}
	for _, id := range d.Acknowledged {
		acknowledged[id] = true
	}
	a.ended = slices.DeleteFunc(a.ended, func(end job.AttemptEnd) bool { return acknowledged[end.AttemptID] })
	a.waiting.held = false
	a.waiting.renew(d.Attempts)
	wanted := map[job.AttemptID]bool{}
	for _, assignment := range d.Attempts {
		if !assignment.Cancel {
			wanted[assignment.AttemptID] = true
		}
		a.consider(assignment)
	}
	for _, id := range a.order {
		if !wanted[id] {
			a.cancel(a.running[id])
		}
	}
	if d.Return {
		a.giveBack(0)
	}
	a.acceptWaiting()
	a.changed()
	a.look()
}

// consider has an attempt that is not known wait for a slot. Called with the
// lock held.
func (a *Agent) consider(assignment job.Assignment) {
	id := assignment.AttemptID
	switch {
	case a.known[id]:
		if t := a.running[id]; t != nil {
			t.regroup(assignment.Gang)
		}
	case assignment.Cancel:
		now := time.Now()
		a.known[id] = true
		a.ended = append(a.ended, job.AttemptEnd{AttemptID: id, Started: now, Ended: now, Step: job.StepPreparing, Cancelled: true})
	case a.phase == job.PhaseReady:
		a.waiting.add(assignment)
	}
}

// accept starts an attempt. Called with the lock held.
func (a *Agent) accept(assignment job.Assignment) {
	a.serial++
	t := newAttempt(a, assignment, a.serial)
	a.running[t.id] = t
	a.order = append(a.order, t.id)
	t.log.Info("accepted")
	go func() {
		end := t.run()
		a.mu.Lock()
		delete(a.running, t.id)
		a.order = slices.DeleteFunc(a.order, func(id job.AttemptID) bool { return id == t.id })
		a.ended = append(a.ended, end)
		if t.keeps(end) {
			a.kept[t.id] = t
			t.company.admit()
		}
		a.waiting.held = a.waiting.held || !end.Committed && !end.Cancelled
		a.acceptWaiting()
		a.mu.Unlock()
		a.hub.forget(t.id)
		a.changed()
		a.look()
	}()
}

// cancel tells an attempt to end, once. Called with the lock held.
func (a *Agent) cancel(t *attempt) {
	if !t.cancelled {
		t.cancelled = true
		t.tell(stop{reason: stopCancel})
	}
}
