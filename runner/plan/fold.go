package plan

import (
	"slices"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// apply folds one event in. Whatever changes the exported state does so here.
func (s *State) apply(e Event) {
	s.Now = max(s.Now, e.At)
	s.work.now = max(s.work.now, s.Now)
	switch {
	case s.applyCapacity(e), s.applyInstance(e), s.applyAttempt(e), s.applyGang(e), s.applyCache(e), s.applyRun(e), s.applyLimit(e),
		s.applyPause(e), s.applyRetry(e), s.applyHold(e):
	default:
		s.Unknown++
	}
}

// stamp is a time as records keep it, where 0 means: not yet.
func stamp(at Time) Time { return max(at, 1) }

func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

func (s *State) applyCapacity(e Event) bool {
	switch {
	case e.LaunchOpened != nil:
		put(&s.Launches, e.LaunchOpened.Token, &Launch{LaunchOpened: *e.LaunchOpened, Opened: e.At})
		s.Tokens++
	case e.LaunchAnswered != nil:
		s.launchAnswered(e.At, e.LaunchAnswered)
	case e.LaunchClosed != nil:
		if l := s.Launches[e.LaunchClosed.Token]; l != nil {
			put(&s.Past, l.Token, l.Fleet)
			delete(s.Launches, l.Token)
			delete(s.work.settling, l.Token)
		}
	case e.PoolCooled != nil:
		s.cool(*e.PoolCooled)
	case e.CapacityShort != nil:
		put(&s.Short, shortKey(e.CapacityShort.Group, e.CapacityShort.Capacity), e.CapacityShort.Since)
	case e.CapacityMoved != nil:
		m := e.CapacityMoved
		delete(s.Short, shortKey(m.Group, providers.Spot))
		if m.Back {
			delete(s.Moved, m.Group)
			delete(s.MovedAt, m.Group)
			delete(s.Short, shortKey(m.Group, providers.OnDemand))
		} else {
			put(&s.Moved, m.Group, true)
			put(&s.MovedAt, m.Group, e.At)
		}
	default:
		return false
	}
	return true
}

func (s *State) launchAnswered(at Time, a *LaunchAnswered) {
	l := s.Launches[a.Token]
	if l == nil {
		return
	}
	l.Tries++
	l.Error = a.Error
	if a.Error != nil {
		l.Tried, l.Retry = at, at+launchPause(l.Tries)
		return
	}
	l.Answered = true
	for _, inst := range a.Instances {
		s.addInstance(at, l.Token, inst)
	}
}

// addInstance takes an instance in, unless it is known.
func (s *State) addInstance(at Time, token string, found providers.Instance) {
	if s.Instances[found.ID] != nil {
		return
	}
	inst := &Instance{
		ID: found.ID, Token: token, Offer: found.Offer, Slots: 1, Phase: InstanceBooting,
		Where: found.Where, Isolation: found.Isolation, Launched: stamp(at),
		Fleet: found.Tags[providers.TagFleet],
	}
	if fleet, past := s.Past[token]; past {
		inst.Fleet = fleet
	}
	if l := s.Launches[token]; l != nil {
		inst.Fleet, inst.Group, inst.Slots = l.Fleet, l.Group, l.Slots
		if g := s.work.byKey[l.Group]; g == nil || g.nodes <= 1 { // a part of a gang is none
			delete(s.Short, shortKey(l.Group, inst.Offer.Capacity))
		}
		s.warm(l.Fleet, found.Offer.Pool())
	}
	put(&s.Instances, inst.ID, inst)
	s.countIn(inst, 1)
	s.meet(inst)
	s.refile(inst)
}

// cool notes a cooling in the place of the pool's last one.
func (s *State) cool(c PoolCooled) {
	for i := range s.Cool {
		if s.Cool[i].Fleet == c.Fleet && s.Cool[i].Pool == c.Pool && s.Cool[i].Capacity == c.Capacity {
			s.Cool[i] = c
			return
		}
	}
	s.Cool = append(s.Cool, c)
}

// warm forgets the coolings of a pool that gave something.
func (s *State) warm(fleet string, pool providers.Pool) {
	s.Cool = slices.DeleteFunc(s.Cool, func(c PoolCooled) bool {
		return c.Until >= 0 && c.covers(poolKey{fleet, pool})
	})
	if len(s.Cool) == 0 {
		s.Cool = nil
	}
}

// thaw forgets the quotas that a fleet was left alone for: an instance of ours
// is gone there, and so may count no more.
func (s *State) thaw(fleet string) {
	s.Cool = slices.DeleteFunc(s.Cool, func(c PoolCooled) bool {
		return c.Fleet == fleet && c.Code == providers.CodeQuota && c.Until >= 0
	})
	if len(s.Cool) == 0 {
		s.Cool = nil
	}
}

func (s *State) applyInstance(e Event) bool {
	switch {
	case e.InstanceFound != nil:
		s.addInstance(e.At, e.InstanceFound.Token, e.InstanceFound.Instance)
	case e.InstanceReady != nil:
		s.changeInstance(e.InstanceReady.Instance, func(inst *Instance) {
			inst.Boot = e.InstanceReady.Boot
			if inst.Ready == 0 {
				inst.Ready = stamp(e.At)
				delete(s.Boots, poolKey{inst.Fleet, inst.Offer.Pool()}.String())
			}
			if inst.Phase == InstanceBooting {
				inst.Phase = InstanceUp
			}
		})
	case e.InstanceNoticed != nil:
		s.changeInstance(e.InstanceNoticed.Instance, func(inst *Instance) { inst.notice(*e.InstanceNoticed) })
	case e.InstanceEnding != nil:
		s.changeInstance(e.InstanceEnding.Instance, func(inst *Instance) {
			inst.Ending, inst.Phase, inst.Evidence = e.InstanceEnding.Reason, InstanceEnd, e.InstanceEnding.Evidence
			if inst.Ending == EndingBoot {
				s.bootFailed(inst)
			}
		})
	case e.InstanceGone != nil:
		if inst := s.Instances[e.InstanceGone.Instance]; inst != nil {
			s.Cost += e.InstanceGone.Cost
			s.thaw(inst.Fleet)
			if inst.Ready == 0 && inst.Ending == "" && bootFault(e.InstanceGone.Evidence.Cause) {
				s.bootFailed(inst)
			}
			s.forget(inst)
		}
	default:
		return false
	}
	return true
}

// changeInstance changes an instance that is there, and counts it anew.
func (s *State) changeInstance(id string, change func(*Instance)) {
	inst := s.Instances[id]
	if inst == nil {
		return
	}
	change(inst)
	s.refile(inst)
	s.work.dirty[id] = struct{}{}
}

func (inst *Instance) notice(n InstanceNoticed) {
	switch {
	case n.Withdrawn:
		inst.Notice, inst.Rebalance = nil, false
		if inst.Phase == InstanceWarned {
			inst.Phase = InstanceUp
		}
		return
	case n.Notice.Kind == job.NoticeRebalance:
		inst.Rebalance = true
		return
	}
	notice := n.Notice
	inst.Notice = &notice
	if inst.Phase != InstanceEnd {
		inst.Phase = InstanceWarned
	}
}

// bootFailed counts a boot that failed against its pool.
func (s *State) bootFailed(inst *Instance) {
	key := poolKey{inst.Fleet, inst.Offer.Pool()}.String()
	put(&s.Boots, key, s.Boots[key]+1)
}

// bootFault reports whether an instance that ended before it reported speaks
// against its pool.
func bootFault(cause providers.EndCause) bool {
	switch cause {
	case providers.EndReclaimed, providers.EndNoticed, providers.EndByUser, providers.EndCapacity,
		providers.EndConfiguration, providers.EndByUs:
		return false
	}
	return true
}

func (s *State) applyRun(e Event) bool {
	switch {
	case e.Unattended != nil:
		s.unattended(e.Unattended)
	case e.CancelRequested != nil:
		s.Cancel, s.CancelFinally = true, s.Cancel
	case e.RunFailing != nil:
		s.Fault = e.RunFailing.Reason
	case e.RunHeld != nil:
		s.Held = e.RunHeld.Reason
	case e.RunEnded != nil:
		s.Outcome, s.Reason = e.RunEnded.Outcome, e.RunEnded.Reason
	case e.CheckpointsPruned != nil:
		if i, ok := s.work.task[e.CheckpointsPruned.Task]; ok {
			s.Tasks[i].Pruned = true
		}
	case e.RunClosed != nil:
		s.Closed = true
	default:
		return false
	}
	return true
}
