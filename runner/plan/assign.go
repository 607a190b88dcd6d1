package plan

import (
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/runner/job"
)

// assign gives ready indexes to instances with room, by the tasks' priority, in
// task order and then in index order.
func (t *tick) assign() {
	if t.over() || t.stands() || t.nearCap() {
		return
	}
	for _, g := range t.groupsInOrder() {
		if g.nodes > 1 {
			t.placeGangs(g)
			continue
		}
		// Last attempts first, so that nothing else takes what was rented for
		// them; then spot work on spot, and on on-demand instances that are
		// there already and have nothing else to do.
		t.place(g, onDemand, onDemand)
		t.place(g, onSpot, onSpot)
		t.place(g, onSpot, onDemand)
		t.placeAhead(g, onDemand, onDemand)
		t.placeAhead(g, onSpot, onSpot)
		t.placeAhead(g, onSpot, onDemand)
	}
}

// place gives the queued work of one side to the instances of another.
func (t *tick) place(g *group, from, to int) {
	queue, free := &g.sides[from], g.sides[to].free
	if queue.queue.empty() || len(free) == 0 {
		return
	}
	for _, id := range sortedKeys(free) {
		for room := free[id]; room > 0; room-- {
			r, ok := t.takeReady(queue, from)
			if !ok {
				return
			}
			t.assignTo(r, t.Instances[id], from == onDemand, false)
		}
	}
}

// takeReady is the next index of a queue that still waits there.
func (t *tick) takeReady(a *side, number int) (ref, bool) {
	for {
		r, ok := a.queue.take(t.mayBegin)
		if !ok {
			return ref{}, false
		}
		if t.at(r).queued != int8(queuedSide+number) {
			continue
		}
		if f := t.work.finds[r]; f != nil && !f.answered {
			continue // the answer puts it back
		}
		return r, true
	}
}

// assignTo gives an index's next attempt to an instance, where it may wait for
// a slot.
func (t *tick) assignTo(r ref, inst *Instance, final, ahead bool) {
	a := &AttemptAssigned{
		AttemptID: job.AttemptID{Task: t.Spec.Tasks[r.task].Name, Index: int(r.index), Attempt: t.at(r).Next + 1},
		Instance:  inst.ID,
		Final:     final,
		Ahead:     ahead,
	}
	if f := t.work.finds[r]; f != nil {
		a.Restore, a.Damaged = f.checkpoint, f.damaged
	}
	t.emit(Event{AttemptAssigned: a})
}

// found takes in which checkpoint an index's next attempt goes on from. An
// answer to an earlier question is passed over.
func (t *tick) found(a FoundCheckpoint) {
	r, ok := t.locate(a.Task, a.Index)
	if !ok {
		return
	}
	f := t.work.finds[r]
	if f == nil || f.answered || a.Attempt != 0 && a.Attempt != f.attempt {
		return
	}
	if slices.ContainsFunc(a.keys(), func(key string) bool { return slices.Contains(t.at(r).Bad, key) }) {
		t.work.newFinds = append(t.work.newFinds, r)
		return
	}
	f.answered, f.checkpoint, f.damaged, f.nodes = true, a.Checkpoint, a.Damaged, a.Nodes
	if x := t.at(r); x.queued != notQueued {
		t.groupOf(r).sides[x.queued-queuedSide].queue.put(r)
	}
}

// ask emits the questions for checkpoints: new ones, or, at the first tick of
// a tenure, all that are open.
func (t *tick) ask(all bool) {
	refs := t.work.newFinds
	if all {
		refs = refs[:0]
		for r, f := range t.work.finds {
			if !f.answered {
				refs = append(refs, r)
			}
		}
	}
	slices.SortFunc(refs, func(a, b ref) int {
		if a.less(b) {
			return -1
		}
		return 1
	})
	for _, r := range slices.Compact(refs) {
		if f := t.work.finds[r]; f != nil && !f.answered {
			task := &t.Spec.Tasks[r.task]
			t.act(Action{Find: &ActionFind{
				Task: task.Name, Index: int(r.index), Names: seriesOf(task), Exclude: t.at(r).Bad, Nodes: gangNodes(task), Attempt: f.attempt}})
		}
	}
	t.work.newFinds = nil
}

// seriesOf are the names of a task's further checkpoints.
func seriesOf(task *job.Task) []string {
	var names []string
	for i := range task.Execution.Further {
		names = append(names, task.Execution.Further[i].Name)
	}
	return names
}

// desire writes the desired document of every instance for which something
// changed.
func (t *tick) desire() {
	for _, id := range sortedKeys(t.work.dirty) {
		if inst := t.Instances[id]; inst != nil {
			t.act(Action{Desired: t.desired(inst)})
		}
	}
	clear(t.work.dirty)
}

// desired is what an instance should be doing.
func (t *tick) desired(inst *Instance) *ActionDesired {
	d := &ActionDesired{Instance: inst.ID, Leave: inst.Ending != "", Return: t.givesBack(inst)}
	for _, id := range inst.Attempts {
		if rec, r := t.live(id, inst.ID); rec != nil {
			a := t.assignment(id, rec, r)
			t.asNode(&a, rec, r, inst.ID)
			d.Attempts = append(d.Attempts, a)
		}
	}
	// In the order in which they were assigned, which is that of priority: what
	// waits there for a slot is begun in it.
	if last := t.work.watches[inst.ID].last; last != nil {
		for i := range last.Ended {
			// One that waits for the provider's word is not acknowledged yet.
			id := last.Ended[i].AttemptID
			if rec, _ := t.live(id, inst.ID); rec == nil {
				d.Acknowledged = append(d.Acknowledged, id)
			}
		}
		slices.SortFunc(d.Acknowledged, compareIDs)
	}
	return d
}

func compareIDs(a, b job.AttemptID) int {
	if c := strings.Compare(a.Task, b.Task); c != 0 {
		return c
	}
	if a.Index != b.Index {
		return a.Index - b.Index
	}
	return a.Attempt - b.Attempt
}

// assignment is an attempt with everything that its execution needs.
func (t *tick) assignment(id job.AttemptID, rec *AttemptRecord, r ref) job.Assignment {
	task := &t.Spec.Tasks[r.task]
	execution, _ := t.executionOf(r)
	if rec.Memory > 0 && execution.MemoryLimit > 0 {
		execution.MemoryLimit = rec.Memory
	}
	return job.Assignment{
		AttemptID: id,
		Execution: execution,
		Count:     task.Count,
		Key:       task.KeyOf(id.Index),
		Workdir:   t.Spec.Workdir,
		Inputs:    t.inputs(r, &execution),
		Restore:   rec.Restore,
		Seed:      task.SeedOf(id.Index),
		Keep:      task.HoldOnFailure > 0,
		Cancel:    t.stopped(r.task) || rec.Stopped != "",
	}
}
