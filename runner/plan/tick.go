package plan

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// tick is one call of Plan.
type tick struct {
	*State
	now     Time
	events  []Event
	actions []Action
	wake    Time
	lists   map[string]bool   // fleets that a listing was asked of
	ready   map[*group][2]int // what waits and may be assigned, by side, once rent has run
	lacking int               // instances that max_instances leaves no room for
	// cancelledNow: a cancel was asked for in this tick.
	cancelledNow bool
	// lackingIn is how many instances a fleet's quota leaves no room for.
	lackingIn map[string]int
}

func (s *State) plan(facts Facts, now Time) Decision {
	now = max(now, s.work.now)
	s.work.now = now
	t := &tick{State: s, now: now, lists: map[string]bool{}, lackingIn: map[string]int{}}
	if facts.Tenure {
		t.tenure()
	}
	t.observe(facts)
	t.timers()
	t.settleGangs()
	t.gate()
	t.limits()
	t.assign()
	t.rent()
	t.endRun()
	t.release()
	t.closeRun()
	t.ask(facts.Tenure)
	t.askCache(facts.Tenure)
	t.desire()
	return Decision{Events: t.events, Actions: t.actions, Wake: t.next()}
}

// emit decides an event: it is applied at once, so what follows sees it.
func (t *tick) emit(e Event) {
	e.At = t.now
	t.events = append(t.events, e)
	t.apply(e)
}

func (t *tick) act(a Action) { t.actions = append(t.actions, a) }

// list asks for a listing of a fleet, once a tick.
func (t *tick) list(fleet string) {
	if fleet == "" || t.lists[fleet] {
		return
	}
	t.lists[fleet] = true
	t.act(Action{List: &ActionList{Fleet: fleet}})
}

// wakeAt asks for a tick at a time.
func (t *tick) wakeAt(at Time) {
	at = max(at, t.now+1)
	if t.wake == 0 || at < t.wake {
		t.wake = at
	}
}

func (t *tick) next() Time {
	if len(t.work.timers) > 0 {
		t.wakeAt(t.work.timers[0].at)
	}
	if len(t.work.limits) > 0 {
		t.wakeAt(t.work.limits[0].at)
	}
	return t.wake
}

// tenure begins a tenure: what is outstanding is done again, and whatever was
// not seen by this controller counts as seen now.
func (t *tick) tenure() {
	// Folding leaves the timers of all that ever waited, and of instances as
	// they were seen by others.
	t.work.timers = slices.DeleteFunc(t.work.timers, func(x timer) bool {
		return x.instance != "" || t.at(x.index).Phase != IndexWaiting
	})
	heap.Init(&t.work.timers)
	clear(t.work.pruning)
	t.watchCosts()
	for _, token := range slices.Sorted(maps.Keys(t.Launches)) {
		l := t.Launches[token]
		if !l.Answered && l.Error == nil {
			t.callLaunch(l)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.Instances)) {
		inst := t.Instances[id]
		t.work.watches[id].seen = t.now
		t.work.watches[id].idle = t.now
		t.setTimer(inst)
		t.work.touched[id] = struct{}{}
		if inst.Ready > 0 || inst.Ending != "" {
			t.work.dirty[id] = struct{}{}
		}
		if inst.Ending != "" {
			t.act(Action{Terminate: &ActionTerminate{Fleet: inst.Fleet, Instance: id}})
		}
	}
	t.keepAgain()
	for i := range t.Spec.Fleets {
		t.list(t.Spec.Fleets[i].Name)
	}
}

// observe takes the facts in. They are sorted first, since their order says
// nothing. Requests come first: what ends from here on ends after them.
// Answers to launches come before statuses, so that a new instance is known.
func (t *tick) observe(f Facts) {
	for _, r := range sorted(f.Requests, func(a, b Request) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Task, b.Task), cmp.Compare(a.Index, b.Index), cmp.Compare(a.By, b.By))
	}) {
		t.request(r)
	}
	for _, fault := range sorted(f.Faults, func(a, b FleetFault) int { return cmp.Compare(a.Fleet, b.Fleet) }) {
		if fault.Err != nil && fault.Err.Code.Final() && len(t.Instances) == 0 && len(t.Launches) == 0 {
			t.fail(fault.Err.Code, errorText(fault.Fleet, fault.Err))
		}
	}
	for _, a := range sorted(f.Launches, func(a, b LaunchAnswer) int { return cmp.Compare(a.Token, b.Token) }) {
		t.launchAnswer(a)
	}
	for _, st := range sorted(f.Statuses, func(a, b job.Status) int {
		return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Beat, b.Beat), cmp.Compare(a.Boot, b.Boot))
	}) {
		t.status(&st)
	}
	for _, l := range sorted(f.Listings, func(a, b Listing) int {
		return cmp.Or(cmp.Compare(a.Fleet, b.Fleet), cmp.Compare(a.Begun, b.Begun))
	}) {
		t.listing(l)
	}
	for _, a := range sorted(f.Ends, func(a, b EndAnswer) int { return cmp.Compare(a.Instance, b.Instance) }) {
		t.endAnswer(a)
	}
	for _, a := range sorted(f.Found, func(a, b FoundCheckpoint) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Attempt, b.Attempt))
	}) {
		t.found(a)
	}
	for _, a := range sorted(f.Offers, func(a, b OffersAnswer) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Fleet, b.Fleet))
	}) {
		t.offersAnswer(a)
	}
	for _, a := range sorted(f.Pruned, func(a, b PruneAnswer) int { return cmp.Compare(a.Task, b.Task) }) {
		t.pruned(a)
	}
	for _, a := range sorted(f.Cache, func(a, b CacheAnswer) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Index, b.Index))
	}) {
		t.cacheAnswer(a)
	}
	t.kept(sorted(f.Stored, func(a, b CacheStored) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Index, b.Index))
	}))
	if len(t.Launches) == 0 {
		clear(t.work.early)
	}
}

func sorted[T any](facts []T, by func(a, b T) int) []T {
	if len(facts) < 2 {
		return facts
	}
	facts = slices.Clone(facts)
	slices.SortStableFunc(facts, by)
	return facts
}

// sortedKeys are a map's keys in order, since a map's own order is chance.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// timers handles whatever has become due.
func (t *tick) timers() {
	for {
		due, ok := t.work.timers.due(t.now)
		if !ok {
			return
		}
		if due.instance == "" {
			x := t.at(due.index)
			if x.Phase == IndexWaiting && x.NotBefore <= t.now {
				t.enqueue(due.index)
			}
			continue
		}
		if inst := t.Instances[due.instance]; inst != nil {
			t.overdue(inst)
		}
	}
}
