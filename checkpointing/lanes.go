package checkpointing

import (
	"context"
	"sync"
	"time"
)

const (
	firstLanes = 4
	// slowAnswer is the time of an answer from which on more is under way at
	// once from the beginning.
	slowAnswer = 10 * time.Millisecond
)

// lanes bounds how many transfers are under way. It begins with few and adds
// one as long as that makes the whole faster.
type lanes struct {
	most int

	mu      sync.Mutex
	freed   chan struct{} // closed and made anew when a lane is free
	limit   int
	busy    int
	since   time.Time // of the window
	bytes   int64     // done in the window
	done    int
	full    bool    // all lanes were in use
	best    float64 // bytes a second of the last window
	known   bool
	perByte float64 // seconds, smoothed, of one transfer
}

func newLanes(most int) *lanes {
	return &lanes{most: most, limit: min(firstLanes, most), freed: make(chan struct{})}
}

// answered is told how long a small call took.
func (l *lanes) answered(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if took >= slowAnswer {
		l.limit = max(l.limit, l.most*2/3)
	}
}

// enter waits for a lane.
func (l *lanes) enter(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.mu.Lock()
		if l.busy < l.limit {
			l.busy++
			l.full = l.full || l.busy == l.limit
			if l.since.IsZero() {
				l.since = time.Now()
			}
			l.mu.Unlock()
			return nil
		}
		freed := l.freed
		l.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave gives the lane back and learns from what it carried.
func (l *lanes) leave(bytes int, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	close(l.freed)
	l.freed = make(chan struct{})
	if bytes == 0 {
		return
	}
	if perByte := took.Seconds() / float64(bytes); !l.known {
		l.known, l.perByte = true, perByte
	} else {
		l.perByte += (perByte - l.perByte) / 8
	}
	l.bytes += int64(bytes)
	if l.done++; l.done < l.limit {
		return
	}
	l.adapt()
	l.since, l.bytes, l.done, l.full = time.Now(), 0, 0, false
}

// adapt compares the window with the best one before. Where the lanes are not
// all in use, something else is the limit.
func (l *lanes) adapt() {
	elapsed := time.Since(l.since).Seconds()
	if elapsed <= 0 || !l.full {
		return
	}
	speed := float64(l.bytes) / elapsed
	switch {
	case speed > l.best*1.05 && l.limit < l.most:
		l.limit++
		l.best = speed
	case speed < l.best*0.8 && l.limit > firstLanes:
		l.limit--
		l.best = speed
	}
}

// slow is how long a transfer may take before another one is tried beside it.
func (l *lanes) slow(bytes int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known {
		return firstHedge
	}
	usual := time.Duration(l.perByte * float64(bytes) * float64(time.Second))
	return max(4*usual, leastHedge)
}

// idle tells whether a lane is free.
func (l *lanes) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy < l.limit
}
