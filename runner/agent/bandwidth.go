//go:build unix

package agent

import (
	"sync"
	"time"
)

const (
	// assumedRate in bytes a second before anything was measured.
	assumedRate = 20 << 20
	// leastSample is the least that a rate is measured by, in bytes.
	leastSample = 64 << 10
	// commitTime is what a save takes beside its bytes: the scan, the
	// manifest, the answers.
	commitTime = 500 * time.Millisecond
)

// bandwidth is how fast this instance sends, as measured by its saves.
type bandwidth struct {
	mu    sync.Mutex
	limit int64   // bytes a second, 0 for none
	rate  float64 // bytes a second, 0 before the first measure
}

// measured takes in a save that sent so many bytes in so long.
func (b *bandwidth) measured(bytes int64, elapsed time.Duration) {
	if bytes < leastSample || elapsed <= 0 {
		return
	}
	rate := float64(bytes) / elapsed.Seconds()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		b.rate = rate
		return
	}
	b.rate += (rate - b.rate) / 4
}

// timeFor is how long a save of so many bytes will take.
func (b *bandwidth) timeFor(bytes int64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	rate := b.rate
	if rate == 0 {
		rate = assumedRate
		if b.limit > 0 {
			rate = float64(b.limit)
		}
	}
	return commitTime + time.Duration(float64(bytes)/rate*float64(time.Second))
}
