// Package window plans the seconds before an instance is taken: how long its
// tasks may write, which checkpoint is sent first, when that must begin, and
// which one is given up since it would not come through. It is pure: what there
// is to send and how fast that goes comes in, a plan comes out.
package window

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Commit is what a save takes beside its bytes: the scan, the manifest, the
// answers.
const Commit = 500 * time.Millisecond

// Pace is how fast an instance saves.
type Pace struct {
	Send     float64 // bytes a second
	Read     float64 // bytes a second; 0: as fast as it sends, or faster
	Measured bool    // and not merely assumed
}

// Time is how long a save takes that reads and sends so many bytes. Both go on
// at once, so the slower counts.
func (p Pace) Time(send, read int64) time.Duration {
	seconds := 0.0
	if p.Send > 0 {
		seconds = float64(max(send, 0)) / p.Send
	}
	if p.Read > 0 {
		seconds = max(seconds, float64(max(read, 0))/p.Read)
	}
	const most = float64(1<<63-1) / 4
	return Commit + time.Duration(min(seconds*float64(time.Second), most))
}

// Save is a checkpoint that is to be committed before the instance goes.
type Save struct {
	Name  string // whatever tells it from others
	Order int    // the lower one goes first
	Send  int64  // bytes still to send
	Read  int64  // bytes still to read
}

// Verdict is what becomes of a save.
type Verdict string

// The verdicts.
const (
	// Fits: by what was measured it is committed in time.
	Fits Verdict = "fits"
	// Late: it would come too late by what was measured, but not by so much
	// that it could not come through after all: it goes last, and begins early.
	Late Verdict = "late"
	// GivenUp: it is not begun. The checkpoint before stays the newest.
	GivenUp Verdict = "given up"
)

// Planned is a save in the plan.
type Planned struct {
	Save
	Verdict Verdict
	Takes   time.Duration
	// Begin is the latest that its sending may begin, from now on; of one that
	// is late it is Plan.Write.
	Begin time.Duration
	// Reason why it does not fit, for people.
	Reason string
}

// Plan is what to do with the seconds that are left.
type Plan struct {
	// Saves in the order in which they are sent; those given up are last.
	Saves []Planned
	// Write is how long the tasks may go on from now.
	Write time.Duration
	// Margin is kept free before the deadline.
	Margin time.Duration
}

// Of is the plan of one save.
func (p Plan) Of(name string) (Planned, bool) {
	i := slices.IndexFunc(p.Saves, func(s Planned) bool { return s.Name == name })
	if i < 0 {
		return Planned{}, false
	}
	return p.Saves[i], true
}

// hopeless is by what factor a save may exceed what is left and still be tried:
// estimates and deadlines are no better than that.
const hopeless = 2

// Margin is what of a window is kept free at its end.
func Margin(window time.Duration) time.Duration {
	return min(max(window/10, 100*time.Millisecond), 2*time.Second)
}

// Make plans what is left of a window that was window long at its beginning.
// Saves are taken in by their order, the shorter one first among equals: each
// that still fits beside those before it does. Where one does not, it and the
// work that it holds must not cost the others their place.
func Make(left, window time.Duration, saves []Save, pace Pace) Plan {
	plan := Plan{Margin: Margin(window)}
	for _, s := range saves {
		plan.Saves = append(plan.Saves, Planned{Save: s, Takes: pace.Time(s.Send, s.Read)})
	}
	slices.SortStableFunc(plan.Saves, func(a, b Planned) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Takes, b.Takes), cmp.Compare(a.Name, b.Name))
	})
	left = max(left, 0)
	room := max(left-plan.Margin, 0)
	used, late := time.Duration(0), false
	for i := range plan.Saves {
		s := &plan.Saves[i]
		switch {
		case s.Takes <= room-used:
			s.Verdict = Fits
			used += s.Takes
			continue
		case pace.Measured && (left == 0 || s.Takes > saturated(left)):
			s.Verdict = GivenUp
		default:
			s.Verdict, late = Late, true
		}
		s.Reason = fmt.Sprintf("%s at %s/s take %s, %s are left", Bytes(s.Send), Bytes(int64(pace.Send)), Span(s.Takes), Span(left))
		if used > 0 {
			s.Reason += fmt.Sprintf(", of which the checkpoints before it take %s", Span(used))
		}
	}
	rank := map[Verdict]int{Fits: 0, Late: 1, GivenUp: 2}
	slices.SortStableFunc(plan.Saves, func(a, b Planned) int { return cmp.Compare(rank[a.Verdict], rank[b.Verdict]) })
	plan.Write = room - used
	if late {
		// What does not fit has the best chance when it begins early; and a task
		// that is just writing its state needs some of the time, too.
		plan.Write = min(plan.Write, left/2)
	}
	begin := room - used
	for i := range plan.Saves {
		switch s := &plan.Saves[i]; s.Verdict {
		case Fits:
			s.Begin = begin
			begin += s.Takes
		case Late:
			s.Begin = plan.Write
		}
	}
	return plan
}

// saturated is hopeless times a span, without running over.
func saturated(d time.Duration) time.Duration {
	if d > (1<<63-1)/hopeless {
		return 1<<63 - 1
	}
	return hopeless * d
}
