package plan

import (
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// A pool that gave nothing is left alone, longer each time it gives nothing
// again (Karpenter: 3 minutes, flat). The first pause is a tenth part of the
// capacity_wait, so that a pool is looked at several times within it.
const (
	coolFirst = 30 * time.Second
	coolLeast = 500 * time.Millisecond
	coolMost  = 10 * time.Minute
)

// coolPool leaves a pool, or a fleet's capacity type, alone for a while after
// a failure.
func (t *tick) coolPool(fleet string, f providers.Failure) {
	pool, capacity := f.Pool, f.Pool.Capacity
	if f.Code == providers.CodeQuota || pool.InstanceType == "" && pool.Zone == "" {
		pool = providers.Pool{} // of the whole region
	}
	c := PoolCooled{Fleet: fleet, Pool: pool, Capacity: capacity, Code: f.Code, Message: f.Message, Times: 1}
	for _, old := range t.Cool {
		if old.Fleet != fleet || old.Pool != pool || old.Capacity != capacity {
			continue
		}
		if old.Until < 0 || old.Until > t.now {
			return // it is left alone already
		}
		c.Times = old.Times + 1
	}
	c.Until = t.now + coolPause(t.shortestWait(), c.Times)
	if f.Code == providers.CodeUnsupported {
		c.Until = -1
	}
	t.emit(Event{PoolCooled: &c})
}

// coolPause is how long a pool is left alone the nth time.
func coolPause(wait Time, n int) Time {
	pause := min(coolFirst, max(wait/10, coolLeast))
	for range min(n-1, 20) {
		pause = min(2*pause, coolMost)
	}
	return pause
}

// shortestWait is the shortest capacity_wait of the run.
func (t *tick) shortestWait() Time {
	wait := t.work.groups[0].wait
	for _, g := range t.work.groups {
		wait = min(wait, g.wait)
	}
	return wait
}

// cooling is until when a pool is left alone: 0 when it is not, -1 for ever.
func (s *State) cooling(key poolKey) Time {
	var until Time
	for i := range s.Cool {
		c := &s.Cool[i]
		if !c.covers(key) {
			continue
		}
		if c.Until < 0 {
			return -1
		}
		if c.Until > s.work.now {
			until = max(until, c.Until)
		}
	}
	return until
}

// covers reports whether a cooling is of a pool: a part that it leaves empty is
// any.
func (c *PoolCooled) covers(key poolKey) bool {
	return c.Fleet == key.fleet && c.Capacity == key.pool.Capacity &&
		(c.Pool.Zone == "" || c.Pool.Zone == key.pool.Zone) &&
		(c.Pool.InstanceType == "" || c.Pool.InstanceType == key.pool.InstanceType)
}
