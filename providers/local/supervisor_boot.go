//go:build linux || darwin

package local

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// boot fetches the agent while the instance's world is set up.
func (s *supervisor) boot() *verdict {
	if s.market.neverBoots() {
		s.console.say("the instance never boots, as its script says")
		s.state.Phase = providers.StateRunning
		s.schedule()
		return s.published()
	}
	go func() { s.fetched <- fetchAgent(s.ctx, s.cache, s.folder, s.rec.Bootstrap) }()
	visible, cover := keepVisible(visiblePaths(s.folder, s.rec))
	tmp := s.folder.tmp()
	if !cover {
		tmp = sharedTmp
		s.console.say("%s is shared with this machine, since the bucket or a shared path is that folder", sharedTmp)
	}
	plan := bootPlan{
		ID: s.rec.Instance.ID, Tmp: tmp, Keep: visible,
		Agent: s.folder.agent(), Dir: s.folder.home(),
		Environment: agentEnvironment(s.folder, s.rec, s.state.Metadata),
	}
	m, err := startMachine(s.folder, s.rec, plan, s.console.file)
	if err != nil {
		return s.bootFailed(err)
	}
	s.machine = m
	if m.listener != nil {
		s.serve(m.listener, s.metadata)
	}
	s.state.Isolation, s.state.Cgroups = m.isolation, m.cgroups
	return s.published()
}

// start makes the first process the agent, once that is there.
func (s *supervisor) start(err error) *verdict {
	if err != nil {
		return s.bootFailed(fmt.Errorf("the agent could not be had: %w", err))
	}
	s.console.say("isolation: %s", s.machine.isolation)
	if err := s.machine.release(); err != nil {
		return s.bootFailed(err)
	}
	s.console.say("the agent runs, %d ms after the launch", time.Since(s.rec.Instance.Launched).Milliseconds())
	s.state.Phase = providers.StateRunning
	s.schedule()
	if s.market.watches() {
		go watchAgent(s.ctx, s.folder.home(), s.saves)
	}
	return s.published()
}

// schedule sets the timed steps of the script, counted from now.
func (s *supervisor) schedule() {
	for {
		due, ok := s.market.next()
		if !ok {
			return
		}
		for _, happening := range s.market.due(due) {
			s.in(due, func() *verdict { return s.play([]step{happening}) })
		}
	}
}

// published shows the state; an instance that cannot show itself ends.
func (s *supervisor) published() *verdict {
	if err := s.publish(); err != nil {
		return &verdict{providers.EndHostEvent, codeHost, "its folder cannot be written: " + err.Error()}
	}
	return nil
}

// bootFailed ends the instance as the boot script of a VM does: it says why on
// the console and powers off.
func (s *supervisor) bootFailed(err error) *verdict {
	s.console.say("the boot failed: %v", err)
	return &verdict{providers.EndFromInside, codeBoot, "the boot failed: " + err.Error()}
}

// play lets the steps of the script happen.
func (s *supervisor) play(steps []step) *verdict {
	for _, step := range steps {
		s.console.say("the script says: %s", step.Action)
		if end := s.act(step.Action, step.Notice); end != nil {
			return end
		}
	}
	return nil
}

func (s *supervisor) act(what action, notice time.Duration) *verdict {
	now := time.Now()
	switch what {
	case actionPreempt:
		return s.interrupt(notice, verdict{providers.EndReclaimed, codeReclaim, "spot capacity was taken back"})
	case actionKill:
		return &verdict{providers.EndReclaimed, codeReclaim, "spot capacity was taken back with no notice"}
	case actionCrash:
		return &verdict{providers.EndHostEvent, codeHost, "the host failed"}
	case actionMaintenance:
		return s.interrupt(notice, verdict{providers.EndHostEvent, codeHost, "the host was retired"})
	case actionUser:
		return &verdict{providers.EndByUser, codeUser, "somebody else ended the instance"}
	case actionShutdown:
		return &verdict{providers.EndFromInside, codeInside, "shut down from within"}
	case actionSilence:
		if s.machine != nil {
			s.machine.freeze()
		}
	case actionRebalance:
		s.metadata.recommend(now)
	case actionWithdraw:
		s.announce(&interruption{Announced: now, Deadline: now.Add(notice)})
		s.in(notice, func() *verdict {
			s.console.say("the notice is withdrawn")
			return s.announce(nil)
		})
	}
	return nil
}

// interrupt announces the end, which comes when the notice is over.
func (s *supervisor) interrupt(notice time.Duration, end verdict) *verdict {
	if notice <= 0 {
		end.message += " with no notice"
		return &end
	}
	now := time.Now()
	s.in(notice, func() *verdict { return &end })
	s.console.say("notice: the instance ends in %s", notice)
	return s.announce(&interruption{
		Maintenance: end.cause == providers.EndHostEvent,
		Announced:   now, Deadline: now.Add(notice),
	})
}

// announce shows an interruption to the instance and to the provider's
// callers; nil withdraws it.
func (s *supervisor) announce(i *interruption) *verdict {
	s.metadata.announce(i)
	s.state.Interruption = i
	return s.published()
}

// obey carries an order out, or begins to.
func (s *supervisor) obey(o order) *verdict {
	if o.path == controlTerminate {
		s.agenda.waiting = append(s.agenda.waiting, o)
		return &verdict{providers.EndByUs, codeOurs, "ended by a terminate call"}
	}
	if s.rec.Instance.Offer.Capacity != providers.Spot {
		o.answer <- orderAnswer{http.StatusBadRequest, "only a spot instance can be preempted; " + s.rec.Instance.ID + " is on-demand"}
		return nil
	}
	s.console.say("preempted by hand")
	end := s.act(actionPreempt, o.Notice)
	if end == nil {
		o.answer <- orderAnswer{status: http.StatusOK}
		return nil
	}
	s.agenda.waiting = append(s.agenda.waiting, o)
	return end
}
