// Package watch follows a run through the bucket, as anybody may who can read
// it: the journal's events with their words, and what the instances say.
package watch

import (
	"context"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// Happening is one event of the journal with its words.
type Happening struct {
	Seq   int64 // of its entry
	Event plan.Event
	Line  narrate.Line
}

// Watcher follows one run. It is for one goroutine.
type Watcher struct {
	Bucket bucket.Bucket
	Run    string
	State  *plan.State
	At     store.Position

	teller   *narrate.Teller
	statuses statuses
}

// FromStart is a watcher that has seen nothing of a run. Errors as of
// store.ReadSpec.
func FromStart(ctx context.Context, b bucket.Bucket, run string) (*Watcher, error) {
	spec, err := store.ReadSpec(ctx, b, run)
	if err != nil {
		return nil, err
	}
	return newWatcher(b, run, plan.New(spec), store.Position{}), nil
}

// FromNow is a watcher that has seen all there is of a run. Errors as of
// store.LoadRun.
func FromNow(ctx context.Context, b bucket.Bucket, run string) (*Watcher, error) {
	state, at, err := store.LoadRun(ctx, b, run)
	if err != nil {
		return nil, err
	}
	return newWatcher(b, run, state, at), nil
}

func newWatcher(b bucket.Bucket, run string, state *plan.State, at store.Position) *Watcher {
	return &Watcher{Bucket: b, Run: run, State: state, At: at, teller: narrate.New(state)}
}

// CatchUp folds what was journalled since and calls happened for each event,
// with State as it was right after it. Errors as of store.LoadRun, and
// happened's. May be repeated.
func (w *Watcher) CatchUp(ctx context.Context, happened func(Happening) error) error {
	for entry, err := range store.ReadJournal(ctx, w.Bucket, w.Run, w.At.Seq) {
		if err != nil {
			return err
		}
		events := entry.Events
		for _, event := range events {
			w.teller.Before(event)
			w.State.Apply(event)
			if err := happened(Happening{Seq: entry.Seq, Event: event, Line: w.teller.Tell(event)}); err != nil {
				return err
			}
		}
		entry.Events = nil // applied one by one
		w.At.Fold(w.State, entry)
	}
	return nil
}
