package plan

import "container/heap"

// ref is an index of a task, by the task's place in the spec.
type ref struct{ task, index int32 }

func (r ref) less(o ref) bool {
	if r.task != o.task {
		return r.task < o.task
	}
	return r.index < o.index
}

// refHeap gives indexes in task order, then in index order. What it holds may
// be out of date; whoever takes from it checks.
type refHeap []ref

func (h refHeap) Len() int           { return len(h) }
func (h refHeap) Less(i, j int) bool { return h[i].less(h[j]) }
func (h refHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *refHeap) Push(x any)        { *h = append(*h, x.(ref)) }
func (h *refHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

func (h *refHeap) put(r ref) { heap.Push(h, r) }
func (h *refHeap) take() ref { return heap.Pop(h).(ref) }

// timer is something to look at, at a time: an instance, or an index.
type timer struct {
	at       Time
	instance string // "" for an index
	index    ref
}

// timerHeap gives timers in order of time. A timer that is out of date does no
// harm: whoever takes it looks at the state.
type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.at != b.at {
		return a.at < b.at
	}
	if a.instance != b.instance {
		return a.instance < b.instance
	}
	return a.index.less(b.index)
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

func (h *timerHeap) put(t timer) { heap.Push(h, t) }

// due takes the next timer whose time has come.
func (h *timerHeap) due(now Time) (timer, bool) {
	if len(*h) == 0 || (*h)[0].at > now {
		return timer{}, false
	}
	return heap.Pop(h).(timer), true
}
