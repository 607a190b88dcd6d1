package plan

import (
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	offersLife  = 5 * time.Minute // an answer is used so long
	offersMost  = 32              // offers of one launch; more make a request no better
	offersPause = 2 * time.Second // after the first error; doubles
)

// quotes is what a fleet last answered for a group.
type quotes struct {
	asked    bool
	answered bool // at least once
	at       Time
	offers   []providers.Offer
	err      *providers.Error
	tries    int
	retry    Time
}

// quote is a fleet's offers for a group, asked for when they are missing or
// old. An old answer serves until the new one is there.
func (t *tick) quote(g *group, fleet string) *quotes {
	q := g.offers[fleet]
	if q == nil {
		q = &quotes{}
		g.offers[fleet] = q
	}
	fresh := q.answered && t.now < q.at+offersLife
	if q.err != nil && q.retry > t.now {
		t.wakeAt(q.retry)
		return q
	}
	if !fresh && !q.asked {
		q.asked = true
		t.act(Action{Offers: &ActionOffers{Fleet: fleet, Group: g.key, Need: g.need}})
	}
	return q
}

// offersAnswer takes a fleet's offers in.
func (t *tick) offersAnswer(a OffersAnswer) {
	g := t.work.byKey[a.Group]
	if g == nil || !slices.Contains(g.fleets, a.Fleet) {
		return
	}
	q := g.offers[a.Fleet]
	if q == nil {
		q = &quotes{}
		g.offers[a.Fleet] = q
	}
	q.asked, q.err = false, a.Err
	if a.Err != nil {
		if a.Err.Code.Final() {
			t.fail(a.Err.Code, errorText(a.Fleet, a.Err))
			return
		}
		q.tries++
		pause := min(offersPause<<min(q.tries-1, 8), coolMost)
		q.retry = t.now + max(pause, a.Err.After)
		return
	}
	q.answered, q.at, q.tries, q.offers = true, t.now, 0, slices.Clone(a.Offers)
	slices.SortFunc(q.offers, byPrice)
	t.lookForOnDemand(g)
}

// lookForOnDemand learns whether a group can have on-demand instances at all.
// Where it cannot, its last attempts go on spot.
func (t *tick) lookForOnDemand(g *group) {
	for _, fleet := range g.fleets {
		q := g.offers[fleet]
		if q == nil || !q.answered {
			return
		}
		if slices.ContainsFunc(q.offers, func(o providers.Offer) bool { return o.Capacity == providers.OnDemand }) {
			g.noOnDemand = false
			return
		}
	}
	if g.noOnDemand {
		return
	}
	g.noOnDemand = true
	if g.sides[onDemand].ready == 0 {
		return
	}
	for i := range t.Tasks {
		if !slices.Contains(t.groupsOf(int32(i)), g) {
			continue
		}
		for j := range t.Tasks[i].Indexes {
			r := ref{int32(i), int32(j)}
			if t.at(r).queued == queuedSide+onDemand && t.groupOf(r) == g {
				t.requeue(r)
			}
		}
	}
}

// requeue puts an index into the queue where it belongs now.
func (t *tick) requeue(r ref) {
	t.unqueue(r)
	t.enqueue(r)
}

// choice is what could be rented in a fleet now.
type choice struct {
	fleet  string
	offers []providers.Offer
	room   int // instances within the offers' limits, -1: unbounded
	// fleetRoom is the same within the fleet's limit, 0: unbounded.
	fleetRoom int
}

// market is what a group's fleets have of one capacity type.
type market struct {
	choice  *choice // the first fleet's that has any
	pending bool    // an answer that comes first in order is missing
	failing bool    // a fleet's offers could not be had
	any     bool    // something is offered, if only later
	full    bool    // offers are there, and all at their limit with our instances
	fullIn  string  // a fleet at its limit with our instances, "" none
	never   bool    // all of it is left alone for ever
	// interrupted: there is a pool that is left alone for an interruption.
	interrupted bool
	until       Time // when the first cooling ends, 0: none
}

// look goes through a group's fleets in their order: what may be asked of the
// first that has any; pools of interruptions when no fleet has another.
func (t *tick) look(g *group, capacity providers.CapacityType) market {
	m := t.lookFor(g, capacity, standingOpen)
	if m.choice != nil || m.pending || !m.interrupted {
		return m
	}
	if again := t.lookFor(g, capacity, StandingInterrupted); again.choice != nil {
		return again
	}
	return m
}

func (t *tick) lookFor(g *group, capacity providers.CapacityType, wanted Standing) market {
	m := market{never: true}
	for _, fleet := range g.fleets {
		if !t.mayLook(g, capacity, fleet, &m) {
			continue
		}
		q := t.quote(g, fleet)
		if !q.answered {
			if q.err == nil {
				m.pending = true
				return m
			}
			m.failing, m.never = true, false
			continue
		}
		c := choice{fleet: fleet}
		for _, p := range t.shelf(fleet, q.offers, capacity) {
			t.weigh(&m, &c, p, wanted)
		}
		t.ofGang(g, capacity, &m, &c)
		if len(c.offers) > 0 {
			m.choice = &c
			return m
		}
	}
	m.never = m.never && m.any
	return m
}

// weigh adds an offer to the choice if it has the standing that is wanted.
func (t *tick) weigh(m *market, c *choice, p placed, wanted Standing) {
	m.any = true
	m.never = m.never && p.standing == StandingNever
	switch p.standing {
	case StandingLeftAlone, StandingInterrupted:
		m.interrupted = m.interrupted || p.standing == StandingInterrupted
		if m.until == 0 || p.until < m.until {
			m.until = p.until
		}
	case StandingFull:
		m.full = true
		if p.fleetFull {
			m.fullIn = c.fleet
		}
	}
	if p.standing != wanted {
		return
	}
	if p.fleetRoom > 0 && (c.fleetRoom == 0 || p.fleetRoom < c.fleetRoom) {
		c.fleetRoom = p.fleetRoom
	}
	switch {
	case p.room < 0:
		c.room = -1
	case c.room >= 0:
		c.room += p.room
	}
	if len(c.offers) < offersMost {
		c.offers = append(c.offers, p.Offer)
	}
}

// lives counts the instances in a fleet, and those that open intents may still
// rent.
func (s *State) lives(fleet string) int {
	n := s.work.pools[poolKey{fleet: fleet}]
	for _, l := range s.Launches {
		if l.Fleet == fleet && !l.Answered {
			n += l.Count
		}
	}
	return n
}

// opened counts the instances that open intents may still rent in a pool.
func (s *State) opened(key poolKey) int {
	n := 0
	for _, l := range s.Launches {
		if l.Fleet != key.fleet || l.Answered {
			continue
		}
		if slices.ContainsFunc(l.Offers, func(o providers.Offer) bool { return o.Pool() == key.pool }) {
			n += l.Count
		}
	}
	return n
}
