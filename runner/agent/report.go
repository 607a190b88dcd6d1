//go:build unix

package agent

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// reporter writes the status document: at every change, what changes within
// the bucket's pace together, and at every heartbeat. What could not be
// written is written again until it is.
type reporter struct {
	bucket    bucket.Bucket
	log       *slog.Logger
	pace      time.Duration
	heartbeat time.Duration
	snapshot  func() job.Status

	changed chan struct{}
	version string // of the status that was written last; of run's goroutine

	mu        sync.Mutex
	wanted    int64         // rises with every change
	delivered int64         // all changes up to this one are in the bucket
	progress  chan struct{} // closed when delivered rises
}

const (
	putTimeout     = 20 * time.Second
	firstPutPause  = 100 * time.Millisecond
	largestPutWait = 5 * time.Second
	// restShare bounds the part of the time that writing takes, as a divisor,
	// and longestRest what a write waits for that.
	restShare   = 8
	longestRest = 250 * time.Millisecond
)

func newReporter(b bucket.Bucket, heartbeat time.Duration, log *slog.Logger, snapshot func() job.Status) *reporter {
	return &reporter{
		bucket: b, log: log, pace: b.Describe().Pace, heartbeat: heartbeat, snapshot: snapshot,
		changed: make(chan struct{}, 1), progress: make(chan struct{}),
	}
}

// mark says that something has changed. It never blocks.
func (r *reporter) mark() {
	r.mu.Lock()
	r.wanted++
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// flush waits until everything that was marked before is in the bucket.
func (r *reporter) flush(ctx context.Context) error {
	r.mu.Lock()
	target := r.wanted
	for r.delivered < target {
		progress := r.progress
		r.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
		r.mu.Lock()
	}
	r.mu.Unlock()
	return nil
}

// run writes until ctx ends.
func (r *reporter) run(ctx context.Context) {
	var last time.Time
	var took time.Duration
	beat := time.NewTimer(r.heartbeat)
	defer beat.Stop()
	for failures := 0; ctx.Err() == nil; {
		if failures == 0 {
			select {
			case <-r.changed:
			case <-beat.C:
			case <-ctx.Done():
				return
			}
		}
		if !last.IsZero() && !sleep(ctx, max(r.pace, took*restShare)-time.Since(last)) {
			return
		}
		last = time.Now()
		err := r.write(ctx)
		took = min(time.Since(last), longestRest/restShare)
		if err != nil {
			failures++
			if failures&(failures-1) == 0 && ctx.Err() == nil {
				r.log.Warn("the status could not be written; it will be, when the bucket can be reached", "failures", failures, "error", err)
			}
			pause := min(firstPutPause<<min(failures, 10), largestPutWait)
			sleep(ctx, pause/2+rand.N(pause/2))
			continue
		}
		failures = 0
		beat.Reset(r.heartbeat)
	}
}

// write writes the status as it is now.
func (r *reporter) write(ctx context.Context) error {
	select {
	case <-r.changed: // before wanted is read, so that no change falls between
	default:
	}
	r.mu.Lock()
	covers := r.wanted
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	written, err := store.WriteStatus(ctx, r.bucket, r.snapshot(), r.version)
	if err != nil {
		return err
	}
	r.version = written.Version
	r.mu.Lock()
	defer r.mu.Unlock()
	if covers > r.delivered {
		r.delivered = covers
		close(r.progress)
		r.progress = make(chan struct{})
	}
	return nil
}

// sleep waits, and is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
