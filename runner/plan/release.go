package plan

import "github.com/spotrelay/spotrelay/runner/job"

// release ends the instances that have nothing to do and will have nothing.
func (t *tick) release() {
	touched := sortedKeys(t.work.touched)
	clear(t.work.touched)
	if t.over() {
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
	for _, id := range sortedKeys(g.members) {
		inst := t.Instances[id]
		if inst.Ending != "" || len(inst.Attempts) > 0 || !t.usable(inst) || t.awaited(g, sideOf(inst.Offer.Capacity)) {
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

// awaited reports whether work is ready, or about to be, for a group's
// instances of one side.
func (t *tick) awaited(g *group, side int) bool {
	spot, last := &g.sides[onSpot], &g.sides[onDemand]
	return spot.ready+spot.coming > 0 || side == onDemand && last.ready+last.coming > 0
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
	if spot.idle+spot.booting+last.idle+last.booting == 0 {
		return
	}
	up := func(work int) int { return (max(work, 0) + g.slots - 1) / g.slots }
	surplus := [2]int{
		onSpot:   spot.idle + spot.booting - up(g.open-last.ready)*g.nodes, // no last attempt goes on spot
		onDemand: last.idle + last.booting - up(g.open)*g.nodes,
	}
	patience := t.Spec.Timing.IdleTimeout.D()
	for _, id := range sortedKeys(g.members) {
		inst := t.Instances[id]
		w := t.work.watches[id]
		if inst.Ending != "" || len(inst.Attempts) > 0 || !t.usable(inst) {
			continue
		}
		if side := sideOf(inst.Offer.Capacity); surplus[side] > 0 {
			surplus[side]--
			t.end(inst, EndingIdle, nil)
			continue
		}
		if inst.Ready == 0 || t.awaitsGang(g, inst) {
			continue
		}
		since := max(w.idle, inst.Ready)
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
