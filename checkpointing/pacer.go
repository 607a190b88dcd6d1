package checkpointing

import (
	"context"
	"sync"

	"golang.org/x/time/rate"
)

const (
	mostPaced  = 1 << 20
	leastPaced = 4 << 10
)

// pacer bounds bytes a second. It waits for many bytes at once, a sixteenth of a
// second or mostPaced, and lets them pass in any pieces: a thread of the lowest
// priority waits long for its turn each time it wakes, and each waking disturbs
// whoever works beside it. A nil one bounds nothing.
type pacer struct {
	limiter *rate.Limiter
	unit    int

	mu     sync.Mutex
	credit int // waited for, and not used yet
}

// newPacer is nil when it is unbounded.
func newPacer(bytesPerSecond int64) *pacer {
	if bytesPerSecond <= 0 {
		return nil
	}
	unit := int(min(max(bytesPerSecond/16, leastPaced), mostPaced))
	return &pacer{limiter: rate.NewLimiter(rate.Limit(bytesPerSecond), unit), unit: unit}
}

// cap bounds what is read at once, so that no single wait is long.
func (p *pacer) cap(b []byte) []byte {
	if p != nil && len(b) > p.unit {
		return b[:p.unit]
	}
	return b
}

// wait waits until n bytes may pass.
func (p *pacer) wait(ctx context.Context, n int) error {
	if p == nil || n <= 0 {
		return nil
	}
	p.mu.Lock()
	units := 0
	for p.credit -= n; p.credit < 0; p.credit += p.unit {
		units++
	}
	p.mu.Unlock()
	for range units {
		if err := p.limiter.WaitN(ctx, p.unit); err != nil {
			return err
		}
	}
	return nil
}
