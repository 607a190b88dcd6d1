//go:build linux || darwin

package local

import (
	"math"
	"time"
)

// agenda is what a supervisor will do at a time, and who waits for its end.
type agenda struct {
	items   []agendaItem
	waiting []order
}

type agendaItem struct {
	at time.Duration // since the launch
	do func() *verdict
}

func (a *agenda) add(at time.Duration, do func() *verdict) {
	a.items = append(a.items, agendaItem{at, do})
}

// next is how long it is to the earliest item.
func (a *agenda) next(elapsed time.Duration) time.Duration {
	earliest := time.Duration(math.MaxInt64)
	for _, item := range a.items {
		earliest = min(earliest, item.at)
	}
	return max(earliest-elapsed, 0)
}

// run does what is due, in the order of time, up to the first that ends the
// instance.
func (a *agenda) run(elapsed time.Duration) *verdict {
	for {
		first := -1
		for i, item := range a.items {
			if item.at <= elapsed && (first < 0 || item.at < a.items[first].at) {
				first = i
			}
		}
		if first < 0 {
			return nil
		}
		item := a.items[first]
		a.items = append(a.items[:first], a.items[first+1:]...)
		if end := item.do(); end != nil {
			return end
		}
	}
}
