package checkpointing

import (
	"context"
	"sync"

	"golang.org/x/time/rate"
)

// reporter calls a Progress function from one goroutine, with the newest
// state, however many goroutines make progress.
type reporter struct {
	call    func(Progress)
	mu      sync.Mutex
	state   Progress
	changed chan struct{}
	done    chan struct{}
}

func newReporter(call func(Progress)) *reporter {
	r := &reporter{call: call}
	if call == nil {
		return r
	}
	r.changed = make(chan struct{}, 1)
	r.done = make(chan struct{})
	go r.run()
	return r
}

func (r *reporter) run() {
	defer close(r.done)
	for range r.changed {
		r.call(r.snapshot())
	}
}

func (r *reporter) snapshot() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// update changes the state and wakes the caller of the function.
func (r *reporter) update(change func(*Progress)) {
	if r.call == nil {
		return
	}
	r.mu.Lock()
	change(&r.state)
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default: // it will see this state too
	}
}

// shared counts bytes that need not be sent.
func (r *reporter) shared(n int64) {
	r.update(func(p *Progress) { p.BytesShared += n })
}

func (r *reporter) stage(stage Stage) {
	r.update(func(p *Progress) { p.Stage = stage })
}

// stop waits until the last state was reported. No update may come after.
func (r *reporter) stop() {
	if r.call == nil {
		return
	}
	close(r.changed)
	<-r.done
}

const (
	maxBurst = 64 << 10
	minBurst = 4 << 10
)

// newLimiter bounds bytes a second; nil when it is unbounded.
func newLimiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	burst := min(max(int(bytesPerSecond/16), minBurst), maxBurst)
	return rate.NewLimiter(rate.Limit(bytesPerSecond), burst)
}

// pace waits until n bytes may pass.
func pace(ctx context.Context, limiter *rate.Limiter, n int) error {
	if limiter == nil {
		return nil
	}
	for n > 0 {
		step := min(n, limiter.Burst())
		if err := limiter.WaitN(ctx, step); err != nil {
			return err
		}
		n -= step
	}
	return nil
}
