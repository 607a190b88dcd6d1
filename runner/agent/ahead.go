//go:build unix

package agent

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
)

const (
	// aheadShare of the measured bandwidth is taken for copying ahead.
	aheadShare = 4
	// aheadPerCore bytes a second are read and sent at most for each processor.
	// Beside a task that uses all of them a MiB takes one for 1.5 ms into a folder
	// and some 2.4 ms over TLS, caches being the task's (make bench-agent): so
	// this is under 3 % of the task's throughput.
	aheadPerCore = 12 << 20
	// aheadLeast bytes a second are sent even where the bandwidth seems small.
	aheadLeast = 256 << 10
	// atRest is how long a file must not have changed, and lastRest that after
	// a notice.
	atRest   = 2 * time.Second
	lastRest = time.Second
	// sweepWatched and sweepAlone are how often a directory is looked at for
	// which there are events, and for which there are none.
	sweepWatched = 30 * time.Second
	sweepAlone   = 5 * time.Second
	// lookShare bounds the part of the time that is spent with looking.
	lookShare = 20
	// aheadWaste times what a directory holds is sent ahead between two saves
	// at most: a file that is written again and again must not fill the bucket.
	aheadWaste    = 2
	aheadWasteMin = 64 << 20
)

// courier sends ahead of the saves what has come to rest in the checkpoint
// directories of all attempts: one at a time, slowly, and never while a save is
// under way.
type courier struct {
	agent *Agent
	rest  time.Duration // of a file, before a notice
	sweep time.Duration // where there are no events
	most  int64         // bytes a second, for each processor
	wake  chan struct{}

	mu     sync.Mutex
	savers map[*saver]*ahead
	order  []*saver
	holds  int
	stop   context.CancelFunc // ends what is sent now; nil: nothing is
	idle   chan struct{}      // closed when that has ended
}

// ahead is how copying ahead of one saver stands. Guarded by the courier.
type ahead struct {
	due     time.Time // not before: the next look
	watched bool
	end     context.CancelFunc // of the watch
	refused bool               // it was said that it failed
}

func newCourier(a *Agent) *courier {
	return &courier{agent: a, rest: atRest, sweep: sweepAlone, most: aheadPerCore, wake: make(chan struct{}, 1), savers: map[*saver]*ahead{}}
}

// add copies ahead of a saver until remove is called, which returns when the
// directory is left alone.
func (c *courier) add(s *saver) (remove func()) {
	ctx, end := context.WithCancel(s.background)
	entry := &ahead{end: end, due: time.Now().Add(c.rest)}
	c.mu.Lock()
	c.savers[s] = entry
	c.order = append(c.order, s)
	c.mu.Unlock()
	go c.watch(ctx, s)
	c.look()
	return func() {
		end()
		defer c.hold()()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.savers, s)
		for i := range c.order {
			if c.order[i] == s {
				c.order = append(c.order[:i:i], c.order[i+1:]...)
				break
			}
		}
	}
}

// watch has a saver's directory looked at soon after something changed there.
// The events only wake: what has changed, and what is at rest, the look decides.
func (c *courier) watch(ctx context.Context, s *saver) {
	if c.agent.rig != nil {
		return // events are not of virtual time; the sweep is
	}
	for ctx.Err() == nil {
		c.set(s, func(e *ahead) { e.watched = true })
		err := watch(ctx, s.dir, func() { c.changed(s) })
		c.set(s, func(e *ahead) { e.watched = false })
		if ctx.Err() != nil {
			return
		}
		c.changed(s) // as far as anybody knows
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Info("no file events for the checkpoint directory; it is looked at now and then", "every", c.sweep, "error", err)
			return
		}
		if !sleep(ctx, c.sweep) { // it was replaced, by a restore for instance
			return
		}
	}
}

func (c *courier) set(s *saver, change func(*ahead)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry := c.savers[s]; entry != nil {
		change(entry)
	}
}

// changed: what has changed now may be at rest by then.
func (c *courier) changed(s *saver) {
	c.set(s, func(e *ahead) {
		if at := time.Now().Add(c.restNow(s)); at.Before(e.due) {
			e.due = at
		}
	})
	c.look()
}

func (c *courier) look() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// hold ends what is sent ahead, and lets nothing be sent until release is
// called. What was sent counts for the save that comes.
func (c *courier) hold() (release func()) {
	c.mu.Lock()
	c.holds++
	stop, idle := c.stop, c.idle
	c.mu.Unlock()
	if stop != nil {
		stop()
		<-idle
	}
	return sync.OnceFunc(func() {
		c.mu.Lock()
		c.holds--
		c.mu.Unlock()
		c.look()
	})
}

// run copies until the agent ends.
func (c *courier) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		s, wait := c.next()
		if s != nil {
			c.copy(ctx, s)
			continue
		}
		timer.Reset(wait)
		select {
		case <-c.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// next is the saver that is due, the longest due one first, or else how long to
// wait.
func (c *courier) next() (*saver, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds > 0 {
		return nil, time.Hour // the release wakes
	}
	var first *saver
	for _, s := range c.order {
		if first == nil || c.savers[s].due.Before(c.savers[first].due) {
			first = s
		}
	}
	if first == nil {
		return nil, time.Hour
	}
	if wait := time.Until(c.savers[first].due); wait > 0 {
		return nil, wait
	}
	return first, 0
}

// copy sends what is at rest of one directory.
func (c *courier) copy(ctx context.Context, s *saver) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c.mu.Lock()
	entry := c.savers[s]
	if c.holds > 0 || entry == nil {
		c.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	c.stop, c.idle = stop, idle
	c.mu.Unlock()
	var result checkpointing.AheadResult
	var err error
	if s.mayCopy() {
		result, err = c.agent.engine.Ahead(ctx, s.dir, c.options(s))
	}
	c.mu.Lock()
	c.stop, c.idle = nil, nil
	entry.due = time.Now().Add(c.pauseAfter(s, entry, result))
	refused := entry.refused
	entry.refused = err != nil && ctx.Err() == nil
	c.mu.Unlock()
	close(idle)
	c.agent.bandwidth.slow(result.BytesSent, result.Elapsed)
	s.copied(result)
	switch {
	case err != nil && ctx.Err() == nil && !refused && !errors.Is(err, fs.ErrNotExist):
		s.log.Warn("copying ahead did not work; the save sends it all", "error", err)
	case result.BytesSent > 0:
		s.log.Debug("copied ahead", "bytes_sent", result.BytesSent, "files", result.Files, "restless", result.Restless, "elapsed", result.Elapsed)
	}
}

// pauseAfter is when to look again: soon where something was still changing.
// Called with the lock held.
func (c *courier) pauseAfter(s *saver, entry *ahead, result checkpointing.AheadResult) time.Duration {
	pause := c.sweep
	if entry.watched {
		pause = max(c.sweep, sweepWatched)
	}
	if result.Restless > 0 {
		pause = c.restNow(s)
	}
	look := result.Elapsed
	if result.BytesRead > 0 {
		look = 0 // most of it was reading
	}
	return max(pause, lookShare*look)
}

// restNow is how long a file must be at rest now.
func (c *courier) restNow(s *saver) time.Duration {
	if s.t.hurried() {
		return min(c.rest, lastRest)
	}
	return c.rest
}

// options bounds what is sent: before a notice to a part of what the instance
// can, at the lowest priority; after it there is nothing more important.
func (c *courier) options(s *saver) checkpointing.AheadOptions {
	opts := checkpointing.AheadOptions{Base: s.newest(), Rest: c.restNow(s), BytesPerSecond: c.agent.uploadLimit}
	if s.t.hurried() {
		return opts
	}
	most := int64(runtime.GOMAXPROCS(0)) * c.most
	opts.BytesPerSecond = min(max(int64(c.agent.bandwidth.pace().Send)/aheadShare, aheadLeast), most)
	opts.ReadPerSecond = most
	opts.Reader = giveWay
	return opts
}
