package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// gangLack is what a gang group lacks on one side, and where it is looked for.
type gangLack struct {
	want  int    // instances
	least int    // fewer make nothing whole
	fleet string // "": in any
	zone  string // where the others of it are, "" for any
	// spares are idle or booting, by fleet.
	spares map[string]int
	// ready gangs, and running ones with a node missing, are without it.
	ready   int
	missing int
}

// placeGangs gives whole gangs their instances, and lost nodes another one.
func (t *tick) placeGangs(g *group) {
	for _, r := range t.gangs(g) {
		t.replaceNodes(g, r)
	}
	for _, sides := range [][2]int{{onDemand, onDemand}, {onSpot, onSpot}, {onSpot, onDemand}} {
		from, to := sides[0], sides[1]
		for !g.sides[from].queue.empty() {
			set := t.pickGang(g, to)
			if set == nil {
				break
			}
			r, ok := t.takeReady(&g.sides[from], from)
			if !ok {
				break
			}
			t.assignGang(r, set, from == onDemand)
		}
	}
}

// pickGang is the instances of a whole gang: of one fleet, of one zone where
// there are enough.
func (t *tick) pickGang(g *group, side int) []string {
	byFleet, byZone := map[string][]string{}, map[string][]string{}
	for _, id := range sortedKeys(g.sides[side].free) {
		inst := t.Instances[id]
		zone := inst.Fleet + " " + inst.Offer.Zone
		byFleet[inst.Fleet], byZone[zone] = append(byFleet[inst.Fleet], id), append(byZone[zone], id)
	}
	for _, fleet := range g.fleets {
		if len(byFleet[fleet]) < g.nodes {
			continue
		}
		for _, zone := range sortedKeys(byZone) {
			if ids := byZone[zone]; len(ids) >= g.nodes && t.Instances[ids[0]].Fleet == fleet {
				return ids[:g.nodes]
			}
		}
		ids := byFleet[fleet]
		slices.SortStableFunc(ids, func(a, b string) int {
			return cmp.Compare(t.Instances[a].Offer.Zone, t.Instances[b].Offer.Zone)
		})
		return ids[:g.nodes]
	}
	return nil
}

// assignGang gives an index's next attempt to the instances of a gang.
func (t *tick) assignGang(r ref, instances []string, final bool) {
	a := &AttemptAssigned{
		AttemptID: job.AttemptID{Task: t.Spec.Tasks[r.task].Name, Index: int(r.index), Attempt: t.at(r).Next + 1},
		Instance:  instances[0], Final: final,
	}
	f := t.work.finds[r]
	for n, id := range instances {
		node := GangNode{Instance: id}
		if f != nil && n < len(f.nodes) {
			node.Restore = &f.nodes[n]
		}
		a.Nodes = append(a.Nodes, node)
	}
	if f != nil {
		a.Restore, a.Damaged = f.checkpoint, f.damaged
	}
	t.emit(Event{AttemptAssigned: a})
}

// replaceNodes gives the lost nodes of a running gang to free instances of its
// fleet.
func (t *tick) replaceNodes(g *group, r ref) {
	rec := t.at(r).current()
	if rec == nil || rec.Stopping != nil || rec.Stopped != "" {
		return
	}
	side := sideOf(rec.Offer.Capacity)
	for n := range rec.Nodes {
		node := &rec.Nodes[n]
		if !node.missing() {
			continue
		}
		for _, id := range sortedKeys(g.sides[side].free) {
			if t.Instances[id].Fleet == rec.Fleet && !rec.wasOn(id) {
				t.emit(Event{NodeAssigned: &NodeAssigned{
					AttemptID: job.AttemptID{Task: t.Spec.Tasks[r.task].Name, Index: int(r.index), Attempt: rec.Attempt},
					Node:      n, Incarnation: node.Incarnation + 1, Instance: id, Restore: node.Restore,
				}})
				break
			}
		}
	}
}

// wantedGangs is how many instances a gang group lacks on either side.
func (t *tick) wantedGangs(g *group) (spot, last int) {
	ready := t.ready[g]
	if t.Moved[g.key] {
		ready = [2]int{onDemand: ready[onSpot] + ready[onDemand]}
	}
	atLast := t.lackOf(g, onDemand, ready[onDemand])
	// On-demand instances that are there serve both.
	serve := max(wholeGangs(atLast.spares, g.nodes)-ready[onDemand], 0)
	g.lack = [2]gangLack{onDemand: atLast, onSpot: t.lackOf(g, onSpot, max(ready[onSpot]-serve, 0))}
	if t.Moved[g.key] {
		return atLast.want, 0
	}
	return g.lack[onSpot].want, atLast.want
}

func wholeGangs(spares map[string]int, nodes int) (n int) {
	for _, spare := range spares {
		n += spare / nodes
	}
	return n
}

// lackOf is what a gang group lacks on a side for so many gangs that are ready.
func (t *tick) lackOf(g *group, side, ready int) gangLack {
	lack := gangLack{spares: t.spares(g, side), ready: ready}
	needs := map[string]int{} // of gangs that run, and soon need another
	unfit := map[string]bool{}
	for _, r := range t.gangs(g) {
		rec := t.at(r).current()
		if rec == nil || rec.Fleet == "" || sideOf(rec.Offer.Capacity) != side {
			continue
		}
		for n := range rec.Nodes {
			switch node := &rec.Nodes[n]; {
			case rec.Stopping == nil && node.missing():
				needs[rec.Fleet]++
				lack.missing++
				t.unfit(g, rec, unfit)
			case node.Ended == 0 && t.noticedAway(node.Instance) && t.sideAfter(r, 1) == side:
				needs[rec.Fleet]++
			}
		}
	}
	for id := range unfit {
		needs[t.Instances[id].Fleet]++
	}
	left := map[string]int{}
	for _, fleet := range g.fleets {
		spare := lack.spares[fleet] - needs[fleet]
		if spare < 0 && lack.fleet == "" {
			lack.fleet, lack.want, lack.least = fleet, -spare, 1
		}
		left[fleet] = max(spare, 0)
		ready -= left[fleet] / g.nodes
		left[fleet] %= g.nodes
	}
	if lack.want > 0 || ready <= 0 {
		return lack
	}
	lack.want, lack.least = ready*g.nodes, g.nodes
	for _, fleet := range g.fleets {
		if left[fleet] > 0 {
			lack.fleet = fleet
			lack.want, lack.least = lack.want-left[fleet], g.nodes-left[fleet]
			lack.zone = t.zoneOf(g, side, fleet)
			break
		}
	}
	return lack
}

// unfit notes the spare instances that cannot take a lost node, since another
// one of the attempt has ended there.
func (t *tick) unfit(g *group, rec *AttemptRecord, ids map[string]bool) {
	side := sideOf(rec.Offer.Capacity)
	for id := range g.members {
		if inst := t.Instances[id]; rec.wasOn(id) && t.spare(inst) && sideOf(inst.Offer.Capacity) == side {
			ids[id] = true
		}
	}
}

// wholeCount is how many instances of a launch make gangs whole.
func (g *group) wholeCount(side, count int) int {
	least := g.lack[side].least
	if g.nodes <= 1 || count < least {
		return count
	}
	return least + (count-least)/g.nodes*g.nodes
}

// noticedAway reports whether an instance will be taken.
func (t *tick) noticedAway(id string) bool {
	inst := t.Instances[id]
	return inst != nil && inst.Notice != nil && inst.Notice.Kind == job.NoticeInterruption && !t.over()
}

// spares counts a side's instances that are rented or being rented and have no
// node, by fleet.
func (t *tick) spares(g *group, side int) map[string]int {
	spares := map[string]int{}
	for id := range g.members {
		inst := t.Instances[id]
		if t.spare(inst) && sideOf(inst.Offer.Capacity) == side {
			spares[inst.Fleet]++
		}
	}
	for _, l := range t.Launches {
		_, settling := t.work.settling[l.Token]
		if l.Group == g.key && !l.Answered && !settling && len(l.Offers) > 0 && sideOf(l.Offers[0].Capacity) == side {
			spares[l.Fleet] += l.Count
		}
	}
	return spares
}

func (t *tick) spare(inst *Instance) bool {
	return len(inst.Attempts) == 0 && t.usable(inst) && t.work.watches[inst.ID].filed.live > 0
}

// zoneOf is where the first spare instance of a fleet is.
func (t *tick) zoneOf(g *group, side int, fleet string) string {
	for _, id := range sortedKeys(g.members) {
		if inst := t.Instances[id]; inst.Fleet == fleet && sideOf(inst.Offer.Capacity) == side && t.spare(inst) {
			return inst.Offer.Zone
		}
	}
	return ""
}

// mayLook reports whether a group's instances may be looked for in a fleet now:
// of a gang that has some already, in theirs alone; not where it did not become
// whole.
func (t *tick) mayLook(g *group, capacity providers.CapacityType, fleet string, m *market) bool {
	if g.nodes <= 1 {
		return true
	}
	lack := &g.lack[sideOf(capacity)]
	if lack.fleet != "" {
		return lack.fleet == fleet
	}
	if until := t.Left[leftKey(g.key, capacity, fleet)]; until > t.now {
		m.any, m.never = true, false
		if m.until == 0 || until < m.until {
			m.until = until
		}
		return false
	}
	return true
}

// ofGang narrows a choice to what serves a gang: offers of one zone where there
// is room, and nothing where what there is room for makes no gang whole.
func (t *tick) ofGang(g *group, capacity providers.CapacityType, m *market, c *choice) {
	if g.nodes <= 1 || len(c.offers) == 0 {
		return
	}
	lack := &g.lack[sideOf(capacity)]
	if c.room >= 0 && c.room < lack.least || c.fleetRoom > 0 && c.fleetRoom < lack.least {
		m.full, m.fullIn = true, c.fleet
		*c = choice{fleet: c.fleet}
		return
	}
	zone := lack.zone
	if zone == "" {
		zone = c.offers[0].Zone
	}
	near := slices.DeleteFunc(slices.Clone(c.offers), func(o providers.Offer) bool { return o.Zone != zone })
	if len(near) > 0 && c.room < 0 { // with a limit, which pool has room for all is not known
		c.offers = near
	}
}

// noGang is when a fleet has nothing now for what a gang group lacks. The wait
// for capacity runs whatever else lives: half a gang does no work.
func (t *tick) noGang(g *group, side, want int, m market) {
	capacity, lack := capacityOf(side), &g.lack[side]
	if lack.missing == 0 && lack.ready == 0 {
		return // an attempt ends first
	}
	if m.full {
		g.waiting = fmt.Sprintf("there is no room for the %d instances of a gang", g.nodes)
		if m.fullIn != "" {
			t.lackingIn[m.fullIn] += want
		}
		if t.othersIn(g, m.fullIn) {
			return // what ends there makes room
		}
	}
	key := shortKey(g.key, capacity)
	since, short := t.Short[key]
	if !short {
		since = t.now
		t.emit(Event{CapacityShort: &CapacityShort{
			Group: g.key, Capacity: capacity, Since: since, Reason: t.lastRefusal(g, capacity)}})
	}
	if t.now < since+g.wait && !m.never {
		t.wakeAt(since + g.wait)
		return
	}
	why := fmt.Sprintf("no %s capacity for all nodes in %s: %s", capacity, (t.now - since).Round(time.Second), t.lastRefusal(g, capacity))
	switch {
	case lack.missing > 0:
		t.giveUpNodes(g, side, why)
	case lack.spares[lack.fleet] > 0:
		t.giveBackGang(g, side, why)
	default:
		t.giveUp(g, side, why)
	}
}

// othersIn reports whether instances live in a fleet that have work, or will
// soon be gone.
func (t *tick) othersIn(g *group, fleet string) bool {
	for _, inst := range t.Instances {
		if inst.Fleet == fleet && (inst.Group != g.key || !t.spare(inst)) {
			return true
		}
	}
	return false
}

// giveUpNodes ends the attempts whose lost nodes nothing was found for; they
// save, and the next ones look everywhere.
func (t *tick) giveUpNodes(g *group, side int, why string) {
	for _, r := range t.gangs(g) {
		rec := t.at(r).current()
		if rec == nil || rec.Stopping != nil || sideOf(rec.Offer.Capacity) != side ||
			!slices.ContainsFunc(rec.Nodes, func(n NodeRecord) bool { return n.missing() }) {
			continue
		}
		t.emit(Event{GangStopped: &GangStopped{
			AttemptID: job.AttemptID{Task: t.Spec.Tasks[r.task].Name, Index: int(r.index), Attempt: rec.Attempt},
			GangStop:  GangStop{Node: -1, Reason: why},
		}})
		t.settleGang(rec, r)
	}
}

// giveBackGang ends what is there of gangs that did not become whole. They are
// looked for in the next fleet, or else as when there is no capacity at all.
func (t *tick) giveBackGang(g *group, side int, why string) {
	capacity, fleet := capacityOf(side), g.lack[side].fleet
	t.emit(Event{GangReturned: &GangReturned{Group: g.key, Capacity: capacity, Fleet: fleet,
		Until: t.now + max(g.wait, coolMost), Reason: why}})
	for _, id := range sortedKeys(g.members) {
		if inst := t.Instances[id]; inst.Fleet == fleet && sideOf(inst.Offer.Capacity) == side && t.spare(inst) {
			t.end(inst, EndingPartial, nil)
		}
	}
	g.lack[side] = gangLack{}
	if !slices.ContainsFunc(g.fleets, func(fleet string) bool { return t.mayLook(g, capacity, fleet, &market{}) }) {
		t.giveUp(g, side, why)
		return
	}
	t.wakeAt(t.now)
}

// awaitsGang reports whether an idle instance is held for a gang of its side.
func (t *tick) awaitsGang(g *group, inst *Instance) bool {
	if g.nodes <= 1 || t.over() || t.stands() {
		return false
	}
	side := sideOf(inst.Offer.Capacity)
	spot, last := &g.sides[onSpot], &g.sides[onDemand]
	moved := t.Moved[g.key]
	if side == onSpot && spot.ready > 0 && !moved || side == onDemand && (last.ready > 0 || moved && spot.ready > 0) {
		return true
	}
	for _, r := range t.gangs(g) {
		rec := t.at(r).current()
		if rec != nil && rec.Fleet == inst.Fleet && sideOf(rec.Offer.Capacity) == side && (rec.Stopping != nil || !rec.gathered()) {
			return true
		}
	}
	return false
}
