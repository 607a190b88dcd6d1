package plan

import (
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/runner/job"
)

// release ends the instances that have nothing to do and will have nothing.
func (t *tick) release() {
	touched := sortedKeys(t.work.touched)
	clear(t.work.touched)
	if t.over() || t.Paused {
		t.releaseAll()
		return
	}
	for _, id := range touched {
		if inst := t.Instances[id]; inst != nil && len(inst.Attempts) == 0 && inst.Ending == "" {
			if reason := t.done(inst); reason != "" {
				t.end(inst, reason, nil)
			}
		}
	}
	t.releaseHeld()
	for _, g := range t.work.groups {
		t.releaseIdle(g)
	}
	if t.lacking > 0 || len(t.lackingIn) > 0 {
		for _, g := range t.work.groups {
			t.makeRoom(g)
		}
	}
}

// makeRoom ends a group's instances that have nothing to do while other work
// cannot be given any, since as many as may be are rented.
func (t *tick) makeRoom(g *group) {
	for _, inst := range t.empty(g) {
		if t.awaited(g, sideOf(inst.Offer.Capacity)) {
			continue
		}
		switch {
		case t.lacking > 0:
			t.lacking--
		case t.lackingIn[inst.Fleet] > 0:
			t.lackingIn[inst.Fleet]--
		default:
			continue
		}
		t.end(inst, EndingIdle, nil)
	}
}

// empty are a group's instances that take work and have none, by their ids; of
// thousands they are few as a rule.
func (t *tick) empty(g *group) []*Instance {
	spot, last := &g.sides[onSpot], &g.sides[onDemand]
	if spot.idle+spot.booting+last.idle+last.booting == 0 {
		return nil
	}
	var found []*Instance
	for id := range g.members {
		if inst := t.Instances[id]; inst.Ending == "" && len(inst.Attempts) == 0 && t.usable(inst) {
			found = append(found, inst)
		}
	}
	slices.SortFunc(found, func(a, b *Instance) int { return strings.Compare(a.ID, b.ID) })
	return found
}

// awaited reports whether work is ready, or about to be, for a group's
// instances of one side.
func (t *tick) awaited(g *group, side int) bool {
	spot, last, ready := &g.sides[onSpot], &g.sides[onDemand], t.ready[g]
	return ready[onSpot]+spot.coming > 0 || side == onDemand && ready[onDemand]+last.coming > 0
}

// done says why an empty instance takes no attempt any more, "" if it does.
func (t *tick) done(inst *Instance) EndingReason {
	w := t.work.watches[inst.ID]
	g := t.work.byKey[inst.Group]
	switch {
	case w.vanished:
		return ""
	case inst.Notice != nil || inst.Rebalance:
		return EndingInterrupted
	case w.leaving:
		if w.last.Phase == job.PhaseDraining {
			return ""
		}
		return EndingLeaving
	case inst.Hold != nil:
		return "" // until its time, see releaseHeld
	case t.quarantined(inst):
		return EndingQuarantine
	case g == nil:
		return EndingLate
	case g.dedicated && inst.Used > 0:
		return EndingDedicated
	}
	return ""
}

// releaseIdle ends a group's instances beyond those that its open work could
// use, and those that were idle for too long.
func (t *tick) releaseIdle(g *group) {
	spot, last := &g.sides[onSpot], &g.sides[onDemand]
	empty := t.empty(g)
	if len(empty) == 0 {
		return
	}
	up := func(work int) int { return (max(work, 0) + g.slots - 1) / g.slots }
	surplus := [2]int{
		onSpot:   spot.idle + spot.booting - up(g.open-last.ready)*g.nodes, // no last attempt goes on spot
		onDemand: last.idle + last.booting - up(g.open)*g.nodes,
	}
	patience := t.Spec.Timing.IdleTimeout.D()
	for _, inst := range empty {
		if side := sideOf(inst.Offer.Capacity); surplus[side] > 0 {
			surplus[side]--
			t.end(inst, EndingIdle, nil)
			continue
		}
		if inst.Ready == 0 || t.awaitsGang(g, inst) {
			continue
		}
		since := max(t.work.watches[inst.ID].idle, inst.Ready)
		if t.now >= since+patience {
			t.end(inst, EndingIdle, nil)
			continue
		}
		t.wakeAt(since + patience)
	}
}

// releaseAll ends every instance that runs nothing, when nothing more will be
// assigned. An assignment that was not accepted yet ends with its instance.
func (t *tick) releaseAll() {
	reason := EndingIdle
	if t.Outcome != "" || t.work.open == 0 {
		reason = EndingRunOver
	} else if t.Paused && !t.over() {
		reason = EndingPaused
	}
	for _, id := range sortedKeys(t.Instances) {
		inst := t.Instances[id]
		if inst.Ending == "" && !t.runsAny(inst) && !t.work.watches[id].vanished {
			t.end(inst, reason, nil)
		}
	}
}

// runsAny reports whether an instance has accepted an attempt that has not
// ended.
func (t *tick) runsAny(inst *Instance) bool {
	for _, id := range inst.Attempts {
		if rec, _ := t.live(id, inst.ID); rec != nil && rec.acceptedOn(inst.ID) {
			return true
		}
	}
	return false
}
