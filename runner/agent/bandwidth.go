//go:build unix

package agent

import (
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/agent/window"
)

const (
	// assumedRate in bytes a second before anything was measured.
	assumedRate = 20 << 20
	// enoughBytes or enoughTime make a save a measure of the bandwidth. What a
	// shorter one took was mostly the way to the bucket and back, so it shows
	// only how fast it is at least.
	enoughBytes = 8 << 20
	enoughTime  = time.Second
	leastBytes  = 64 << 10
	// enoughRead bytes measure the reading.
	enoughRead = 64 << 20
)

// bandwidth is how fast this instance saves, as measured by its saves.
type bandwidth struct {
	mu    sync.Mutex
	limit int64   // of sending, bytes a second, 0 for none
	send  float64 // bytes a second, 0 before the first measure
	read  float64 // bytes a second, 0: not known
}

// saved takes in what a save did.
func (b *bandwidth) saved(r checkpointing.SaveResult) {
	b.measured(r.BytesSent, r.Elapsed)
	if r.BytesRead < enoughRead || r.Elapsed <= 0 {
		return
	}
	rate := float64(r.BytesRead) / r.Elapsed.Seconds()
	b.mu.Lock()
	defer b.mu.Unlock()
	// Where the sending took the time, it was read faster than this.
	if b.send > 0 && float64(r.BytesSent)/b.send > r.Elapsed.Seconds()/2 && rate < b.read {
		return
	}
	b.read = average(b.read, rate)
}

// measured takes in that so many bytes were sent in so long.
func (b *bandwidth) measured(bytes int64, elapsed time.Duration) {
	if bytes < leastBytes || elapsed <= 0 {
		return
	}
	rate := float64(bytes) / elapsed.Seconds()
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes >= enoughBytes || elapsed >= enoughTime {
		b.send = average(b.send, rate)
	} else if b.send > 0 {
		b.send = max(b.send, rate)
	}
}

// slow takes in that sending was held back to so much: the instance is as fast
// as that at least.
func (b *bandwidth) slow(bytes int64, elapsed time.Duration) {
	if bytes < enoughBytes || elapsed <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.send > 0 {
		b.send = max(b.send, float64(bytes)/elapsed.Seconds())
	}
}

// average moves a known value towards a new one.
func average(known, sample float64) float64 {
	if known == 0 {
		return sample
	}
	return known + (sample-known)/4
}

// pace is how fast this instance saves, as far as it is known.
func (b *bandwidth) pace() window.Pace {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := window.Pace{Send: b.send, Read: b.read, Measured: b.send > 0}
	switch {
	case p.Measured:
	case b.limit > 0:
		p.Send = float64(b.limit)
	default:
		p.Send = assumedRate
	}
	return p
}
