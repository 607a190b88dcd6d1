package plan

import (
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// Work is assigned ahead to instances whose attempts are short. An instance
// learns of new work, and the controller of what has ended, by documents that
// are looked at now and then; an instance with a free slot would wait that long
// after each of its tasks. So it is given what it will have done within
// Timing.Ahead, by how long its attempts took up to now. What waits there is
// not accepted: it is taken back free with the instance, and the agent gives
// back by itself what waits for too long.

// mostAhead bounds what waits on one instance, since its desired document
// carries every attempt whole.
const mostAhead = 1000

// tookOne notes how long an attempt took on an instance: the newest counts an
// eighth.
func (w *watch) tookOne(d Time) {
	if w.took == 0 {
		w.took = max(d, 1)
		return
	}
	w.took = max(w.took+(d-w.took)/8, 1)
}

// ahead is how many attempts an instance may be assigned beyond its slots.
func (s *State) ahead(inst *Instance, g *group) int {
	w := s.work.watches[inst.ID]
	span := s.Spec.Timing.Ahead()
	if g.dedicated || g.nodes > 1 || w.last == nil || w.last.Slots == 0 || w.took == 0 || w.took >= span {
		return 0
	}
	serving := g.slots
	for i := range w.last.Running {
		if w.last.Running[i].Elapsed.D() >= span {
			serving--
		}
	}
	// Not more than what it has done already: a few short ones promise little.
	return min(int(Time(max(serving, 0))*span/w.took), inst.Used, mostAhead)
}

// placeAhead gives what is left of one side's queue to the brisk instances of
// another, to each its part.
func (t *tick) placeAhead(g *group, from, to int) {
	queue, brisk := &g.sides[from], g.sides[to].brisk
	if queue.queue.empty() || len(brisk) == 0 {
		return
	}
	part := (queue.ready + len(brisk) - 1) / len(brisk)
	for _, id := range sortedKeys(brisk) {
		inst := t.Instances[id]
		room := min(g.slots+t.ahead(inst, g)-len(inst.Attempts), part)
		for ; room > 0; room-- {
			r, ok := t.takeReady(queue, from)
			if !ok {
				return
			}
			t.assignTo(r, inst, from == onDemand, true)
		}
	}
}

// returned takes in that an instance gives back what it has not accepted.
func (t *tick) returned(inst *Instance, ids []job.AttemptID) {
	w := t.work.watches[inst.ID]
	for _, id := range ids {
		rec, _ := t.live(id, inst.ID)
		if rec == nil || rec.acceptedOn(inst.ID) {
			continue
		}
		t.takeBack(inst, rec, id, "its instance had no slot for it in time")
		w.took = max(w.took, t.Spec.Timing.Ahead()) // nothing more ahead for now
	}
	if len(ids) > 0 {
		t.work.dirty[inst.ID] = struct{}{} // that they are not assigned ends their listing
	}
}

// givesBack reports whether an instance should give back what waits there: it
// is to get nothing more.
func (t *tick) givesBack(inst *Instance) bool {
	return !t.usable(inst) && slices.ContainsFunc(inst.Attempts, func(id job.AttemptID) bool {
		rec, _ := t.live(id, inst.ID)
		return rec != nil && !rec.acceptedOn(inst.ID)
	})
}
