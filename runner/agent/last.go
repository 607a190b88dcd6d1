//go:build unix

package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/runner/agent/window"
	"github.com/spotrelay/spotrelay/runner/job"
)

// lastPlan is an attempt's part of the plan for the seconds before a deadline.
type lastPlan struct {
	window.Plan
	write time.Duration // how long its command may go on
	save  time.Duration // what its own saves take that are tried
}

// beginWindow notes when the attempt was told of its deadline.
func (t *attempt) beginWindow(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.window.IsZero() {
		t.window = now
	}
}

// lookTime is how long the last look at the directories took.
func (t *attempt) lookTime() (took time.Duration) {
	for _, s := range t.savers {
		s.mu.Lock()
		took += s.took
		s.mu.Unlock()
	}
	return took
}

// planWindow plans what is left until the deadline, for all attempts of the
// instance that save against one: they share its bandwidth. With fresh it looks
// at this attempt's own directories first.
func (t *attempt) planWindow(fresh bool) lastPlan {
	if fresh {
		for _, s := range t.savers {
			s.look(t.agent.life)
		}
	}
	t.mu.Lock()
	deadline, begun := t.deadline, t.window
	t.mu.Unlock()
	if deadline.IsZero() {
		return lastPlan{}
	}
	t.agent.mu.Lock()
	attempts := t.agent.all()
	t.agent.mu.Unlock()
	if !slices.Contains(attempts, t) {
		attempts = append(attempts, t)
	}
	var saves []window.Save
	for _, other := range attempts {
		saves = append(saves, other.lastSaves()...)
	}
	plan := lastPlan{Plan: window.Make(time.Until(deadline), deadline.Sub(begun), saves, t.agent.bandwidth.pace())}
	plan.write = max(time.Until(deadline)-plan.Margin, 0)
	for _, s := range t.savers {
		p, ok := plan.Of(s.id())
		if !ok || p.Verdict == window.GivenUp {
			continue
		}
		plan.write = min(plan.write, p.Begin)
		plan.save += p.Takes
	}
	return plan
}

// id tells the saver from those of all attempts on the instance.
func (s *saver) id() string {
	return fmt.Sprintf("%s/%d/%d/%s", s.t.id.Task, s.t.id.Index, s.t.id.Attempt, s.spec.Name)
}

// lastSaves are the saves that the attempt has still to make before its
// deadline; none without one.
func (t *attempt) lastSaves() []window.Save {
	if !t.hurried() {
		return nil
	}
	var saves []window.Save
	for _, s := range t.savers {
		s.mu.Lock()
		if !s.closed && !s.finished {
			saves = append(saves, window.Save{Name: s.id(), Order: s.order, Send: s.now.BytesLikely, Read: s.now.BytesChanged})
		}
		s.mu.Unlock()
	}
	return saves
}

// saveLast makes the last saves after the command has ended: with a deadline in
// the order of the plan, which is made anew before each, and without what the
// plan gives up. What was not saved is in the evidence.
func (t *attempt) saveLast(ctx context.Context) error {
	left := slices.Clone(t.savers)
	var failed error
	for len(left) > 0 {
		s, planned, wait := t.nextSave(left)
		if wait {
			if sleep(ctx, replan) {
				continue
			}
		}
		var err error
		if planned.Verdict == window.GivenUp {
			err = &givenUpError{reason: planned.Reason}
		} else {
			err = s.last(ctx)
		}
		s.mu.Lock()
		s.finished = true
		s.mu.Unlock()
		if err != nil {
			t.notSaved(s, err)
			if failed == nil {
				failed = err
			}
		}
		left = slices.DeleteFunc(left, func(other *saver) bool { return other == s })
	}
	return failed
}

// nextSave is the next of the attempt's saves by the plan. Wait: it does not
// fit, and others on the instance that do are not done yet.
func (t *attempt) nextSave(left []*saver) (next *saver, planned window.Planned, wait bool) {
	if !t.hurried() {
		return left[0], window.Planned{}, false
	}
	plan := t.planWindow(true)
	for _, p := range plan.Saves {
		i := slices.IndexFunc(left, func(s *saver) bool { return s.id() == p.Name })
		if i < 0 {
			continue
		}
		fits := plan.Saves[0].Verdict == window.Fits
		return left[i], p, p.Verdict == window.Late && fits
	}
	return left[0], window.Planned{}, false
}

// notSaved writes down that a last save was not made, and what stays.
func (t *attempt) notSaved(s *saver, err error) {
	stays := "there is no checkpoint before it"
	if base := s.newest(); base != nil {
		stays = fmt.Sprintf("checkpoint %d-%d stays", base.ID.Attempt, base.ID.Sequence)
	}
	text := fmt.Sprintf("%s%v; %s", s.label(), err, stays)
	t.output.note("the last checkpoint was not saved: %s", text)
	t.record(func(end *job.AttemptEnd) { end.SaveError = text })
}

// givenUpError is a save that was not begun.
type givenUpError struct{ reason string }

func (e *givenUpError) Error() string { return "given up: " + e.reason }
