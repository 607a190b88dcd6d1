package computetest

import (
	"slices"
	"sync"
	"time"
)

// Clock is a cloud's time.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f, in a goroutine of its own or in the one that moves the
	// clock, when d has passed; stop gives that up.
	AfterFunc(d time.Duration, f func()) (stop func())
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) func() {
	timer := time.AfterFunc(d, f)
	return func() { timer.Stop() }
}

// ManualClock is a Clock that a test moves.
type ManualClock struct {
	mu    sync.Mutex
	now   time.Time
	next  int
	calls []pendingCall
}

type pendingCall struct {
	at     time.Time
	number int
	f      func()
}

// NewManualClock makes a clock that stands at now.
func NewManualClock(now time.Time) *ManualClock { return &ManualClock{now: now} }

// Now is the time that the clock shows.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc calls f when Advance has moved the clock by d, also when d is zero.
func (c *ManualClock) AfterFunc(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	number := c.next
	c.calls = append(c.calls, pendingCall{c.now.Add(d), number, f})
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.calls = slices.DeleteFunc(c.calls, func(p pendingCall) bool { return p.number == number })
	}
}

// Advance moves the clock by d and makes the calls that fall due, each at its
// time and in their order, before it returns.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	until := c.now.Add(d)
	for {
		due := -1
		for i, call := range c.calls {
			if !call.at.After(until) && (due < 0 || earlier(call, c.calls[due])) {
				due = i
			}
		}
		if due < 0 {
			break
		}
		call := c.calls[due]
		c.calls = slices.Delete(c.calls, due, due+1)
		if call.at.After(c.now) {
			c.now = call.at
		}
		c.mu.Unlock()
		call.f()
		c.mu.Lock()
	}
	c.now = until
	c.mu.Unlock()
}

func earlier(a, b pendingCall) bool {
	if a.at.Equal(b.at) {
		return a.number < b.number
	}
	return a.at.Before(b.at)
}
