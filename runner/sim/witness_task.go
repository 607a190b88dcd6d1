package sim

import (
	"errors"
	"fmt"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// started sees a task begin, whatever any document says.
func (v *witness) started(id job.AttemptID, m *machine) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ran[id] {
		v.w.violated("once: attempt %v began twice", id)
	}
	v.ran[id] = true
	// What an agent starts was journalled as assigned to its machine.
	x, _ := v.index(id)
	if x == nil || x.Next < id.Attempt {
		v.w.violated("lease: %v began on %s, which no journal assigned", id, m.ID)
	}
	if v.success[nameOf(id)] > 0 {
		v.w.tell("%v begins though its index has succeeded; its end will not count", id)
	}
}

// resumed sees what a task went on from: never less than an attempt before it
// went on from.
func (v *witness) resumed(id job.AttemptID, epochs int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	name := nameOf(id)
	if x, _ := v.index(id); epochs < v.progress[name] && x != nil && len(x.Bad) == 0 {
		v.w.violated("checkpoint: %v went on from epoch %d, and one before it from epoch %d", id, epochs, v.progress[name])
	}
	v.progress[name] = max(v.progress[name], epochs)
}

// finished sees a task reach its end.
func (v *witness) finished(id job.AttemptID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done[id] = true
}

// finally looks at a run that is closed, by what lies in the bucket.
func (v *witness) finally() {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.w
	state, at, err := store.LoadRun(w.ctx, w.bucket, w.spec.Run)
	if err != nil {
		w.violated("journal: %v", err)
		return
	}
	if !state.Closed || at.Seq != v.last.Seq {
		w.violated("journal: the run is read as closed %t at entry %d of %d", state.Closed, at.Seq, v.last.Seq)
	}
	failed := 0
	for i := range state.Tasks {
		for j := range state.Tasks[i].Indexes {
			x := &state.Tasks[i].Indexes[j]
			name := fmt.Sprint(w.spec.Tasks[i].Name, "/", j)
			switch {
			case x.Phase == plan.IndexSucceeded && v.success[name] == 1:
			case x.Phase == plan.IndexSucceeded:
				w.violated("once: %s succeeded, and was committed %d times", name, v.success[name])
			case x.Reason == "":
				w.violated("verdict: %s ended as %s for no reason", name, x.Phase)
			default:
				failed++
			}
		}
	}
	if failed == 0 && state.Outcome != plan.OutcomeSucceeded {
		w.violated("the run ended as %s, and every index succeeded", state.Outcome)
	}
	v.verify()
}

// verify: every checkpoint and output that was committed is whole.
func (v *witness) verify() {
	w := v.w
	engine := checkpointing.Open(w.bucket)
	for key, err := range store.Roots(w.ctx, w.bucket) {
		if err != nil {
			w.violated("checkpoint: %v", err)
			return
		}
		result, err := engine.Verify(w.ctx, checkpointing.Ref{Key: key}, checkpointing.VerifyOptions{})
		if err = errors.Join(err, errors.Join(result.Damaged...)); err != nil {
			w.violated("checkpoint: %s is not whole: %v", key, err)
		}
	}
}
