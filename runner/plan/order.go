package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Standing is whether an offer may be asked for now.
type Standing string

const (
	standingOpen Standing = "" // it may

	// StandingInterrupted: after all that is open, in any fleet, since an
	// instance of ours was interrupted there.
	StandingInterrupted Standing = "interrupted"
	// StandingLeftAlone: not until a time, since it gave nothing.
	StandingLeftAlone Standing = "left-alone"
	// StandingNever: not in this run any more.
	StandingNever Standing = "never"
	// StandingFull: as many of our instances live as its limit allows.
	StandingFull Standing = "full"
	// StandingUnwanted: the task's retries do not ask for the capacity type.
	StandingUnwanted Standing = "unwanted"
)

// Candidate is an offer and its place in the order in which instances for a
// task are looked for.
type Candidate struct {
	Fleet string `json:"fleet"`
	providers.Offer
	// Try numbers the launches, from 1, if each gives nothing: offers with the
	// same number are in one request, the first preferred. 0: it is not tried
	// now.
	Try      int      `json:"try"`
	Standing Standing `json:"standing,omitempty"` // why it is not tried with the open ones, "" if it is
	Until    Time     `json:"until,omitempty"`    // for StandingLeftAlone, the run's time
	Reason   string   `json:"reason"`             // for people: why here and not earlier
}

// byPrice is the order of one fleet's offers.
func byPrice(a, b providers.Offer) int {
	return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(a.Zone, b.Zone),
		cmp.Compare(a.InstanceType, b.InstanceType), cmp.Compare(a.Capacity, b.Capacity))
}

// placed is an offer with what stands in its way.
type placed struct {
	providers.Offer
	standing  Standing
	until     Time
	cooled    *PoolCooled
	room      int // instances within its limit, -1: unbounded
	fleetRoom int // within the fleet's, 0: unbounded
	fleetFull bool
}

// shelf is what a fleet offers of a capacity type, in the order of its offers.
func (s *State) shelf(fleet string, offers []providers.Offer, capacity providers.CapacityType) []placed {
	var shelf []placed
	for _, o := range offers {
		if o.Capacity == capacity {
			shelf = append(shelf, s.place(fleet, o))
		}
	}
	return shelf
}

func (s *State) place(fleet string, o providers.Offer) placed {
	p := placed{Offer: o, room: -1}
	key := poolKey{fleet, o.Pool()}
	if p.cooled = s.coolingOf(key); p.cooled != nil {
		p.until = p.cooled.Until
		switch {
		case p.until < 0:
			p.standing = StandingNever
			return p
		case p.cooled.Code != codeInterrupted:
			p.standing = StandingLeftAlone
			return p
		}
		p.standing = StandingInterrupted
	}
	if o.FleetLimit > 0 {
		p.fleetRoom = o.FleetLimit - s.lives(fleet)
		if p.fleetRoom <= 0 {
			p.standing, p.fleetFull = StandingFull, true
			return p
		}
	}
	if o.Limit > 0 {
		p.room = o.Limit - s.work.pools[key] - s.opened(key)
		if p.room <= 0 {
			p.standing = StandingFull
		}
	}
	return p
}

// Order is the order in which instances for a task would be looked for, given
// the answers of its fleets to what it needs (Need): spot in all of its fleets
// before on-demand, fleets as preferred, cheaper offers first, at most so many
// in one launch. Offers that are not tried come last. It is what Plan goes by,
// and changes nothing. Nil for a task that there is none of.
func (s *State) Order(task string, answers []OffersAnswer) []Candidate {
	i, ok := s.work.task[task]
	if !ok {
		return nil
	}
	g, retries := s.work.of[i], s.Spec.Tasks[i].Retries
	offers := map[string][]providers.Offer{}
	for _, a := range answers {
		offers[a.Fleet] = slices.SortedFunc(slices.Values(a.Offers), byPrice)
	}
	o := ordering{s: s, g: g, offers: offers}
	spot, last := retries.OnDemandAttempts < retries.Attempts, g.onDemand
	if !o.any(providers.Spot) { // the planner's noOffer and lookForOnDemand
		spot = false
	} else if !o.any(providers.OnDemand) {
		spot, last = true, false
	}
	o.side(providers.Spot, spot, "on_demand_attempts = attempts: all attempts run on-demand")
	o.side(providers.OnDemand, last, "on_demand_attempts = 0: the task stays on spot")
	return append(o.tried, o.left...)
}

// ordering gathers the candidates of one task.
type ordering struct {
	s      *State
	g      *group
	offers map[string][]providers.Offer
	tries  int
	tried  []Candidate
	left   []Candidate
}

func (o *ordering) any(capacity providers.CapacityType) bool {
	return slices.ContainsFunc(o.g.fleets, func(fleet string) bool { return len(o.s.shelf(fleet, o.offers[fleet], capacity)) > 0 })
}

// side adds a capacity type's offers: the open ones, then those that yield.
func (o *ordering) side(capacity providers.CapacityType, wanted bool, unwanted string) {
	for _, standing := range []Standing{standingOpen, StandingInterrupted} {
		for n, fleet := range o.g.fleets {
			inTry := 0
			for _, p := range o.s.shelf(fleet, o.offers[fleet], capacity) {
				c := Candidate{Fleet: fleet, Offer: p.Offer, Standing: p.standing}
				switch {
				case !wanted && standing == standingOpen:
					c.Standing, c.Reason = StandingUnwanted, unwanted
					o.left = append(o.left, c)
				case wanted && p.standing == standing:
					if inTry%offersMost == 0 {
						o.tries++
					}
					inTry++
					c.Try = o.tries
					c.Reason = o.reason(c, n)
					o.tried = append(o.tried, c)
				case wanted && standing == standingOpen && p.standing != StandingInterrupted:
					c.Until, c.Reason = p.until, o.s.whyLeft(p)
					o.left = append(o.left, c)
				}
			}
		}
	}
}

// reason says why a candidate stands where it stands and not earlier.
func (o *ordering) reason(c Candidate, fleet int) string {
	if len(o.tried) == 0 {
		return fmt.Sprintf("cheapest %s of fleet %s", c.Capacity, c.Fleet)
	}
	before := o.tried[len(o.tried)-1]
	switch {
	case c.Standing == StandingInterrupted:
		return "an instance was interrupted there: after all others"
	case c.Capacity != before.Capacity:
		return fmt.Sprintf("on-demand: for last attempts, or after %s without spot", waitText(o.g.wait))
	case c.Fleet != before.Fleet:
		return fmt.Sprintf("fleet %s comes after %s", c.Fleet, o.g.fleets[fleet-1])
	case c.Try != before.Try:
		return fmt.Sprintf("one launch takes %d offers", offersMost)
	case c.Price > before.Price:
		return "dearer"
	}
	return "the same price"
}

func waitText(d Time) string {
	text := d.Round(time.Second).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// whyLeft says why an offer is not tried.
func (s *State) whyLeft(p placed) string {
	switch {
	case p.fleetFull:
		return fmt.Sprintf("full: the fleet's limit is %d instances", p.FleetLimit)
	case p.standing == StandingFull:
		return fmt.Sprintf("full: its limit is %d instances", p.Limit)
	case p.standing == StandingNever:
		return fmt.Sprintf("left alone for the rest of the run: %s: %s", p.cooled.Code, p.cooled.Message)
	}
	return fmt.Sprintf("left alone for %s more: %s: %s", waitText(p.until-s.work.now), p.cooled.Code, p.cooled.Message)
}

// Need is what an instance for a task must have, which its fleets' offers are
// asked for.
func Need(task *job.Task) providers.Need { return needOf(task) }

// Lacks says what an offer lacks of a need, as far as an offer tells; "" when
// nothing.
func Lacks(o providers.Offer, n providers.Need) string {
	var parts []string
	if o.CPUs < n.CPUs {
		parts = append(parts, fmt.Sprintf("%g of %g CPUs", o.CPUs, n.CPUs))
	}
	if o.Memory < n.Memory {
		parts = append(parts, fmt.Sprintf("%s of %s of memory", sizeText(o.Memory), sizeText(n.Memory)))
	}
	switch {
	case o.GPUs < n.GPUs:
		parts = append(parts, fmt.Sprintf("%d of %d GPUs", o.GPUs, n.GPUs))
	case n.GPUType != "" && o.GPUType != n.GPUType:
		parts = append(parts, fmt.Sprintf("GPUs %q, not %q", o.GPUType, n.GPUType))
	}
	if n.Arch != "" && o.Arch != n.Arch {
		parts = append(parts, "arch "+o.Arch+", not "+n.Arch)
	}
	return strings.Join(parts, "; ")
}
