package controller

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// find looks for the newest whole checkpoint of an index, of each of its series.
// Damaged ones are passed over and named.
func (a *applier) find(action *plan.ActionFind) error {
	if !a.acquire(a.writes) {
		return a.ctx.Err()
	}
	defer func() { <-a.writes }()
	if action.Nodes > 0 {
		return a.findGang(action)
	}
	visible := &passingOver{Bucket: a.b, keys: action.Exclude}
	engine := checkpointing.Open(visible)
	found := plan.FoundCheckpoint{Task: action.Task, Index: action.Index, Attempt: action.Attempt}
	for _, name := range append([]string{""}, action.Names...) {
		ref, damaged, err := checkpointing.Newest(a.ctx, engine, store.SeriesPrefix(a.run, action.Task, action.Index, 0, name))
		switch {
		case err == nil:
			found.Checkpoint = found.Checkpoint.With(name, *store.CheckpointRef(ref))
		case errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeMissing}),
			errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeCorrupt}):
			// None, or none that is whole.
		default:
			return err
		}
		for _, d := range damaged {
			a.log.Warn("a checkpoint is damaged", "task", action.Task, "index", action.Index, "checkpoint", d.Ref.Key, "error", d.Err)
			found.Damaged = append(found.Damaged, d.Ref.Key)
		}
	}
	a.inbox.put(func(i *inbox) { i.facts.Found = append(i.facts.Found, found) })
	return nil
}

// passingOver is a bucket whose listings leave some keys out.
type passingOver struct {
	bucket.Bucket
	keys []string
}

func (p *passingOver) List(ctx context.Context, prefix, startAfter string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		for object, err := range p.Bucket.List(ctx, prefix, startAfter) {
			if err == nil && slices.Contains(p.keys, object.Key) {
				continue
			}
			if !yield(object, err) {
				return
			}
		}
	}
}
