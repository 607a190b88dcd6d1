//go:build unix

package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

func numbered(index int, program string) job.Assignment {
	return helper(program, func(a *job.Assignment) { a.Index = index })
}

func withSlots(n int) func(*Options) { return func(o *Options) { o.Config.Slots = n } }

func indexes(ids []job.AttemptID) []int {
	var all []int
	for _, id := range ids {
		all = append(all, id.Index)
	}
	return all
}

func TestWhatHasNoSlotWaits(t *testing.T) {
	r := newRig(t, withSlots(2), func(o *Options) { o.Config.Timing.Poll = job.Duration(time.Minute) })
	r.status("the first status", func(s job.Status) bool { return s.Slots == 2 })
	desired := r.desired
	desired.Sequence = 1
	for i := range 5 {
		desired.Attempts = append(desired.Attempts, numbered(i, "wait"))
	}
	r.agent.take(desired)
	status := r.status("two run", func(s job.Status) bool { return len(s.Running) == 2 })
	if status.Running[0].Index != 0 || status.Running[1].Index != 1 || len(status.Returned) > 0 {
		t.Errorf("running %+v, returned %v", status.Running, status.Returned)
	}
	// One that was taken back makes room, those that are not listed are gone.
	desired.Sequence, desired.Attempts = 2, desired.Attempts[1:4]
	r.agent.take(desired)
	status = r.status("the next runs", func(s job.Status) bool { return len(s.Running) == 2 && s.Running[1].Index == 2 })
	if len(status.Ended) != 1 || !status.Ended[0].Cancelled {
		t.Errorf("ended: %+v", status.Ended)
	}
	// What is given back is never accepted, whatever becomes free.
	desired.Sequence, desired.Return = 3, true
	r.agent.take(desired)
	r.status("the last is given back", func(s job.Status) bool { return slices.Equal(indexes(s.Returned), []int{3}) })
	desired.Sequence, desired.Return, desired.Attempts = 4, false, desired.Attempts[2:]
	r.agent.take(desired)
	status = r.status("nothing runs", func(s job.Status) bool { return s.Sequence == 4 && len(s.Running) == 0 })
	if !slices.Equal(indexes(status.Returned), []int{3}) {
		t.Errorf("returned %v while it is still assigned", status.Returned)
	}
	desired.Sequence, desired.Attempts = 5, nil
	r.agent.take(desired)
	r.status("the list is empty", func(s job.Status) bool { return len(s.Returned) == 0 })
}

func TestWhatWaitsTooLongIsGivenBack(t *testing.T) {
	r := newRig(t, withSlots(1))
	r.assign(numbered(0, "wait"), numbered(1, "wait"), numbered(2, "wait"))
	status := r.status("two are given back", func(s job.Status) bool { return len(s.Returned) == 2 })
	if len(status.Running) != 1 || status.Running[0].Index != 0 || !slices.Equal(indexes(status.Returned), []int{1, 2}) {
		t.Errorf("running %+v, returned %v", status.Running, status.Returned)
	}
}

// A broken instance uses up one attempt for each slot, not all that waits.
func TestFailureHoldsWhatWaits(t *testing.T) {
	r := newRig(t, withSlots(1), func(o *Options) { o.Config.Timing.Poll = job.Duration(time.Minute) })
	r.status("the first status", func(job.Status) bool { return true })
	desired := r.desired
	desired.Sequence = 1
	desired.Attempts = []job.Assignment{numbered(0, "exit 3"), numbered(1, "exit 0"), numbered(2, "exit 0")}
	r.agent.take(desired)
	r.status("the failure", func(s job.Status) bool { return len(s.Ended) == 1 })
	r.agent.mu.Lock()
	waiting := len(r.agent.waiting.queue)
	r.agent.mu.Unlock()
	if waiting != 2 {
		t.Errorf("%d wait, want 2", waiting)
	}
	desired.Sequence = 2
	r.agent.take(desired)
	r.status("all ended", func(s job.Status) bool { return len(s.Ended) == 3 })
}
