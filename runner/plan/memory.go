package plan

import (
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// A task whose memory is raised after attempts that ran out of it has a group of
// its own for each amount beyond the first, so its indexes move from one to the
// next; see job.Task.MemoryTiers.

// tierGroup is the group of a task's attempts that ask for a raised amount.
func tierGroup(spec *job.Spec, task *job.Task, memory int64) *group {
	raised := task.WithMemory(memory)
	g := newGroup(spec, &raised)
	g.key = task.Name + " with " + sizeText(memory)
	return g
}

// groupOf is the group that an index's next attempt, or the one that runs,
// belongs to.
func (s *State) groupOf(r ref) *group {
	if memory := s.at(r).Memory; memory > 0 {
		if g := s.work.tiers[r.task][memory]; g != nil {
			return g
		}
	}
	return s.work.of[r.task]
}

// groupsOf are all groups of a task, that of its resources first, then by
// memory.
func (s *State) groupsOf(task int32) []*group {
	groups := []*group{s.work.of[task]}
	for _, memory := range s.Spec.Tasks[task].MemoryTiers()[1:] {
		groups = append(groups, s.work.tiers[task][memory])
	}
	return groups
}

// readyIn is how many indexes of a task wait in one of its groups on a side.
// Groups of raised memory hold no other task.
func (s *State) readyIn(task int32, g *group, side int) int {
	if g != s.work.of[task] {
		return g.sides[side].ready
	}
	n := s.work.tasks[task].ready[side]
	for _, raised := range s.work.tiers[task] {
		n -= raised.sides[side].ready
	}
	return n
}

// moreMemory is what an index asks for after an attempt that ended so; 0: what
// it asked for before.
func (s *State) moreMemory(r ref, v Verdict) int64 {
	if v.Class != job.OutOfMemory {
		return 0
	}
	tiers := s.Spec.Tasks[r.task].MemoryTiers()
	at := max(slices.Index(tiers, s.at(r).Memory), 0)
	if at+1 >= len(tiers) {
		return 0
	}
	return tiers[at+1]
}

// raiseMemory moves an index that waits for nothing to another group.
func (s *State) raiseMemory(r ref, memory int64) {
	if memory <= 0 {
		return
	}
	s.groupOf(r).open--
	s.at(r).Memory = memory
	s.groupOf(r).open++
}
