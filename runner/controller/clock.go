package controller

import (
	"time"

	"github.com/spotrelay/spotrelay/runner/plan"
)

// clock is the run's time: what was journalled last, and since then this
// machine's monotonic clock, which no setting of the time moves.
type clock struct {
	base  plan.Time
	start time.Time
}

func startClock(base plan.Time) *clock { return &clock{base: base, start: time.Now()} }

// now may be called from any goroutine.
func (c *clock) now() plan.Time { return c.base + max(0, time.Since(c.start)) }
