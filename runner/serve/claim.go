package serve

import (
	"context"
	"time"

	"github.com/spotrelay/spotrelay/runner/store"
)

// claim is what is known of a run that is not over.
type claim struct {
	run    string
	marked time.Time // by the store's clock

	// What was last seen of its lease.
	looked time.Time // zero: not yet
	lease  store.Lease
	absent bool      // there is none
	since  time.Time // when the lease was first seen as it is
	free   time.Time // since when it may be tried; zero: it may not

	stop    context.CancelFunc // of the goroutine that has it or tries for it; nil: none
	held    bool               // that goroutine controls it
	leaving bool               // it is being handed over
	not     time.Time          // not before then
	faults  int                // in a row
	err     error              // the last fault
}

// saw takes in a look at the lease. living tells which serving controllers
// live.
func (c *claim) saw(lease store.Lease, absent bool, now time.Time, living func(string) bool) {
	if c.looked.IsZero() || lease != c.lease || absent != c.absent {
		c.since = now
	}
	c.looked, c.lease, c.absent = now, lease, absent
	if !c.mayBeTried(now, living) {
		c.free = time.Time{}
	} else if c.free.IsZero() {
		c.free = now
	}
}

// mayBeTried: nobody has the run, its controller died, or the lease has stood
// still for so long that it may have. To try is to watch the lease for the rest
// of its duration, so too early costs nothing.
func (c *claim) mayBeTried(now time.Time, living func(string) bool) bool {
	switch {
	case c.absent || c.lease.Released:
		return true
	case c.lease.Holder.Controller != "":
		return !living(c.lease.Holder.Controller)
	}
	return now.Sub(c.since) >= c.lease.Duration.D()/2
}

// nextLook is when the lease is worth another look. One that a living
// controller holds is left in peace, unless the run is meant for us.
func (c *claim) nextLook(beat time.Duration, first bool, living func(string) bool) time.Time {
	switch {
	case c.looked.IsZero() || !c.free.IsZero():
		return c.looked
	case c.lease.Holder.Controller == "":
		return c.looked.Add(max(c.lease.Duration.D()/3, beat))
	case first || !living(c.lease.Holder.Controller):
		return c.looked.Add(beat)
	}
	return c.looked.Add(20 * beat)
}
