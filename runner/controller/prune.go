package controller

import (
	"path"
	"slices"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// prune leaves of a task's checkpoints what shall stay after the run. What a
// bucket refuses for good is told and not tried for ever: the run is over, and
// more checkpoints than wanted do no harm.
func (a *applier) prune(action *plan.ActionPrune) error {
	if !a.acquire(a.writes) {
		return a.ctx.Err()
	}
	defer func() { <-a.writes }()
	answer := plan.PruneAnswer{Task: action.Task}
	err := a.pruneAll(action, &answer)
	switch {
	case err == nil:
	case a.ctx.Err() != nil, bucket.CodeOf(err) == bucket.CodeUnavailable:
		return err
	default:
		a.log.Warn("checkpoints could not be removed", "task", action.Task, "error", err)
		answer.Fault = err.Error()
	}
	a.inbox.put(func(i *inbox) { i.facts.Pruned = append(i.facts.Pruned, answer) })
	return nil
}

func (a *applier) pruneAll(action *plan.ActionPrune, answer *plan.PruneAnswer) error {
	engine := checkpointing.Open(a.b)
	refs, err := engine.List(a.ctx, store.RunPrefix(a.run)+"checkpoints/"+action.Task+"/")
	if err != nil {
		return err
	}
	series := map[string][]checkpointing.Ref{} // the newest last, as in the listing
	var order []string
	for _, ref := range refs {
		prefix := path.Dir(ref.Key) + "/"
		if series[prefix] == nil {
			order = append(order, prefix)
		}
		series[prefix] = append(series[prefix], ref)
	}
	for _, prefix := range order {
		removed, err := a.pruneSeries(engine, action, prefix, series[prefix])
		answer.Removed += removed
		answer.Kept += len(series[prefix]) - removed
		if err != nil {
			return err
		}
	}
	return nil
}

// pruneSeries is how many of a series were removed.
func (a *applier) pruneSeries(engine checkpointing.Engine, action *plan.ActionPrune, prefix string, refs []checkpointing.Ref) (int, error) {
	_, index, _, name, ok := store.SeriesOf(a.run, refs[0].Key)
	switch atEnd := action.AtEnd[name]; {
	case !ok:
		return 0, nil // not ours
	case action.Gang && slices.Contains(action.Unfinished, index):
		return 0, nil
	case atEnd == job.AtEndRemove && !slices.Contains(action.Unfinished, index):
		return a.removeAll(refs)
	case atEnd != job.AtEndRemove && atEnd != job.AtEndKeepLast, len(refs) == 1:
		return 0, nil
	}
	result, err := engine.Prune(a.ctx, checkpointing.PruneOptions{
		Prefix: prefix, Keep: checkpointing.Retention{Last: 1}, Pinned: newestGood(refs, action.Bad),
	})
	return len(result.Removed), err
}

// newestGood is the newest one that was not found to be damaged.
func newestGood(refs []checkpointing.Ref, bad []string) []string {
	for _, ref := range slices.Backward(refs) {
		if !slices.Contains(bad, ref.Key) {
			return []string{ref.Key}
		}
	}
	return nil
}

func (a *applier) removeAll(refs []checkpointing.Ref) (removed int, err error) {
	for _, ref := range refs {
		if err := a.b.Delete(a.ctx, ref.Key); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
