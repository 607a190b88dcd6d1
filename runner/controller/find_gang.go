package controller

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// round is a save that nodes of a gang have made together.
type round struct {
	attempt int
	number  int64
}

func (r round) compare(o round) int {
	return cmp.Or(cmp.Compare(r.attempt, o.attempt), cmp.Compare(r.number, o.number))
}

// findGang looks for the newest round of which every node has a whole
// checkpoint, of each series, and commits the gang manifest that lists them.
func (a *applier) findGang(action *plan.ActionFind) error {
	found := plan.FoundCheckpoint{Task: action.Task, Index: action.Index, Attempt: action.Attempt}
	manifest := store.GangManifest{Task: action.Task, Index: action.Index}
	nodes := make([]*job.CheckpointRef, action.Nodes)
	for _, name := range append([]string{""}, action.Names...) {
		at, refs, damaged, err := a.newestRound(action, name)
		if err != nil {
			return err
		}
		found.Damaged = append(found.Damaged, damaged...)
		for n := range refs {
			nodes[n] = nodes[n].With(name, refs[n])
		}
		if at.compare(round{manifest.Attempt, manifest.Round}) > 0 {
			manifest.Attempt, manifest.Round = at.attempt, at.number
		}
	}
	if nodes[0] != nil {
		for _, node := range nodes {
			manifest.Nodes = append(manifest.Nodes, *node)
		}
		ref, err := store.CommitGang(a.ctx, a.b, a.run, manifest)
		if err != nil {
			return fmt.Errorf("committing the gang manifest of %s[%d]: %w", action.Task, action.Index, err)
		}
		found.Checkpoint, found.Nodes = ref, manifest.Nodes
	}
	a.inbox.put(func(i *inbox) { i.facts.Found = append(i.facts.Found, found) })
	return nil
}

// newestRound is the newest round of a series that all nodes have whole; nil
// when there is none.
func (a *applier) newestRound(action *plan.ActionFind, name string) (round, []job.CheckpointRef, []string, error) {
	engine := checkpointing.Open(&passingOver{Bucket: a.b, keys: action.Exclude})
	saves := map[round][]checkpointing.Ref{} // by node, with the newest of a round
	for node := range action.Nodes {
		refs, err := engine.List(a.ctx, store.SeriesPrefix(a.run, action.Task, action.Index, node, name))
		if err != nil {
			return round{}, nil, nil, err
		}
		for _, ref := range refs {
			at := round{ref.ID.Attempt, job.GangRound(ref.ID.Sequence)}
			if saves[at] == nil {
				saves[at] = make([]checkpointing.Ref, action.Nodes)
			}
			saves[at][node] = ref // the listing has the later incarnations last
		}
	}
	var rounds []round
	for at, refs := range saves {
		if !slices.ContainsFunc(refs, func(ref checkpointing.Ref) bool { return ref.Key == "" }) {
			rounds = append(rounds, at)
		}
	}
	slices.SortFunc(rounds, func(a, b round) int { return b.compare(a) })
	var damaged []string
	for _, at := range rounds {
		whole, bad, err := a.wholeRound(engine, saves[at])
		if err != nil {
			return round{}, nil, nil, err
		}
		if bad == "" {
			return at, whole, damaged, nil
		}
		a.log.Warn("a checkpoint is damaged", "task", action.Task, "index", action.Index, "checkpoint", bad)
		damaged = append(damaged, bad)
	}
	return round{}, nil, damaged, nil
}

// wholeRound looks whether every node's checkpoint is whole; bad is the key of
// the first that is not.
func (a *applier) wholeRound(engine checkpointing.Engine, refs []checkpointing.Ref) (whole []job.CheckpointRef, bad string, err error) {
	for _, ref := range refs {
		full, err := checkpointing.Whole(a.ctx, engine, ref)
		switch {
		case err == nil:
			whole = append(whole, *store.CheckpointRef(full))
		case errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeMissing}),
			errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeCorrupt}),
			errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeUnsafe}):
			return nil, ref.Key, nil
		default:
			return nil, "", err
		}
	}
	return whole, "", nil
}
