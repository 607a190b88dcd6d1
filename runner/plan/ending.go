package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// listing takes a provider's whole list in: what is there though no answer
// named it, and what is gone.
func (t *tick) listing(l Listing) {
	shown := make(map[string]bool, len(l.Instances))
	for _, found := range sorted(l.Instances, func(a, b providers.Instance) int { return strings.Compare(a.ID, b.ID) }) {
		shown[found.ID] = true
		t.listed(l, found)
	}
	for _, id := range slices.Sorted(maps.Keys(t.Instances)) {
		inst := t.Instances[id]
		if inst.Fleet == l.Fleet && !shown[id] && l.Begun > inst.Launched+l.Lag {
			t.vanished(inst, "")
		}
	}
	t.settle(l)
}

// listed takes one line of a listing in.
func (t *tick) listed(l Listing, found providers.Instance) {
	inst := t.Instances[found.ID]
	if inst == nil {
		t.stranger(l, found)
		return
	}
	w := t.work.watches[inst.ID]
	if l.Begun < w.listed {
		return
	}
	w.listed, w.state = l.Begun, found.State
	switch found.State {
	case providers.StateTerminated:
		t.vanished(inst, found.State)
	case providers.StateStopped:
		if inst.Ending == "" {
			t.vanished(inst, found.State)
		}
	default:
		t.overdue(inst)
	}
}

// stranger is an instance with our run's tag that the state does not hold. Of
// an open intent it is what a lost answer rented; of a closed one it comes too
// late and is ended.
func (t *tick) stranger(l Listing, found providers.Instance) {
	if found.State == providers.StateTerminated {
		return
	}
	token := found.Tags[providers.TagIntent]
	open := t.Launches[token]
	if open != nil && open.Error == nil {
		return // its answer names it, and is still to come
	}
	if found.Tags[providers.TagFleet] == "" {
		found.Tags = maps.Clone(found.Tags)
		if found.Tags == nil {
			found.Tags = map[string]string{}
		}
		found.Tags[providers.TagFleet] = l.Fleet
	}
	t.emit(Event{InstanceFound: &InstanceFound{Token: token, Instance: found}})
	if open == nil {
		t.end(t.Instances[found.ID], EndingLate, nil)
		return
	}
	t.greet(found.ID)
}

// vanished asks for the evidence of an instance that a listing says is gone.
// Its attempts end when that has come. A second listing asks nothing again.
func (t *tick) vanished(inst *Instance, state providers.InstanceState) {
	w := t.work.watches[inst.ID]
	w.state = state
	if w.vanished {
		return
	}
	ours := endedEmpty(inst)
	if ours && state == providers.StateTerminated {
		// Nobody needs to be asked why.
		t.gone(inst, EndAnswer{Instance: inst.ID, Evidence: providers.Evidence{
			ID: inst.ID, Cause: providers.EndByUs, State: providers.StateTerminated}})
		return
	}
	w.vanished, w.fencing = true, ""
	t.refile(inst)
	t.act(Action{End: &ActionEnd{Fleet: inst.Fleet, Instance: inst.ID, Whether: ours}})
}

// endedEmpty: we ended an instance, and nothing is left there to give a verdict
// on. That a listing lacks it is no proof that it is gone: a run that closed
// then would leave it to nobody.
func endedEmpty(inst *Instance) bool { return inst.Ending != "" && len(inst.Attempts) == 0 }

// overdue looks at an instance whose time to report may have passed.
func (t *tick) overdue(inst *Instance) {
	w := t.work.watches[inst.ID]
	at, must := t.deadline(inst)
	if !must || w.vanished || w.fencing != "" {
		return
	}
	if at > t.now {
		if w.timer <= t.now { // else one is set already
			t.setTimer(inst)
		}
		return
	}
	if inst.Ready == 0 {
		t.fence(inst, fencingBoot)
		return
	}
	if w.listed > w.seen && (w.state == providers.StateRunning || w.state == providers.StatePending) {
		t.fence(inst, fencingSilent)
		return
	}
	t.list(inst.Fleet) // its answer brings us back here
}

// fence asks for what is known of an instance before it is ended.
func (t *tick) fence(inst *Instance, why fencing) {
	t.work.watches[inst.ID].fencing = why
	t.act(Action{End: &ActionEnd{Fleet: inst.Fleet, Instance: inst.ID, Fence: true}})
}

// endAnswer goes on where the evidence was waited for.
func (t *tick) endAnswer(a EndAnswer) {
	inst := t.Instances[a.Instance]
	if inst == nil {
		return
	}
	w := t.work.watches[inst.ID]
	if w.vanished && !a.Fence {
		t.gone(inst, a)
		return
	}
	why := w.fencing
	if why == "" || w.vanished {
		return
	}
	if a.Status != nil && t.news(inst, w, a.Status) {
		t.status(a.Status) // it lives: its documents came late
		return
	}
	w.fencing = ""
	if a.Evidence.State == providers.StateTerminated || a.Evidence.State == providers.StateStopped {
		t.list(inst.Fleet)
		return
	}
	reason := EndingSilent
	if why == fencingBoot {
		reason = EndingBoot
	}
	evidence := a.Evidence
	t.end(inst, reason, &evidence)
	t.leavePool(inst)
}

// end ends an instance, once.
func (t *tick) end(inst *Instance, reason EndingReason, evidence *providers.Evidence) {
	if inst == nil || inst.Ending != "" {
		return
	}
	t.emit(Event{InstanceEnding: &InstanceEnding{Instance: inst.ID, Reason: reason, Evidence: evidence}})
	t.act(Action{Terminate: &ActionTerminate{Fleet: inst.Fleet, Instance: inst.ID}})
}

// gone ends what was left on an instance that the provider says is gone.
func (t *tick) gone(inst *Instance, a EndAnswer) {
	w := t.work.watches[inst.ID]
	switch a.Evidence.State {
	case providers.StatePending, providers.StateRunning, providers.StateStopping:
		// The listing and the evidence disagree, or it is still on its way:
		// the next listing asks again.
		w.vanished = false
		t.refile(inst)
		return
	}
	evidence := a.Evidence
	if endedEmpty(inst) && !informative(&evidence) {
		evidence.Cause, evidence.State = providers.EndByUs, providers.StateTerminated
	}
	if !informative(&evidence) && informative(inst.Evidence) {
		evidence = *inst.Evidence
	} else if informative(inst.Evidence) && evidence.Cause == providers.EndByUs {
		evidence = *inst.Evidence
	}
	t.lastWords(inst, w, a.Status, &evidence)
	if w.state == providers.StateStopped && inst.Ending == "" {
		t.end(inst, EndingStopped, &evidence)
		w.vanished = false
		return
	}
	group, pool := inst.Group, poolKey{inst.Fleet, inst.Offer.Pool()}
	booted := inst.Ready > 0
	t.emit(Event{InstanceGone: &InstanceGone{
		Instance: inst.ID, Evidence: evidence,
		Cost: inst.cost(t.now),
	}})
	if evidence.Cause == providers.EndReclaimed || evidence.Cause == providers.EndNoticed {
		t.interrupted(pool.fleet, pool.pool)
	}
	if !booted {
		t.stillborn(inst, group, pool, evidence)
	}
}

// lastWords ends every attempt of an instance that is gone: by the agent's
// last report, or else by the provider's evidence.
func (t *tick) lastWords(inst *Instance, w *watch, st *job.Status, evidence *providers.Evidence) {
	if st != nil && t.news(inst, w, st) {
		t.boot(inst, w, st)
		w.last, w.leaving = st, true
		t.noticed(inst, keepNotice(st.Notice, inst.Notice))
	}
	if w.last != nil {
		for i := range w.last.Running {
			t.accept(w.last.Running[i].AttemptID, inst.ID)
			t.acceptNode(w.last.Running[i].AttemptID, inst.ID, "")
		}
		for i := range w.last.Ended {
			end := &w.last.Ended[i]
			if readSigns(Evidence{End: end}, job.Retries{}).gone {
				t.attemptReported(inst, end, evidence)
			} else {
				t.attemptReported(inst, end, nil)
			}
		}
	}
	t.withdraw(inst, "its instance is gone and had not accepted it")
	for _, id := range slices.Clone(inst.Attempts) {
		rec, r := t.live(id, inst.ID)
		if rec == nil {
			continue
		}
		t.endAttempt(inst, rec, r, Evidence{Provider: evidence, Silent: inst.Ending == EndingSilent})
	}
}

// keepNotice is the notice of a last status; that it has none withdraws
// nothing from an instance that is gone.
func keepNotice(last, known *job.Notice) *job.Notice {
	if last == nil {
		return known
	}
	return last
}

// stillborn draws the lesson from an instance that ended before it reported.
func (t *tick) stillborn(inst *Instance, group string, pool poolKey, evidence providers.Evidence) {
	switch evidence.Cause {
	case providers.EndConfiguration:
		t.fail(providers.CodeConfiguration, "an instance in fleet "+inst.Fleet+" could not start: "+
			strings.TrimSpace(evidence.Code+" "+evidence.Message)+"; correct the fleet's configuration and submit again")
	case providers.EndCapacity:
		t.coolPool(pool.fleet, providers.Failure{Pool: pool.pool, Code: providers.CodeCapacity, Message: evidence.Message})
	default:
		t.leavePool(inst)
	}
}

// leavePool leaves a pool for the rest of the run after three boots in a row
// that failed there.
func (t *tick) leavePool(inst *Instance) {
	key := poolKey{inst.Fleet, inst.Offer.Pool()}
	if t.Boots[key.String()] < bootsPerPool || t.cooling(key) < 0 {
		return
	}
	t.emit(Event{PoolCooled: &PoolCooled{
		Fleet: key.fleet, Pool: key.pool, Capacity: key.pool.Capacity, Until: -1,
		Code: providers.CodeUnsupported, Message: "three instances in a row did not boot",
	}})
}

// bootsPerPool is how many boots may fail in a row before a pool is left.
const bootsPerPool = 3
