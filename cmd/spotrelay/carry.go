package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/runner/controller"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// carrier carries a run to its end and shows it meanwhile: the controller on
// one side, a watcher of the bucket on the other. The watcher sees the same
// whether this process controls the run or another does.
type carrier struct {
	app       *app
	bucket    bucket.Bucket
	run       string
	providers controller.Providers
	watcher   *watch.Watcher
	show      display
	log       *slog.Logger
}

// display shows what happens. Its methods are called from one goroutine.
type display interface {
	// happened is called for each event, in order.
	happened(watch.Happening) error
	// warned is called with a warning.
	warned(text string) error
	// tick is called after each look at the bucket.
	tick(ctx context.Context, w *watch.Watcher) error
	// interrupted gives what the user wants done, nil for a display that
	// leaves interrupts to the process.
	choices() <-chan choice
	// close gives the terminal back; the last words come after it.
	close()
}

// choice is what a user wants on Ctrl-C.
type choice int

const (
	choiceLeave  choice = iota // leave it running, by a controller in the background
	choiceCancel               // cancel the run and see it to its end
	choiceQuit                 // leave at once
)

// errLeft: the user left, and the run is as it is.
var errLeft = errors.New("left")

// carry returns when the run is closed, the user leaves or something fails.
func (c *carrier) carry(ctx context.Context, interrupts <-chan struct{}) (err error) {
	warned, silence := c.app.warnings.show()
	defer func() {
		silence()
		c.show.close()
	}()
	controlCtx, stop := context.WithCancel(ctx)
	controlled := make(chan error, 1)
	go func() {
		controlled <- controller.Run(controlCtx, controller.Options{
			Bucket: c.bucket, Run: c.run, Providers: c.providers, Log: c.log, Name: whoAmI(), Wait: true,
		})
	}()
	finish := func() error {
		stop()
		return <-controlled
	}
	ticker := time.NewTicker(pollOf(c.bucket))
	defer ticker.Stop()
	for {
		select {
		case err := <-controlled:
			stop()
			if errors.Is(err, controller.ErrPaused) {
				return errors.Join(err, c.look(ctx))
			}
			if err != nil {
				return fmt.Errorf("controlling run %s: %w", c.run, err)
			}
			return c.look(ctx) // the last events
		case <-ticker.C:
			if err := c.look(ctx); err != nil {
				return errors.Join(err, ignoreCanceled(finish()))
			}
			if c.watcher.State.Closed { // by this controller or another
				return ignoreCanceled(finish())
			}
		case text := <-warned:
			if err := c.show.warned(text); err != nil {
				return errors.Join(err, ignoreCanceled(finish()))
			}
		case <-interrupts:
			return errors.Join(errLeft, ignoreCanceled(finish()))
		case choice := <-c.show.choices():
			if choice == choiceCancel {
				if err := c.cancel(ctx); err != nil {
					return errors.Join(err, ignoreCanceled(finish()))
				}
				continue
			}
			err := errors.Join(errLeft, ignoreCanceled(finish()))
			if choice == choiceLeave {
				err = errors.Join(err, c.app.startBackground(ctx, c.bucket.Describe().URL, c.run))
			}
			return err
		}
	}
}

func (c *carrier) cancel(ctx context.Context) error {
	return putRequest(ctx, c.bucket, c.run, plan.Request{Kind: plan.RequestCancel})
}

// look shows what is new in the bucket. A bucket that cannot be reached now is
// looked at again later.
func (c *carrier) look(ctx context.Context) error {
	err := c.watcher.CatchUp(ctx, c.show.happened)
	if err != nil && !errors.Is(err, bucket.ErrUnavailable) {
		return err
	}
	return c.show.tick(ctx, c.watcher)
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// resultOf is the exit code of a run that is closed.
func resultOf(state *plan.State) int {
	if state.Outcome == plan.OutcomeSucceeded {
		return exitSucceeded
	}
	return exitFailed
}
