package sim

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// requests counts what is asked of a bucket, as S3 and GCS bill it.
type requests struct {
	puts, gets, lists atomic.Int64 // lists by the page of a thousand
}

// dollars is their price on S3 Standard in us-east-1 and on GCS Standard in a
// region, which is the same: 0.005 for a thousand writes or pages of a listing,
// 0.0004 for a thousand reads (aws.amazon.com/s3/pricing,
// cloud.google.com/storage/pricing, 2026).
func (r *requests) dollars() float64 {
	return float64(r.puts.Load()+r.lists.Load())*5e-6 + float64(r.gets.Load())*4e-7
}

func (r *requests) all() int64 { return r.puts.Load() + r.gets.Load() + r.lists.Load() }

// worker does what an agent does to the bucket, and runs nothing: for runs so
// large that real agents would not fit in one process. It is woken when its
// desired document is written instead of looking again and again, and counts
// the looks that it would have made.
type worker struct {
	b        bucket.Bucket
	m        *machine
	config   bootstrap.Config
	count    *requests
	woken    <-chan struct{}
	duration func(job.AttemptID) time.Duration

	status  job.Status
	version string
	running map[job.AttemptID]time.Time // till when
	known   map[job.AttemptID]bool
}

// work lives until the machine ends, and ends it when the controller says so.
func (k *worker) work(ctx context.Context, leave func()) {
	k.status = job.Status{Run: k.config.Run, Instance: k.m.ID, Boot: k.m.ID, Phase: job.PhaseReady}
	k.running, k.known = map[job.AttemptID]time.Time{}, map[job.AttemptID]bool{}
	poll, beat := k.config.Timing.Poll.D(), k.config.Timing.Heartbeat.D()
	last := time.Now()
	k.write(ctx)
	for ctx.Err() == nil {
		next := last.Add(beat)
		for _, until := range k.running {
			if until.Before(next) {
				next = until
			}
		}
		began := time.Now()
		timer := time.NewTimer(max(time.Until(next), 0))
		changed := false
		select {
		case <-ctx.Done():
		case <-k.woken:
			// It is seen at the next look, half an interval later as a rule.
			timer.Reset(poll / 2)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			changed = k.take(ctx)
		case <-timer.C:
		}
		timer.Stop()
		k.count.gets.Add(int64(time.Since(began)/poll) + 1)
		changed = k.finish() || changed
		if ctx.Err() == nil && (changed || time.Since(last) >= beat) {
			k.write(ctx)
			last = time.Now()
		}
		if k.status.Phase == job.PhaseLeaving {
			leave()
			return
		}
	}
}

func (k *worker) write(ctx context.Context) {
	k.status.Beat++
	k.status.Running = k.status.Running[:0]
	for id := range k.running {
		k.status.Running = append(k.status.Running, job.AttemptStatus{AttemptID: id, Step: job.StepRunning})
	}
	k.count.puts.Add(1)
	object, err := store.WriteStatus(ctx, k.b, k.status, k.version)
	if err == nil { // the bucket of these runs does not fail
		k.version = object.Version
	}
}

// take reconciles with the desired document.
func (k *worker) take(ctx context.Context) bool {
	k.count.gets.Add(1)
	desired, _, err := store.ReadDesired(ctx, k.b, k.config.Run, k.m.ID)
	if err != nil || !store.DesiredLess(job.Desired{Epoch: k.status.Epoch, Sequence: k.status.Sequence}, desired) {
		return false
	}
	k.status.Epoch, k.status.Sequence = desired.Epoch, desired.Sequence
	k.status.Ended = slices.DeleteFunc(k.status.Ended, func(e job.AttemptEnd) bool {
		return slices.Contains(desired.Acknowledged, e.AttemptID)
	})
	for _, assigned := range desired.Attempts {
		if !k.known[assigned.AttemptID] {
			k.known[assigned.AttemptID] = true
			k.running[assigned.AttemptID] = time.Now().Add(k.duration(assigned.AttemptID))
		}
	}
	if desired.Leave && len(k.running) == 0 {
		k.status.Phase, k.status.Reason = job.PhaseLeaving, "the controller said so"
	}
	return true
}

// finish ends what has run its time.
func (k *worker) finish() (changed bool) {
	now := time.Now()
	for id, until := range k.running {
		if now.Before(until) {
			continue
		}
		delete(k.running, id)
		k.status.Ended = append(k.status.Ended, job.AttemptEnd{
			AttemptID: id, Started: now, Ended: now, Elapsed: job.Duration(time.Minute), Step: job.StepCommitting, Exited: true, Committed: true,
		})
		changed = true
	}
	return changed
}

// endsItself is how a worker leaves.
func (c *cloud) endsItself(m *machine) func() {
	return func() { c.over(m, providers.EndFromInside) }
}
