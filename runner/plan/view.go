package plan

import (
	"iter"
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// Run is what the run is at.
func (s *State) Run() RunState {
	switch {
	case s.Outcome != "" && !s.Closed:
		return RunClosing
	case s.Outcome == OutcomeSucceeded:
		return RunSucceeded
	case s.Outcome == OutcomeFailed:
		return RunFailed
	case s.Outcome == OutcomeCancelled:
		return RunCancelled
	case s.Cancel:
		return RunCancelling
	case s.Stop != nil:
		return RunStopping
	case s.atRest():
		return RunResting
	case s.Paused:
		return RunPausing
	case s.Held != "":
		return RunHolding
	}
	return RunRunning
}

// Finished reports whether the run is over and nothing of it is left: every
// instance gone, every intent closed.
func (s *State) Finished() bool { return s.Closed }

// Counts says how many indexes are in each phase now; phases without any are
// left out.
func (s *State) Counts() map[IndexPhase]int {
	counts := map[IndexPhase]int{}
	for i := range s.Tasks {
		for phase, n := range s.taskCounts(i) {
			counts[phase] += n
		}
	}
	return counts
}

// TaskView is a task with how many of its indexes are in each phase.
type TaskView struct {
	Task   string             `json:"task"`
	Count  int                `json:"count"`
	Counts map[IndexPhase]int `json:"counts"`
}

// TaskViews is every task, in the specification's order.
func (s *State) TaskViews() []TaskView {
	views := make([]TaskView, len(s.Tasks))
	for i := range s.Tasks {
		views[i] = TaskView{Task: s.Spec.Tasks[i].Name, Count: len(s.Tasks[i].Indexes), Counts: s.taskCounts(i)}
	}
	return views
}

func (s *State) taskCounts(task int) map[IndexPhase]int {
	counts := map[IndexPhase]int{}
	for i, n := range s.work.tasks[task].counts {
		if n > 0 {
			counts[phases[i]] = n
		}
	}
	if counts[IndexWaiting] == 0 {
		return counts
	}
	for j := range s.Tasks[task].Indexes { // those whose wait is over are ready
		x := &s.Tasks[task].Indexes[j]
		if x.Phase == IndexWaiting && s.phaseOf(x) == IndexReady {
			counts[IndexReady]++
			counts[IndexWaiting]--
		}
	}
	if counts[IndexWaiting] == 0 {
		delete(counts, IndexWaiting)
	}
	return counts
}

// AttemptView is an attempt as the table of attempts shows it.
type AttemptView struct {
	Task  string `json:"task"`
	Index int    `json:"index"`
	Key   string `json:"key,omitempty"` // of for_each
	Array bool   `json:"array,omitempty"`
	AttemptRecord
}

// Attempts is every attempt, by task, index and number. Attempts that were
// never accepted are there only while they are assigned.
func (s *State) Attempts() iter.Seq[AttemptView] {
	return func(yield func(AttemptView) bool) {
		for i := range s.Tasks {
			for j := range s.Tasks[i].Indexes {
				for k := range s.Tasks[i].Indexes[j].Attempts {
					if !yield(s.view(ref{int32(i), int32(j)}, k)) {
						return
					}
				}
			}
		}
	}
}

// Running is the attempts that instances have now, accepted or only assigned.
func (s *State) Running() []AttemptView {
	var views []AttemptView
	for _, id := range sortedKeys(s.Instances) {
		for _, a := range s.Instances[id].Attempts {
			if rec, r := s.live(a, id); rec != nil {
				views = append(views, s.view(r, len(s.at(r).Attempts)-1))
			}
		}
	}
	byID := func(a, b AttemptView) int {
		return compareIDs(job.AttemptID{Task: a.Task, Index: a.Index}, job.AttemptID{Task: b.Task, Index: b.Index})
	}
	slices.SortFunc(views, byID)
	return slices.CompactFunc(views, func(a, b AttemptView) bool { return byID(a, b) == 0 }) // a gang's nodes
}

func (s *State) view(r ref, k int) AttemptView {
	task := &s.Spec.Tasks[r.task]
	return AttemptView{
		Task: task.Name, Index: int(r.index), Key: task.KeyOf(int(r.index)), Array: task.Array,
		AttemptRecord: s.at(r).Attempts[k],
	}
}

// GroupView is a group of tasks that share instances, with what waits there.
type GroupView struct {
	Group  string   `json:"group"` // name of its first task
	Tasks  []string `json:"tasks"`
	Fleets []string `json:"fleets"`
	Ready  int      `json:"ready"` // indexes that wait for an instance
	Final  int      `json:"final"` // of these, on-demand ones
	Moved  bool     `json:"moved,omitempty"`
	// Waiting says why there is no instance yet, "" when nothing waits.
	Waiting string `json:"waiting,omitempty"`
}

// Groups is every group that has indexes waiting for an instance. Waiting is
// this tenure's knowledge: of a state that is only read it is "".
func (s *State) Groups() []GroupView {
	var views []GroupView
	for _, g := range s.work.groups {
		ready := g.sides[onSpot].ready + g.sides[onDemand].ready
		if ready == 0 {
			continue
		}
		v := GroupView{Group: g.key, Fleets: g.fleets, Ready: ready, Final: g.sides[onDemand].ready,
			Moved: s.Moved[g.key], Waiting: g.waiting}
		for i, of := range s.work.of {
			if of == g {
				v.Tasks = append(v.Tasks, s.Spec.Tasks[i].Name)
			}
		}
		views = append(views, v)
	}
	return views
}

// InstanceViews is every instance that is not gone, by id. One whose agent said
// in this tenure that it takes nothing new is shown as leaving.
func (s *State) InstanceViews() []Instance {
	views := make([]Instance, 0, len(s.Instances))
	for _, id := range sortedKeys(s.Instances) {
		view := *s.Instances[id]
		if s.work.watches[id].leaving && view.Phase == InstanceUp {
			view.Phase = InstanceDraining
		}
		views = append(views, view)
	}
	return views
}

// Index is the state of one index, nil when there is none. It must not be
// changed.
func (s *State) Index(task string, index int) *IndexState {
	r, ok := s.locate(task, index)
	if !ok {
		return nil
	}
	return s.at(r)
}

// Spent is what the run has cost until now in dollars: instances that are
// gone, and those that live, up to the state's time.
func (s *State) Spent() float64 {
	cost := s.Cost
	for _, id := range sortedKeys(s.Instances) {
		inst := s.Instances[id]
		cost += inst.cost(s.work.now)
	}
	return cost
}
