package plan

import (
	"slices"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// watch is what this tenure has seen of an instance. All of it is seen again
// in the next one.
type watch struct {
	seen   Time // when its status changed last, or the tenure began
	last   *job.Status
	former []string // boots of earlier lives
	// leaving: its agent takes nothing new.
	leaving bool

	listed   Time // when the newest listing that shows it was begun
	state    providers.InstanceState
	vanished bool    // gone by a listing; its evidence is on its way
	fencing  fencing // why evidence was asked for before an end of ours
	idle     Time    // since when it runs nothing
	timer    Time    // when it is looked at next
	took     Time    // what an attempt on it takes as a rule, 0: not known

	filed filed
}

// fencing is why an instance's evidence is gathered while it may still run.
type fencing string

const (
	fencingBoot   fencing = "boot"
	fencingSilent fencing = "silent"
)

// filed is what an instance was counted as in its group.
type filed struct {
	group   *group
	side    int
	booting int
	live    int
	idle    int
	coming  [2]int
}

// meet begins to watch an instance.
func (s *State) meet(inst *Instance) {
	s.work.watches[inst.ID] = &watch{seen: s.work.now, idle: s.work.now}
	if g := s.work.byKey[inst.Group]; g != nil {
		g.members[inst.ID] = struct{}{}
	}
	s.setTimer(inst)
}

// setTimer has the instance looked at when it will have been silent for too
// long, or has not booted.
func (s *State) setTimer(inst *Instance) {
	if at, ok := s.deadline(inst); ok {
		s.work.watches[inst.ID].timer = at
		s.work.timers.put(timer{at: at, instance: inst.ID})
	}
}

// deadline is when an instance must have reported, and whether it must.
func (s *State) deadline(inst *Instance) (Time, bool) {
	timing := s.Spec.Timing
	switch {
	case inst.Ending != "":
		return 0, false
	case inst.Ready == 0:
		return inst.Launched + timing.BootTimeout.D(), timing.BootTimeout > 0
	default:
		return s.work.watches[inst.ID].seen + timing.Silence.D(), timing.Silence > 0
	}
}

// usable reports whether attempts may be assigned to an instance.
func (s *State) usable(inst *Instance) bool {
	w := s.work.watches[inst.ID]
	return inst.Ending == "" && inst.Hold == nil && inst.Notice == nil && !inst.Rebalance && !w.leaving && !w.vanished &&
		!s.quarantined(inst)
}

// refile counts an instance anew in its group. Every event and observation
// that touches an instance ends here.
func (s *State) refile(inst *Instance) {
	w := s.work.watches[inst.ID]
	s.work.touched[inst.ID] = struct{}{}
	s.unfile(inst.ID, w)
	g := s.work.byKey[inst.Group]
	if g == nil {
		return
	}
	f := filed{group: g, side: sideOf(inst.Offer.Capacity)}
	a := &g.sides[f.side]
	spent := g.dedicated && (inst.Used > 0 || len(inst.Attempts) > 0)
	switch {
	case !s.usable(inst):
		s.countComing(inst, &f)
	case spent:
	case inst.Ready == 0:
		f.booting, f.live = 1, 1
	default:
		f.live = 1
		if len(inst.Attempts) == 0 {
			f.idle = 1
		}
		if free := g.slots - len(inst.Attempts); free > 0 {
			a.free[inst.ID] = free
			a.slots += free
		}
		if s.ahead(inst, g) > 0 {
			a.brisk[inst.ID] = struct{}{}
		}
	}
	a.booting += f.booting
	a.live += f.live
	a.idle += f.idle
	for i, n := range f.coming {
		g.sides[i].coming += n
	}
	w.filed = f
}

// countComing counts the attempts that an interruption is about to send to
// another instance, so that it can be rented while they save.
func (s *State) countComing(inst *Instance, f *filed) {
	if f.group.nodes > 1 { // see lackOf
		return
	}
	if inst.Notice == nil || inst.Notice.Kind == job.NoticeRebalance {
		return
	}
	// What waits there ahead is no reason to rent more than its slots again.
	for _, id := range inst.Attempts[:min(len(inst.Attempts), max(inst.Slots, 1))] {
		r, ok := s.locate(id.Task, id.Index)
		if !ok {
			continue
		}
		left := s.Spec.Tasks[r.task].Retries.Attempts - s.at(r).Charged - 1
		if left > 0 {
			f.coming[s.sideAfter(r, 1)]++
		}
	}
}

func (s *State) unfile(id string, w *watch) {
	g := w.filed.group
	if g == nil {
		return
	}
	a := &g.sides[w.filed.side]
	a.slots -= a.free[id]
	delete(a.free, id)
	delete(a.brisk, id)
	a.booting -= w.filed.booting
	a.live -= w.filed.live
	a.idle -= w.filed.idle
	for i, n := range w.filed.coming {
		g.sides[i].coming -= n
	}
	w.filed = filed{}
}

// forget ends the watch of an instance that is gone.
func (s *State) forget(inst *Instance) {
	w := s.work.watches[inst.ID]
	s.unfile(inst.ID, w)
	if g := s.work.byKey[inst.Group]; g != nil {
		delete(g.members, inst.ID)
	}
	s.countIn(inst, -1)
	delete(s.work.watches, inst.ID)
	delete(s.work.dirty, inst.ID)
	delete(s.work.touched, inst.ID)
	delete(s.Instances, inst.ID)
}

// countIn adds to the number of instances in an instance's pool and fleet.
func (s *State) countIn(inst *Instance, n int) {
	for _, key := range []poolKey{{inst.Fleet, inst.Offer.Pool()}, {fleet: inst.Fleet}} {
		if s.work.pools[key] += n; s.work.pools[key] <= 0 {
			delete(s.work.pools, key)
		}
	}
}

// runs reports whether the last status lists the attempt as running.
func (w *watch) runs(id job.AttemptID) *job.AttemptStatus {
	if w.last == nil {
		return nil
	}
	i := slices.IndexFunc(w.last.Running, func(a job.AttemptStatus) bool { return a.AttemptID == id })
	if i < 0 {
		return nil
	}
	return &w.last.Running[i]
}

// reportsEnd reports whether the last status lists the attempt as ended.
func (w *watch) reportsEnd(id job.AttemptID) bool {
	return w.last != nil &&
		slices.ContainsFunc(w.last.Ended, func(e job.AttemptEnd) bool { return e.AttemptID == id })
}
