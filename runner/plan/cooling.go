package plan

import (
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// A pool that gave nothing is left alone, longer each time it gives nothing
// again (Karpenter: 3 minutes, flat). The first pause is at most a fifth of the
// shortest capacity_wait, so that a pool is looked at several times within it.
const (
	coolFirst = 3 * time.Minute
	coolPart  = 5
	coolLeast = 500 * time.Millisecond
	coolMost  = 10 * time.Minute
)

// codeInterrupted cools a pool in which an instance of ours was interrupted.
// It is the only cooling that yields: where nothing else is left, such a pool
// is asked, since nobody has said that it is empty.
const codeInterrupted providers.Code = "interrupted"

// coolPool leaves a pool, or a fleet's capacity type, alone for a while after
// a failure.
func (t *tick) coolPool(fleet string, f providers.Failure) {
	pool, capacity := f.Pool, f.Pool.Capacity
	switch {
	case f.Code == providers.CodeSubnet && pool.Zone != "":
		pool, capacity = providers.Pool{Zone: pool.Zone}, "" // addresses serve both
	case f.Code == providers.CodeQuota || pool.InstanceType == "" && pool.Zone == "":
		pool = providers.Pool{} // of the whole region
	}
	c := PoolCooled{Fleet: fleet, Pool: pool, Capacity: capacity, Code: f.Code, Message: f.Message, Times: 1}
	for _, old := range t.Cool {
		if old.Fleet != fleet || old.Pool != pool || old.Capacity != capacity {
			continue
		}
		if old.Until < 0 || old.Until > t.now && (old.Code != codeInterrupted || f.Code == codeInterrupted) {
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
	pause := min(coolFirst, max(wait/coolPart, coolLeast))
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

// interrupted leaves the pool of an instance alone that the cloud wants back:
// the successor is better looked for elsewhere.
func (t *tick) interrupted(fleet string, pool providers.Pool) {
	if pool.Capacity == providers.OnDemand {
		return // it has a fault, and no lack of capacity
	}
	t.coolPool(fleet, providers.Failure{Pool: pool, Code: codeInterrupted, Message: "an instance of ours was interrupted there"})
}

// coolingOf is the cooling that leaves a pool alone longest, nil when none does.
func (s *State) coolingOf(key poolKey) *PoolCooled {
	var longest *PoolCooled
	for i := range s.Cool {
		c := &s.Cool[i]
		switch {
		case !c.covers(key) || c.Until >= 0 && c.Until <= s.work.now:
		case c.Until < 0:
			return c
		case longest == nil, longest.Code == codeInterrupted && c.Code != codeInterrupted,
			c.Until > longest.Until && c.Code != codeInterrupted:
			longest = c
		}
	}
	return longest
}

// cooling is until when a pool is left alone: 0 when it is not, -1 for ever.
func (s *State) cooling(key poolKey) Time {
	if c := s.coolingOf(key); c != nil {
		return c.Until
	}
	return 0
}

// about reports whether a cooling concerns a capacity type.
func (c *PoolCooled) about(capacity providers.CapacityType) bool {
	return c.Capacity == "" || c.Capacity == capacity
}

// covers reports whether a cooling is of a pool: a part that it leaves empty is
// any.
func (c *PoolCooled) covers(key poolKey) bool {
	return c.Fleet == key.fleet && c.about(key.pool.Capacity) &&
		(c.Pool.Zone == "" || c.Pool.Zone == key.pool.Zone) &&
		(c.Pool.InstanceType == "" || c.Pool.InstanceType == key.pool.InstanceType)
}
