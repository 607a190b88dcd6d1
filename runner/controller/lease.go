package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// defaultLease is for a specification that says nothing.
const defaultLease = 15 * time.Second

// errExpired: the lease could not be renewed in time and is not trusted any
// more. Nobody else is known to have it.
var errExpired = errors.New("the lease expired before it could be renewed")

// ErrHeld: another controller has the run.
var ErrHeld = errors.New("another controller has the run")

// HeldError is ErrHeld with who has it.
type HeldError struct {
	Run    string
	Holder store.Holder
}

func (e *HeldError) Error() string {
	name := ""
	if e.Holder.Name != "" {
		name = " (" + e.Holder.Name + ")"
	}
	return fmt.Sprintf("run %s is controlled by process %d on %s%s: end that one, or watch the run with spotrelay status", e.Run, e.Holder.PID, e.Holder.Host, name)
}

// Is makes errors.Is(err, ErrHeld) work.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

func leaseDuration(spec *job.Spec) time.Duration {
	if d := spec.Timing.Lease.D(); d > 0 {
		return d
	}
	return defaultLease
}

// leaser takes a run's lease.
type leaser struct {
	b        bucket.Bucket
	run      string
	duration time.Duration
	holder   store.Holder
	wait     bool
	log      *slog.Logger
}

// acquire takes the lease: at once when nobody has it, it was released or its
// holder is provably dead on this host; otherwise when it was seen to stand
// still for its duration, by this machine's monotonic clock.
func (l *leaser) acquire(ctx context.Context) (*tenancy, error) {
	watch := leaseWatch{}
	for {
		found, object, err := store.ReadLease(ctx, l.b, l.run)
		var free bool
		switch {
		case errors.Is(err, bucket.ErrNotFound):
			found, object, free = store.Lease{}, bucket.Object{}, true
		case err != nil:
			return nil, err
		default:
			free = found.Released || dead(found.Holder, l.holder) || watch.stood(found)
		}
		if free {
			held, err := l.take(ctx, found, object.Version)
			if !errors.Is(err, store.ErrLost) {
				return held, err
			}
			continue // somebody was faster: look at who
		}
		if watch.moved && !l.wait {
			return nil, &HeldError{Run: l.run, Holder: found.Holder}
		}
		if err := sleep(ctx, max(found.Duration.D()/10, 10*time.Millisecond)); err != nil {
			return nil, err
		}
	}
}

// take writes the lease over what was found. Trust begins with the start of
// the attempt, since the others count from when they see it, which is later.
func (l *leaser) take(ctx context.Context, found store.Lease, version string) (*tenancy, error) {
	lease := store.Lease{
		Epoch: found.Epoch + 1, Counter: found.Counter + 1,
		Duration: job.Duration(l.duration), Holder: l.holder,
	}
	lease.Holder.ID = rand.Text()
	began := time.Now()
	object, err := store.SwapLease(ctx, l.b, l.run, lease, version)
	if err != nil {
		return nil, err
	}
	l.log.Info("took the lease", "epoch", lease.Epoch, "before", found.Holder.Name)
	return startTenancy(ctx, l.b, l.run, lease, object, began), nil
}

// leaseWatch sees whether a lease moves.
type leaseWatch struct {
	seen  bool
	moved bool
	lease store.Lease
	since time.Time
}

// stood reports whether the lease has not moved for its whole duration.
func (w *leaseWatch) stood(lease store.Lease) bool {
	if !w.seen || lease != w.lease {
		w.moved = w.seen
		w.seen, w.lease, w.since = true, lease, time.Now()
		return false
	}
	return time.Since(w.since) >= lease.Duration.D()
}

// tenancy is a lease that is held and renewed. Its context ends when it is not
// to be trusted any more, with errExpired or store.ErrLost as its cause.
type tenancy struct {
	b     bucket.Bucket
	run   string
	epoch int64
	taken bucket.Object // when it was taken

	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}

	mu      sync.Mutex
	lease   store.Lease
	version string
	until   time.Time // trusted until then
}

func startTenancy(ctx context.Context, b bucket.Bucket, run string, lease store.Lease, object bucket.Object, began time.Time) *tenancy {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &tenancy{
		b: b, run: run, epoch: lease.Epoch, taken: object,
		ctx: ctx, cancel: cancel, done: make(chan struct{}),
		lease: lease, version: object.Version,
	}
	t.until = trustUntil(began, lease.Duration.D())
	go t.keep()
	return t
}

// trustUntil leaves a tenth of the duration as a margin, for clocks that run at
// different speeds and writes that are on their way.
func trustUntil(began time.Time, duration time.Duration) time.Time {
	return began.Add(duration - duration/10)
}

// trusted is nil while the lease may be acted on.
func (t *tenancy) trusted() error {
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !time.Now().Before(t.until) {
		t.cancel(errExpired)
		return errExpired
	}
	return nil
}

// keep renews the lease at a third of its duration, and more often when that
// fails, until its context ends.
func (t *tenancy) keep() {
	defer close(t.done)
	duration := t.lease.Duration.D()
	pause := duration / 3
	expiry := time.AfterFunc(time.Until(t.until), func() { t.cancel(errExpired) })
	defer expiry.Stop()
	for sleep(t.ctx, pause) == nil {
		err := t.renew()
		switch {
		case err == nil:
			pause = duration / 3
			expiry.Reset(time.Until(t.until))
		case errors.Is(err, store.ErrLost):
			t.cancel(err)
		default:
			pause = max(duration/20, 10*time.Millisecond)
		}
	}
}

// renew raises the counter. A write whose outcome is unknown is settled by the
// next one: it has the same content, and so finds it there or writes it.
func (t *tenancy) renew() error {
	t.mu.Lock()
	next, version := t.lease, t.version
	t.mu.Unlock()
	next.Counter++
	ctx, cancel := context.WithDeadline(t.ctx, t.until)
	defer cancel()
	began := time.Now()
	object, err := store.SwapLease(ctx, t.b, t.run, next, version)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lease, t.version, t.until = next, object.Version, trustUntil(began, next.Duration.D())
	return nil
}

// adopt writes over a lease that is another one than was known, if it is still
// ours: by a renewal that took place though its answer was lost.
func (t *tenancy) adopt(ctx context.Context, next store.Lease, lost error) (bucket.Object, error) {
	found, object, err := store.ReadLease(ctx, t.b, t.run)
	if err != nil {
		return bucket.Object{}, err
	}
	if found.Epoch != t.epoch || found.Holder != next.Holder {
		return bucket.Object{}, lost
	}
	return store.SwapLease(ctx, t.b, t.run, next, object.Version)
}

// end stops the renewals and gives the lease up, if it is still ours. The
// object stays, so that epochs only rise.
func (t *tenancy) end(ctx context.Context, log *slog.Logger) {
	lost := errors.Is(context.Cause(t.ctx), store.ErrLost)
	t.cancel(context.Canceled)
	<-t.done
	if lost {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	released := t.lease
	released.Counter++
	released.Released = true
	_, err := store.SwapLease(ctx, t.b, t.run, released, t.version)
	if errors.Is(err, store.ErrLost) {
		_, err = t.adopt(ctx, released, err)
	}
	if err != nil {
		log.Warn("the lease could not be released; it expires by itself", "error", err)
	}
}

// holder is who holds it, as the lease says.
func (t *tenancy) holder() store.Holder {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lease.Holder
}
