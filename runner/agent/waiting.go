//go:build unix

package agent

import (
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// waiting is what the instance is assigned and has no slot for yet. None of it
// is accepted: it is what the desired document says, and goes with it. What is
// given back is said in the status and never accepted, so that the controller
// may assign it anew without asking.
type waiting struct {
	queue    []job.Assignment
	since    map[job.AttemptID]time.Time // of the queue
	returned []job.AttemptID
	// held: an attempt failed, and no newer document has come since. The
	// controller is to say first whether this instance may go on: otherwise a
	// broken one would use up an attempt of all that waits.
	held bool
}

// renew makes room for a newer document's attempts. What it does not list any
// more need not be said to be given back.
func (w *waiting) renew(attempts []job.Assignment) {
	listed := make(map[job.AttemptID]bool, len(attempts))
	for i := range attempts {
		listed[attempts[i].AttemptID] = true
	}
	w.queue = w.queue[:0]
	for id := range w.since {
		if !listed[id] {
			delete(w.since, id)
		}
	}
	w.returned = slices.DeleteFunc(w.returned, func(id job.AttemptID) bool { return !listed[id] })
}

// add queues an attempt, which keeps the time it has waited already.
func (w *waiting) add(assignment job.Assignment) {
	if w.since == nil {
		w.since = map[job.AttemptID]time.Time{}
	}
	if _, ok := w.since[assignment.AttemptID]; !ok {
		w.since[assignment.AttemptID] = time.Now()
	}
	w.queue = append(w.queue, assignment)
}

// take is the next of the queue.
func (w *waiting) take() job.Assignment {
	next := w.queue[0]
	w.queue = w.queue[1:]
	delete(w.since, next.AttemptID)
	return next
}

// clear forgets what waits: nothing is accepted any more, which the phase says.
func (w *waiting) clear() { w.queue, w.since = nil, nil }

// slots is how many attempts run at a time.
func (a *Agent) slots() int { return max(a.config.Slots, 1) }

// acceptWaiting accepts as many attempts as there are free slots. Called with
// the lock held.
func (a *Agent) acceptWaiting() {
	for a.phase == job.PhaseReady && !a.waiting.held && len(a.order) < a.slots() && len(a.waiting.queue) > 0 {
		next := a.waiting.take()
		a.known[next.AttemptID] = true
		a.accept(next)
	}
}

// giveBack gives back what has waited for so long. Called with the lock held.
func (a *Agent) giveBack(after time.Duration) {
	kept := a.waiting.queue[:0]
	for _, assignment := range a.waiting.queue {
		id := assignment.AttemptID
		if time.Since(a.waiting.since[id]) < after {
			kept = append(kept, assignment)
			continue
		}
		delete(a.waiting.since, id)
		a.known[id] = true
		a.waiting.returned = append(a.waiting.returned, id)
	}
	if len(kept) < len(a.waiting.queue) {
		a.log.Info("gives back what waited for a slot", "attempts", len(a.waiting.queue)-len(kept))
		a.changed()
	}
	a.waiting.queue = kept
}
