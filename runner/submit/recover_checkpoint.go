package submit

import (
	"cmp"
	"context"
	"slices"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// checkpoints takes over the newest whole checkpoint of each series of an
// index.
func (r *recovering) checkpoints(ctx context.Context, one *taking) error {
	var found *job.CheckpointRef
	for _, c := range one.task.Execution.Checkpoints() {
		ref, err := r.newest(ctx, one, c.Name)
		if err != nil {
			return err
		}
		if ref != nil {
			found = found.With(c.Name, *store.CheckpointRef(*ref))
		}
	}
	if found != nil {
		one.taken = &job.Taken{Task: one.task.Name, Index: one.index, Checkpoint: found}
	}
	return nil
}

// round is a checkpoint of a series; of a gang those that its nodes saved
// together.
type round struct {
	attempt int
	number  int64
	nodes   []checkpointing.Ref // by node
}

// newest copies the newest checkpoint of a series that is whole, of a gang the
// newest round that all nodes have whole, and gives that of the first node;
// nil: there is none. One that could not be restored is none.
func (r *recovering) newest(ctx context.Context, one *taking, name string) (*checkpointing.Ref, error) {
	rounds, err := r.rounds(ctx, one, name)
	if err != nil {
		return nil, err
	}
	for _, found := range rounds {
		first, err := r.copyRound(ctx, one, name, found)
		switch {
		case err == nil:
			return first, nil
		case !damaged(err):
			return nil, err
		}
		one.passed = append(one.passed, "a checkpoint is damaged and passed over: "+err.Error())
	}
	return nil, nil
}

// rounds are those that all nodes have, the newest first.
func (r *recovering) rounds(ctx context.Context, one *taking, name string) ([]round, error) {
	nodes := max(one.task.Nodes, 1)
	byNumber := map[[2]int64]*round{}
	for node := range nodes {
		refs, err := checkpointing.Open(r.b).List(ctx, store.SeriesPrefix(r.state.Spec.Run, one.task.Name, one.index, node, name))
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			if slices.Contains(one.x.Bad, ref.Key) {
				continue
			}
			number := ref.ID.Sequence
			if nodes > 1 {
				number = job.GangRound(number)
			}
			key := [2]int64{int64(ref.ID.Attempt), number}
			if byNumber[key] == nil {
				byNumber[key] = &round{attempt: ref.ID.Attempt, number: number, nodes: make([]checkpointing.Ref, nodes)}
			}
			byNumber[key].nodes[node] = ref // the listing has a node's later instances last
		}
	}
	var whole []round
	for _, found := range byNumber {
		if !slices.ContainsFunc(found.nodes, func(ref checkpointing.Ref) bool { return ref.Key == "" }) {
			whole = append(whole, *found)
		}
	}
	slices.SortFunc(whole, func(a, b round) int {
		return cmp.Or(cmp.Compare(b.attempt, a.attempt), cmp.Compare(b.number, a.number))
	})
	return whole, nil
}

// copyRound copies the checkpoints of a round, as ones of attempt 0.
func (r *recovering) copyRound(ctx context.Context, one *taking, name string, from round) (*checkpointing.Ref, error) {
	var first *checkpointing.Ref
	for node, source := range from.nodes {
		id := checkpointing.ID{Sequence: source.ID.Sequence}
		key := store.SeriesPrefix(r.to, one.task.Name, one.index, node, name) + checkpointing.ManifestName(id)
		ref, err := checkpointing.CopyCheckpoint(ctx, r.b, source, key, id)
		if err != nil {
			return nil, err
		}
		if node == 0 {
			first = &ref
		}
	}
	return first, nil
}
