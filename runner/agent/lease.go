//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// uncontrolledAfter is how many durations a lease must have stood still for
// its run to count as controlled by nobody. A controller renews several times
// a duration, and another may take over after one.
const uncontrolledAfter = 3

// leaseWatch measures how long the lease has stood still, by this machine's
// monotonic clock and only over time in which it could be read: an
// unreachable bucket is not a dead run.
type leaseWatch struct {
	mark  string    // of the lease last seen
	at    time.Time // when that was; zero after a failed look
	still time.Duration
}

// saw takes in a look at the lease and is how long it has stood still. A gap
// between two looks counts as at most most, so that a machine that was
// suspended doesn't take its own absence for the controller's.
func (w *leaseWatch) saw(mark string, now time.Time, most time.Duration) time.Duration {
	switch {
	case mark != w.mark:
		w.still = 0
	case !w.at.IsZero():
		w.still += min(now.Sub(w.at), most)
	}
	w.mark, w.at = mark, now
	return w.still
}

// missed takes in a look that failed.
func (w *leaseWatch) missed() { w.at = time.Time{} }

// watchLease looks at the lease until the agent ends. When nobody controls the
// run an idle agent leaves soon, and a busy one after the orphan grace.
func (a *Agent) watchLease() {
	var watch leaseWatch
	duration := orDefault(a.config.Timing.Lease, defaultLease)
	grace := orDefault(a.config.Timing.OrphanGrace, defaultOrphanGrace)
	for {
		interval := duration / 2
		mark, found, err := a.readLease()
		if err != nil {
			watch.missed()
		} else {
			if found > 0 {
				duration = found
				interval = duration / 2
			}
			alone := watch.saw(mark, time.Now(), 2*interval) - uncontrolledAfter*duration
			if alone > 0 && (alone >= grace || alone >= duration && a.idle()) {
				a.orphan(alone)
				return
			}
		}
		if !sleep(a.life, interval) {
			return
		}
	}
}

// readLease is what of the lease moves while somebody holds it, and its
// duration. A run without a lease is one that nobody holds.
func (a *Agent) readLease() (mark string, duration time.Duration, err error) {
	ctx, cancel := context.WithTimeout(a.life, callTimeout)
	defer cancel()
	lease, object, err := store.ReadLease(ctx, a.bucket, a.config.Run)
	switch {
	case err == nil:
		return fmt.Sprint(lease.Epoch, "/", lease.Counter), lease.Duration.D(), nil
	case errors.Is(err, bucket.ErrNotFound):
		return "none", 0, nil
	case errors.Is(err, store.ErrVersion), errors.Is(err, store.ErrCorrupt):
		return object.Version, 0, nil // of a later program, say: that it moves can be seen
	}
	return "", 0, err
}

// idle: nothing runs here.
func (a *Agent) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.order) == 0
}

// orphan ends the agent since nobody controls its run.
func (a *Agent) orphan(alone time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.phase == job.PhaseLeaving {
		return
	}
	a.orphaned = true
	a.goAway(fmt.Sprintf("nobody has controlled the run for %s", alone.Round(time.Second)), stop{reason: stopOrphan})
}
