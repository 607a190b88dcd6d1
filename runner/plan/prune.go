package plan

import (
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// prune reports whether every task's checkpoints are as the job file has them
// for the end of the run, and asks for it where they are not.
func (t *tick) prune() bool {
	done := true
	for i := range t.Spec.Tasks {
		action := t.pruneOf(i)
		if action == nil {
			continue
		}
		done = false
		if !t.work.pruning[i] {
			t.work.pruning[i] = true
			t.act(Action{Prune: action})
		}
	}
	return done
}

// pruneOf is what is to be removed of a task; nil: nothing, or it has been.
func (t *tick) pruneOf(i int) *ActionPrune {
	task, state := &t.Spec.Tasks[i], &t.Tasks[i]
	if state.Pruned {
		return nil
	}
	action := &ActionPrune{Task: task.Name, Gang: task.IsGang(), AtEnd: map[string]job.AtEnd{}}
	for _, c := range task.Execution.Checkpoints() {
		if c.AtEnd == job.AtEndKeepLast || c.AtEnd == job.AtEndRemove {
			action.AtEnd[c.Name] = c.AtEnd
		}
	}
	if len(action.AtEnd) == 0 {
		return nil
	}
	ran := false
	for j := range state.Indexes {
		x := &state.Indexes[j]
		ran = ran || x.Next > 0 || x.Checkpoint != nil
		if x.Phase != IndexSucceeded {
			action.Unfinished = append(action.Unfinished, j)
		}
		action.Bad = append(action.Bad, x.Bad...)
	}
	if !ran {
		return nil
	}
	slices.Sort(action.Bad)
	return action
}

// pruned takes in that a task's checkpoints are as they shall be.
func (t *tick) pruned(a PruneAnswer) {
	i, ok := t.work.task[a.Task]
	if !ok || t.Tasks[i].Pruned || t.Outcome == "" || t.Closed {
		return
	}
	t.emit(Event{CheckpointsPruned: &CheckpointsPruned{Task: a.Task, Kept: a.Kept, Removed: a.Removed, Fault: a.Fault}})
}
