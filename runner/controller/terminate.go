package controller

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	// terminateBatch is the most instances in one call.
	terminateBatch = 200
	// terminateAgain is how long an ending may take before it is asked for
	// again; it doubles up to terminateMax.
	terminateAgain = 10 * time.Second
	terminateMax   = 2 * time.Minute
)

// terminator ends a fleet's instances, those that are asked for together in
// one call, and asks again until a listing shows that they are gone and the
// planner has seen it.
type terminator struct {
	fleet *fleet
	wake  chan struct{}

	mu      sync.Mutex
	pending map[string]*ending
}

type ending struct {
	due    time.Time
	pause  time.Duration
	called time.Time // when it was last asked for with success
	absent bool      // a listing since then lacks it, or shows it terminated
}

func newTerminator(f *fleet) *terminator {
	return &terminator{fleet: f, wake: make(chan struct{}, 1), pending: map[string]*ending{}}
}

// end asks for an instance's end.
func (t *terminator) end(id string) {
	t.mu.Lock()
	if t.pending[id] == nil {
		t.pending[id] = &ending{due: time.Now(), pause: retryFirst}
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// listed learns from a whole listing that was asked for at a time.
func (t *terminator) listed(at time.Time, instances []providers.Instance) {
	alive := map[string]bool{}
	for _, instance := range instances {
		alive[instance.ID] = instance.State != providers.StateTerminated
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, e := range t.pending {
		e.absent = !e.called.IsZero() && at.After(e.called) && !alive[id]
	}
}

// settle drops what is gone, unless the planner still counts it.
func (t *terminator) settle(counted func(id string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.pending, func(id string, e *ending) bool { return e.absent && !counted(id) })
}

// work makes the calls, one at a time, until ctx ends.
func (t *terminator) work(ctx context.Context) {
	for ctx.Err() == nil {
		ids, rest := t.due()
		if len(ids) == 0 {
			timer := time.NewTimer(rest)
			select {
			case <-t.wake:
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
			timer.Stop()
			continue
		}
		err := t.call(ctx, ids)
		if len(ids) > 1 && oneOf(err) {
			for _, id := range ids {
				t.called(ctx, []string{id}, t.call(ctx, []string{id}))
			}
		} else {
			t.called(ctx, ids, err)
		}
		t.fleet.listSoon()
	}
}

// due is what to ask for now, or how long to rest.
func (t *terminator) due() (ids []string, rest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	rest = terminateMax
	for _, id := range slices.Sorted(maps.Keys(t.pending)) {
		if until := t.pending[id].due.Sub(now); until > 0 {
			rest = min(rest, until)
		} else if len(ids) < terminateBatch {
			ids = append(ids, id)
		}
	}
	return ids, rest
}

// oneOf reports whether an error may be about one of several instances, so
// that the others are better asked for apart.
func oneOf(err error) bool {
	switch providers.CodeOf(err) {
	case "", providers.CodeUnavailable, providers.CodeThrottled, providers.CodeDenied:
		return false
	}
	return true
}

func (t *terminator) call(ctx context.Context, ids []string) error {
	p, _, err := t.fleet.provider(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return p.Terminate(ctx, t.fleet.is(), ids)
}

// called notes the outcome of a call.
func (t *terminator) called(ctx context.Context, ids []string, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		t.fleet.log.Warn("instances could not be ended yet", "instances", ids, "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, id := range ids {
		e := t.pending[id]
		if e == nil {
			continue
		}
		if err == nil {
			e.called = now
			e.pause = max(terminateAgain, min(2*e.pause, terminateMax))
		} else {
			e.pause = max(asked(err), min(2*e.pause, retryMax))
		}
		e.due = now.Add(e.pause)
	}
}
