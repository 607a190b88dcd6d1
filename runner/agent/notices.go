//go:build unix

package agent

import (
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/agent/notice"
	"github.com/spotrelay/spotrelay/runner/job"
)

// actWithin is how long before an announced maintenance the tasks are told: it
// may be announced days ahead, and until then they can work.
const actWithin = 2 * time.Minute

// notices is what the sources say. Guarded by the agent's lock.
type notices struct {
	bySource map[string]*job.Notice
	shown    *job.Notice // the gravest, in the status
	acted    bool        // the tasks were told of it
	pending  *time.Timer // acts on a maintenance when its time comes
}

// watchNotices follows the probe until the agent ends.
func (a *Agent) watchNotices() {
	if a.rig != nil {
		a.rig.Notices(a.life, a.noticed)
		return
	}
	notice.New(*a.config.Notice, a.metadata, a.log).Run(a.life, a.noticed)
}

// leadOf is how long the notice of an interruption is at least, by the probe;
// 0 when it does not say.
func leadOf(probe *providers.NoticeProbe) (lead time.Duration) {
	if probe == nil {
		return 0
	}
	for _, source := range probe.Sources {
		if of := source.Match.Lead; source.Kind == string(job.NoticeInterruption) && of > 0 && (lead == 0 || of < lead) {
			lead = of
		}
	}
	return lead
}

// noticed takes in what a source says now.
func (a *Agent) noticed(e notice.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.notices.bySource == nil {
		a.notices.bySource = map[string]*job.Notice{}
	}
	if e.Notice == nil {
		a.unnoticed(e.Source)
		return
	}
	n := e.Notice
	a.notices.bySource[e.Source] = n
	a.log.Warn("notice", "source", n.Source, "kind", n.Kind, "action", n.Action, "deadline", n.Deadline)
	a.notices.choose()
	a.changed()
	if n.Kind == job.NoticeRebalance {
		a.saveEarly()
		return
	}
	if a.phase == job.PhaseReady {
		a.phase = job.PhaseDraining
		a.waiting.clear()
	}
	if wait := time.Until(n.Deadline) - actWithin; n.Kind == job.NoticeMaintenance && !n.Deadline.IsZero() && wait > 0 {
		a.saveEarly()
		if a.notices.pending != nil {
			a.notices.pending.Stop()
		}
		a.notices.pending = time.AfterFunc(wait, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.life.Err() == nil && a.notices.bySource[n.Source] != nil {
				a.act(n)
			}
		})
		return
	}
	a.act(n)
}

// act tells the tasks. Called with the lock held.
func (a *Agent) act(n *job.Notice) {
	a.notices.acted = true
	s := stop{reason: stopNotice, notice: n}
	if !n.Deadline.IsZero() {
		s.deadline = time.Now().Add(time.Until(n.Deadline)) // from here on by the monotonic clock
	}
	for _, t := range a.all() {
		t.tell(s)
	}
	a.look()
}

// saveEarly has every checkpoint saved now. Called with the lock held.
func (a *Agent) saveEarly() {
	for _, t := range a.all() {
		go t.saveInBackground()
	}
}

// unnoticed: a source that had a notice says nothing any more. Advice is
// dropped at once; a notice that ends the instance counts as withdrawn when
// its deadline has passed and the instance is still there. Called with the
// lock held.
func (a *Agent) unnoticed(source string) {
	n := a.notices.bySource[source]
	if n == nil {
		return
	}
	a.log.Info("the notice is gone", "source", source)
	wait := time.Until(n.Deadline)
	if n.Kind == job.NoticeRebalance || !a.notices.acted || wait <= 0 && !n.Deadline.IsZero() {
		a.withdraw(source, n)
		return
	}
	if n.Deadline.IsZero() {
		wait = actWithin
	}
	time.AfterFunc(wait, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.withdraw(source, n)
	})
}

// withdraw drops a notice, unless its source has another one by now. Called
// with the lock held.
func (a *Agent) withdraw(source string, n *job.Notice) {
	if a.notices.bySource[source] != n {
		return
	}
	delete(a.notices.bySource, source)
	a.notices.choose()
	if a.notices.shown == nil || a.notices.shown.Kind == job.NoticeRebalance {
		a.notices.acted = false
		if a.phase == job.PhaseDraining {
			a.phase = job.PhaseReady
		}
	}
	a.changed()
}

// choose picks the notice that is shown: one that ends the instance before
// advice, an interruption before a maintenance, then the earlier deadline.
func (ns *notices) choose() {
	ns.shown = nil
	for _, n := range ns.bySource {
		if ns.shown == nil || graver(n, ns.shown) {
			ns.shown = n
		}
	}
}

func graver(a, b *job.Notice) bool {
	rank := map[job.NoticeKind]int{job.NoticeInterruption: 2, job.NoticeMaintenance: 1}
	if rank[a.Kind] != rank[b.Kind] {
		return rank[a.Kind] > rank[b.Kind]
	}
	if a.Deadline.IsZero() != b.Deadline.IsZero() {
		return !a.Deadline.IsZero()
	}
	if !a.Deadline.Equal(b.Deadline) {
		return a.Deadline.Before(b.Deadline)
	}
	return a.Source < b.Source
}
