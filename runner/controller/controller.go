// Package controller carries a run to its end: it observes, lets the planner
// decide, journals the decision and then acts on it, over and over. One
// controller at a time owns a run, by its lease; whatever one leaves undone the
// next one, started anywhere, takes up from the bucket.
package controller

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// Providers gives providers by their names; a plugin manager is one.
type Providers interface {
	// Provider may be called at any time and repeatedly; what it gives goes on
	// working, or fails with *providers.Error, when the plugin behind it is
	// started again.
	Provider(ctx context.Context, name string) (providers.Provider, error)
}

// Options says what to control, and with what.
type Options struct {
	Bucket    bucket.Bucket
	Run       string
	Providers Providers
	Log       *slog.Logger // nil: none
	// Observe is called after each tick with the state, on the controller's
	// goroutine; it must not keep or change it. May be nil.
	Observe func(*plan.State)
	// Begins is called at the beginning of each tick, on the controller's
	// goroutine; may be nil.
	Begins func()
	// Name of the holder for people, such as user@host; "" is made up.
	Name string
	// Serving is the id of the serving controller that the run is controlled
	// for; "" when it is the only one here.
	Serving string
	// Happened is called with the events of each entry that was journalled, on
	// the controller's goroutine; it must not keep or change them. May be nil.
	Happened func([]plan.Event)
	// Wait for the lease while another controller lives, instead of ErrHeld.
	Wait bool
}

// Run controls a run until it is closed, which gives nil, or until ctx ends,
// which gives ctx's error: the lease is then released and the run left as it
// is, for another call to go on with. A lease that was lost for a while for
// want of a reachable bucket is taken again when nobody else has it.
//
// Errors: ErrPaused when the run is paused and all of it is given back;
// ErrHeld (a *HeldError) when another controller has the run,
// store.ErrLost when one took it over; bucket.ErrNotFound when there is no such
// run; store.ErrVersion and store.ErrCorrupt when its documents cannot be read.
// May be repeated.
func Run(ctx context.Context, opts Options) error {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.Log = opts.Log.With("run", opts.Run)
	spec, err := store.ReadSpec(ctx, opts.Bucket, opts.Run)
	if err != nil {
		return err
	}
	identity, err := bucket.Identify(ctx, opts.Bucket)
	if err != nil {
		return err
	}
	begin, closed, err := observeClosed(ctx, opts)
	if closed || err != nil {
		return err
	}
	holder := self(opts.Name)
	holder.Controller = opts.Serving
	leaser := &leaser{b: opts.Bucket, run: opts.Run, duration: leaseDuration(spec), holder: holder, wait: opts.Wait, log: opts.Log}
	read := time.Now()
	for controlled := false; ; {
		held, err := leaser.acquire(ctx)
		if err == nil {
			tenure := newTenure(opts, spec, identity.ID, held)
			if time.Since(read) < staleRead {
				tenure.state, tenure.at = begin.state, begin.at
			}
			begin = loaded{} // it is the tenure's from here on
			err = tenure.run(ctx)
			held.end(ctx, opts.Log)
			controlled = controlled || tenure.claimed()
		}
		// Whoever had the run and lost sight of the bucket tries again.
		if !errors.Is(err, errExpired) && !(controlled && passes(err)) || ctx.Err() != nil {
			return err
		}
		opts.Log.Warn("the run is out of control for now; taking its lease again", "error", err)
		if err := sleep(ctx, leaser.duration/10); err != nil {
			return err
		}
	}
}

// staleRead is how old the state may be that a tenure goes on reading from: much
// later there are snapshots that are newer.
const staleRead = 5 * time.Minute

// loaded is a run as it was read, to go on reading from; its state may be nil.
type loaded struct {
	state *plan.State
	at    store.Position
}

// observeClosed looks whether a run is over already, so that the lease need
// not be touched, and gives what it read of one that is not.
func observeClosed(ctx context.Context, opts Options) (begin loaded, closed bool, err error) {
	state, at, err := store.LoadRun(ctx, opts.Bucket, opts.Run)
	if err != nil || !state.Closed {
		return loaded{state, at}, false, err
	}
	if opts.Observe != nil {
		opts.Observe(state)
	}
	if err := store.UnmarkLive(ctx, opts.Bucket, opts.Run); err != nil { // as its last controller had no time to
		opts.Log.Warn("the mark of a run that is over could not be taken away", "error", err)
	}
	return loaded{}, true, nil
}

// passes: what may be over by itself.
func passes(err error) bool {
	return errors.Is(err, bucket.ErrUnavailable) || errors.Is(err, bucket.ErrFull)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
