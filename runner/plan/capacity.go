package plan

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// rent opens intents for the work that has no instance: spot in every fleet
// first, on-demand for last attempts and when spot gave nothing for long.
func (t *tick) rent() {
	t.repeatLaunches()
	if t.over() || t.stands() || t.nearCap() {
		return
	}
	t.ready = t.demand()
	for _, g := range t.groupsInOrder() {
		if g.open == 0 {
			continue
		}
		g.waiting = ""
		if n := t.ready[g]; n[onSpot]+n[onDemand] < g.sides[onSpot].ready+g.sides[onDemand].ready {
			g.waiting = "as many attempts as max_parallel allows are assigned"
		}
		spot, last := t.wanted(g)
		if t.Moved[g.key] {
			t.maybeBack(g, spot)
		}
		if spot > 0 && !t.Moved[g.key] {
			t.rentSide(g, onSpot, spot)
		}
		if t.Moved[g.key] { // perhaps just now
			last += spot
		}
		if last > 0 {
			t.rentSide(g, onDemand, last)
		}
		if t.over() {
			return
		}
	}
}

// wanted is how many instances of either capacity type a group's work lacks.
func (t *tick) wanted(g *group) (spot, last int) {
	if g.nodes > 1 {
		return t.wantedGangs(g)
	}
	intents := t.intents(g)
	lack := func(side int) int {
		a := &g.sides[side]
		work := t.ready[g][side] + a.coming
		return work - (a.booting+intents[side])*g.slots - a.slots
	}
	spotWork, lastWork := lack(onSpot), lack(onDemand)
	if lastWork < 0 && spotWork > 0 {
		spotWork = max(spotWork+lastWork, 0) // on-demand instances that come serve both
	}
	up := func(work int) int { return (max(work, 0) + g.slots - 1) / g.slots }
	return up(spotWork), up(lastWork)
}

// intents counts the instances that a group's open intents will rent, by side.
func (t *tick) intents(g *group) (n [2]int) {
	for _, l := range t.Launches {
		_, settling := t.work.settling[l.Token]
		if l.Group == g.key && !l.Answered && !settling && len(l.Offers) > 0 {
			n[sideOf(l.Offers[0].Capacity)] += l.Count
		}
	}
	return n
}

// inFlight reports whether a launch of the group for that side has no answer
// yet: one is settled before the next is made.
func (t *tick) inFlight(g *group, side int) bool { return t.intents(g)[side] > 0 }

// rentSide opens an intent for up to so many instances, or notes why not.
func (t *tick) rentSide(g *group, side, want int) {
	if g.nodes > 1 && g.lack[side].want == 0 { // it has just moved here
		t.wakeAt(t.now)
		return
	}
	if t.inFlight(g, side) {
		g.waiting = "a launch has not been answered yet"
		return
	}
	room := t.room()
	if room == 0 || room > 0 && room < g.lack[side].least {
		t.lacking += want
		g.waiting = fmt.Sprintf("max_instances = %d are rented", t.Spec.MaxInstances)
		return
	}
	m := t.look(g, capacityOf(side))
	if t.over() || m.choice == nil && m.pending {
		g.waiting = "offers are being asked for"
		return
	}
	if m.choice == nil {
		t.nothing(g, side, want, m)
		return
	}
	count := want
	if room > 0 {
		count = min(count, room)
	}
	if m.choice.room > 0 {
		count = min(count, m.choice.room)
	}
	if m.choice.fleetRoom > 0 {
		count = min(count, m.choice.fleetRoom)
	}
	count = g.wholeCount(side, count)
	g.waiting = "instances are being rented"
	opened := LaunchOpened{
		Token: t.nextToken(), Fleet: m.choice.fleet, Offers: m.choice.offers, Count: count,
		Need: g.need, Slots: g.slots, Labels: g.labels, Group: g.key, Reason: t.reasonFor(g, side, m),
	}
	t.emit(Event{LaunchOpened: &opened})
	t.callLaunch(t.Launches[opened.Token])
}

// room is how many instances may still be rented, -1: unbounded.
func (t *tick) room() int {
	if t.Spec.MaxInstances <= 0 {
		return -1
	}
	n := len(t.Instances)
	for _, l := range t.Launches {
		if !l.Answered {
			n += l.Count
		}
	}
	return max(t.Spec.MaxInstances-n, 0)
}

// nextToken names an intent. The count is the journal's, so no two tenures
// give the same token to different requests.
func (s *State) nextToken() string {
	n := strconv.Itoa(s.Tokens + 1)
	run := strings.ToLower(s.Spec.Run)
	return run[:min(len(run), 63-len(n))] + "-" + n
}

// reasonFor says why these offers and no cheaper or earlier ones.
func (t *tick) reasonFor(g *group, side int, m market) string {
	var parts []string
	switch {
	case side == onDemand && t.Moved[g.key] && g.sides[onDemand].ready == 0:
		parts = append(parts, "there is no spot capacity")
	case side == onDemand:
		parts = append(parts, "final attempt")
	}
	for _, fleet := range g.fleets {
		if fleet == m.choice.fleet {
			break
		}
		parts = append(parts, fleet+" has none now")
	}
	return strings.Join(parts, "; ")
}

// nothing is when no fleet has an offer that may be tried now: the wait for
// capacity runs, and at its end the group moves to on-demand, or its work ends.
func (t *tick) nothing(g *group, side, want int, m market) {
	capacity := capacityOf(side)
	if m.until > 0 {
		t.wakeAt(m.until)
	}
	if g.nodes > 1 && (m.any || m.failing || g.lack[side].fleet != "") {
		t.noGang(g, side, want, m)
		return
	}
	if m.full {
		g.waiting = "as many instances as the offers allow are rented"
		if m.fullIn != "" {
			t.lackingIn[m.fullIn] += want // what is idle there makes room
		}
		return
	}
	if !m.any && !m.failing {
		t.noOffer(g, side)
		return
	}
	g.waiting = "no " + string(capacity) + " capacity: " + t.lastRefusal(g, capacity)
	if t.ownQuota(g, capacity, want) || g.sides[side].live > 0 {
		return // work goes on, if slower
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
	why := fmt.Sprintf("no %s capacity for %s", capacity, (t.now - since).Round(time.Second))
	if m.never {
		why = "no " + string(capacity) + " offer can be used any more"
	}
	t.giveUp(g, side, why+": "+t.lastRefusal(g, capacity))
}

// ownQuota reports whether a quota is why a group gets nothing in a fleet where
// instances of ours live: they may be what fills it, so what they end makes
// room, and the wait for capacity does not run.
func (t *tick) ownQuota(g *group, capacity providers.CapacityType, want int) bool {
	own := false
	for i := range t.Cool {
		c := &t.Cool[i]
		if c.Code != providers.CodeQuota || !c.about(capacity) || c.Until <= t.now || !slices.Contains(g.fleets, c.Fleet) {
			continue
		}
		if t.livesIn(c.Fleet) {
			t.lackingIn[c.Fleet] += want
			own = true
		}
	}
	return own
}

func (t *tick) livesIn(fleet string) bool {
	for _, inst := range t.Instances {
		if inst.Fleet == fleet {
			return true
		}
	}
	return false
}

// noOffer is when no fleet offers what a group needs on that side at all.
func (t *tick) noOffer(g *group, side int) {
	if side == onSpot && g.onDemand && !g.noOnDemand {
		t.giveUp(g, side, "no fleet offers it on spot")
		return
	}
	t.giveUp(g, side, fmt.Sprintf("no fleet (%s) offers an instance with %s",
		strings.Join(g.fleets, ", "), NeedText(g.need)))
}

// giveUp moves a group's spot work to on-demand where the job file allows it,
// and else ends it for want of capacity. No attempt is charged.
func (t *tick) giveUp(g *group, side int, why string) {
	if side == onSpot && g.onDemand && !g.noOnDemand {
		t.emit(Event{CapacityMoved: &CapacityMoved{Group: g.key, Reason: why}})
		return
	}
	moved := side == onDemand && t.Moved[g.key]
	for i := range t.Tasks {
		if !slices.Contains(t.groupsOf(int32(i)), g) {
			continue
		}
		for j := range t.Tasks[i].Indexes {
			r := ref{int32(i), int32(j)}
			if t.groupOf(r) != g {
				continue
			}
			queued := t.at(r).queued
			if queued == int8(queuedSide+side) || moved && queued == queuedSide+onSpot {
				t.endIndex(r, job.Infrastructure, "", "no capacity: "+why)
			}
		}
	}
}

// maybeBack looks for a moved group's work on spot again: once it has all it
// wanted, or after a while, for what is rented from then on.
func (t *tick) maybeBack(g *group, wanted int) {
	since, short := t.Short[shortKey(g.key, providers.OnDemand)]
	until := t.MovedAt[g.key] + max(g.wait, coolMost)
	if short && since > 0 {
		return // nowhere to go back from
	}
	served := wanted == 0 && g.sides[onDemand].live > 0
	if !served && t.now < until {
		t.wakeAt(until)
		return
	}
	if t.inFlight(g, onDemand) || !t.offersSpot(g) {
		return
	}
	t.emit(Event{CapacityMoved: &CapacityMoved{Group: g.key, Back: true}})
}

// offersSpot reports whether a group's fleets have spot that is not left alone
// for the rest of the run.
func (t *tick) offersSpot(g *group) bool {
	for fleet, q := range g.offers {
		if slices.ContainsFunc(q.offers, func(o providers.Offer) bool {
			return o.Capacity == providers.Spot && t.cooling(poolKey{fleet, o.Pool()}) >= 0
		}) {
			return true
		}
	}
	return false
}

// lastRefusal is the last that a fleet of the group said about a capacity type.
func (t *tick) lastRefusal(g *group, capacity providers.CapacityType) string {
	for i := len(t.Cool) - 1; i >= 0; i-- {
		c := &t.Cool[i]
		if c.about(capacity) && c.Code != codeInterrupted && slices.Contains(g.fleets, c.Fleet) {
			return strings.Join(strings.Fields(c.Fleet+" "+c.Pool.Zone+" "+c.Pool.InstanceType), " ") + ": " + c.Message
		}
	}
	for _, fleet := range g.fleets {
		if q := g.offers[fleet]; q != nil && q.err != nil {
			return errorText(fleet, q.err)
		}
	}
	return "nothing was offered"
}

// sizeText is a size for people.
func sizeText(bytes int64) string {
	return strconv.FormatFloat(math.Round(float64(bytes)/(1<<30)*100)/100, 'f', -1, 64) + " GiB"
}

// SizeText is a size in bytes for people.
func SizeText(bytes int64) string { return sizeText(bytes) }

// NeedText is a need for people.
func NeedText(n providers.Need) string {
	var parts []string
	if n.CPUs > 0 {
		parts = append(parts, fmt.Sprintf("%g CPUs", n.CPUs))
	}
	if n.Memory > 0 {
		parts = append(parts, sizeText(n.Memory)+" of memory")
	}
	if n.Disk > 0 {
		parts = append(parts, sizeText(n.Disk)+" of disk")
	}
	if n.GPUs > 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d GPUs %s", n.GPUs, n.GPUType)))
	}
	if n.Arch != "" {
		parts = append(parts, "arch "+n.Arch)
	}
	if n.Image != "" {
		parts = append(parts, "image "+n.Image)
	}
	if len(parts) == 0 {
		return "anything"
	}
	return strings.Join(parts, ", ")
}
