package plan

import (
	"cmp"
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// lanes are the indexes that wait on one side of a group, a lane for each task,
// the tasks with the higher priority first. What they hold may be out of date;
// whoever takes from them checks.
type lanes struct {
	rank []int32 // of every task of the run: its place by priority
	list []lane  // that are not empty, by rank
}

type lane struct {
	task  int32
	queue refHeap
}

// ranks are the tasks' places by priority, equal ones in their own order.
func ranks(spec *job.Spec) []int32 {
	order := make([]int32, len(spec.Tasks))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		return cmp.Compare(spec.Tasks[b].Priority, spec.Tasks[a].Priority)
	})
	rank := make([]int32, len(order))
	for place, task := range order {
		rank[task] = int32(place)
	}
	return rank
}

func (l *lanes) empty() bool { return len(l.list) == 0 }

func (l *lanes) put(r ref) {
	at, found := slices.BinarySearchFunc(l.list, l.rank[r.task], func(a lane, rank int32) int {
		return cmp.Compare(l.rank[a.task], rank)
	})
	if !found {
		l.list = slices.Insert(l.list, at, lane{task: r.task})
	}
	l.list[at].queue.put(r)
}

// take is the next index of the first task that may begin one.
func (l *lanes) take(may func(task int32) bool) (ref, bool) {
	for i := range l.list {
		if !may(l.list[i].task) {
			continue
		}
		r := l.list[i].queue.take()
		if len(l.list[i].queue) == 0 {
			l.list = slices.Delete(l.list, i, i+1)
		}
		return r, true
	}
	return ref{}, false
}
