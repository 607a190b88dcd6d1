package sim

import (
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// eyes are what a controller was shown and what it wrote, which is held against
// what it believes. Guarded by the witness.
type eyes struct {
	began    time.Time // its tick
	epoch    int64
	wrote    store.Entry         // the last that is its own
	compared int64               // the last entry that its state was compared at
	listings map[string]sighting // the newest of each fleet
}

// sighting is the instances that a listing of a fleet showed alive.
type sighting struct {
	at  time.Time
	ids []string
}

// took notes an entry that is in the journal.
func (e *eyes) took(entry store.Entry) {
	if entry.Epoch != e.epoch {
		e.epoch, e.listings = entry.Epoch, nil // another tenure was shown nothing yet
	}
	e.wrote = entry
}

// begins notes the beginning of a tick.
func (a *actor) begins() {
	v := a.world.witness
	v.mu.Lock()
	defer v.mu.Unlock()
	a.eyes.began = time.Now()
}

// saw notes a listing that reached a controller.
func (a *actor) saw(fleet string, found []providers.Instance) {
	v := a.world.witness
	if v.away || a.kind != controllerKind {
		return
	}
	seen := sighting{at: time.Now()}
	for i := range found {
		if found[i].State != providers.StateTerminated {
			seen.ids = append(seen.ids, found[i].ID)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if a.eyes.listings == nil {
		a.eyes.listings = map[string]sighting{}
	}
	a.eyes.listings[fleet] = seen
}

// happened sees what a controller holds to be journalled by it.
func (v *witness) happened(a *actor, events []plan.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	own := a.eyes.wrote.Events
	if len(own) != len(events) || len(own) > 0 && (brief{own[0]}).String() != (brief{events[0]}).String() {
		v.w.violated("lease: %s goes on as if it had written an entry of %d events, and the journal has another's there", a.name, len(events))
	}
}

// observed sees what a controller believes after a tick.
func (v *witness) observed(a *actor, state *plan.State) {
	v.mu.Lock()
	defer v.mu.Unlock()
	// Nobody wrote after it, so the journal says what it believes.
	if v.last.Seq == a.eyes.wrote.Seq && a.eyes.compared != v.last.Seq {
		a.eyes.compared = v.last.Seq
		if what := differs(state, v.state); what != "" {
			v.w.violated("journal: %s believes another state than that of entry %d: %s", a.name, v.last.Seq, what)
		}
	}
	for fleet, seen := range a.eyes.listings {
		if seen.at.After(a.eyes.began) {
			continue // it is for the next tick
		}
		delete(a.eyes.listings, fleet)
		// One of the same moment may have been for the tick before.
		if seen.at.Before(a.eyes.began) {
			v.heeds(a, seen, state)
		}
	}
}

// heeds: an instance that a controller was shown is one that it counts, or what
// an open intent's answer is about to name. No other may live on.
func (v *witness) heeds(a *actor, seen sighting, state *plan.State) {
	for _, id := range seen.ids {
		if state.Instances[id] != nil {
			continue
		}
		m := v.w.cloud.machineOf(id)
		if m == nil {
			continue
		}
		if open := state.Launches[m.request.Token]; open != nil && open.Error == nil {
			continue
		}
		if _, gone := v.w.cloud.endOf(id); !gone {
			v.w.violated("leak: %s was shown %s, whose intent is closed, and leaves it alone", a.name, id)
		}
	}
}

// differs says what of two states differs, "" if nothing does.
func differs(a, b *plan.State) string {
	switch {
	case a.Tokens != b.Tokens || len(a.Launches) != len(b.Launches) || len(a.Past) != len(b.Past):
		return "its intents"
	case a.Held != b.Held || a.Outcome != b.Outcome || a.Closed != b.Closed || a.Cancel != b.Cancel || a.Fault != b.Fault:
		return "its outcome"
	case len(a.Instances) != len(b.Instances):
		return "its instances"
	}
	for id, x := range a.Instances {
		y := b.Instances[id]
		if y == nil || x.Ending != y.Ending || x.Ready != y.Ready || x.Used != y.Used || !slices.Equal(x.Attempts, y.Attempts) {
			return "instance " + id
		}
	}
	for i := range a.Tasks {
		for j := range a.Tasks[i].Indexes {
			x, y := &a.Tasks[i].Indexes[j], &b.Tasks[i].Indexes[j]
			if x.Phase != y.Phase || x.Next != y.Next || x.Charged != y.Charged || len(x.Attempts) != len(y.Attempts) {
				return "an index of task " + a.Spec.Tasks[i].Name
			}
		}
	}
	return ""
}
