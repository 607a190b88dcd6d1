package plan

import (
	"cmp"
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// bounded reports whether a specification bounds how many attempts are assigned
// at once.
func bounded(spec *job.Spec) bool {
	return spec.MaxParallel > 0 || slices.ContainsFunc(spec.Tasks, func(t job.Task) bool { return t.MaxParallel > 0 })
}

// parallel is how many attempts of a task are assigned now.
func (s *State) parallel(task int32) int {
	c := &s.work.tasks[task].counts
	return c[phaseNumber(IndexAssigned)] + c[phaseNumber(IndexRunning)]
}

// mayBegin reports whether max_parallel lets another attempt of a task be
// assigned.
func (s *State) mayBegin(task int32) bool {
	if !s.work.bounded {
		return true
	}
	if m := s.Spec.MaxParallel; m > 0 && s.work.busy >= m {
		return false
	}
	m := s.Spec.Tasks[task].MaxParallel
	return m == 0 || s.parallel(task) < m
}

// demand is how many of the indexes that wait on either side of each group may
// be given to an instance; it is what instances are rented for.
func (t *tick) demand() map[*group][2]int {
	wanted := make(map[*group][2]int, len(t.work.groups))
	if !t.work.bounded {
		for _, g := range t.work.groups {
			wanted[g] = [2]int{onSpot: g.sides[onSpot].ready, onDemand: g.sides[onDemand].ready}
		}
		return wanted
	}
	room := -1
	if m := t.Spec.MaxParallel; m > 0 {
		room = max(m-t.work.busy, 0)
	}
	for _, task := range t.work.byRank {
		own := -1
		if m := t.Spec.Tasks[task].MaxParallel; m > 0 {
			own = max(m-t.parallel(task), 0)
		}
		for _, g := range t.groupsOf(task) {
			n := wanted[g]
			for _, side := range []int{onDemand, onSpot} { // as they are assigned
				k := t.readyIn(task, g, side)
				if own >= 0 {
					k = min(k, own)
					own -= k
				}
				if room >= 0 {
					k = min(k, room)
					room -= k
				}
				n[side] += k
			}
			wanted[g] = n
		}
	}
	return wanted
}

// groupsInOrder are the groups in the order in which they are served: those
// first whose waiting tasks have the higher priority.
func (t *tick) groupsInOrder() []*group {
	if !t.work.ranked {
		return t.work.groups
	}
	best := map[*group]int32{}
	for place, task := range t.work.byRank {
		for _, g := range t.groupsOf(task) {
			if _, known := best[g]; !known && t.readyIn(task, g, onSpot)+t.readyIn(task, g, onDemand) > 0 {
				best[g] = int32(place)
			}
		}
	}
	last := int32(len(t.work.byRank))
	placeOf := func(g *group) int32 {
		if place, ok := best[g]; ok {
			return place
		}
		return last
	}
	groups := slices.Clone(t.work.groups)
	slices.SortStableFunc(groups, func(a, b *group) int { return cmp.Compare(placeOf(a), placeOf(b)) })
	return groups
}

// rankTasks prepares what priorities and max_parallel need.
func (w *working) rankTasks(spec *job.Spec) {
	rank := ranks(spec)
	w.byRank = make([]int32, len(rank))
	for task, place := range rank {
		w.byRank[place] = int32(task)
	}
	w.bounded = bounded(spec)
	w.holds = slices.ContainsFunc(spec.Tasks, func(t job.Task) bool { return t.HoldOnFailure > 0 })
	w.ranked = slices.ContainsFunc(spec.Tasks, func(t job.Task) bool { return t.Priority != spec.Tasks[0].Priority })
	for _, g := range w.groups {
		for side := range g.sides {
			g.sides[side].queue.rank = rank
		}
	}
}
