package plan

import (
	"fmt"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// freeHosts is how often a host lost under a final attempt is replaced at no
// charge.
const freeHosts = 2

// sideFor is the side on which an index's next attempt waits: on-demand when
// it is one of the last, and the fleets have that.
func (s *State) sideFor(r ref) int { return s.sideAfter(r, 0) }

// sideAfter is the same after so many further charges.
func (s *State) sideAfter(r ref, charges int) int {
	retries := s.Spec.Tasks[r.task].Retries
	left := retries.Attempts - s.at(r).Charged - charges
	if left <= retries.OnDemandAttempts && retries.OnDemandAttempts > 0 && !s.groupOf(r).noOnDemand {
		return onDemand
	}
	return onSpot
}

// hostLost reports whether a verdict says that the machine went, not that the
// task or its agent did something wrong on it.
func hostLost(v Verdict) bool {
	if v.Class == job.Preempted {
		return true
	}
	return v.Cause == job.CauseLost || v.Cause == job.CauseHostEvent || v.Cause == job.CauseAgentLost ||
		v.Cause == job.CauseOrphaned
}

// replacedFree reports whether the attempt's host is replaced at no charge.
func replacedFree(x *IndexState, rec *AttemptRecord, v Verdict) bool {
	return rec.Final && rec.Offer.Capacity == providers.OnDemand && v.Charge != job.ChargeNothing &&
		hostLost(v) && x.FreeHosts < freeHosts
}

// damagedAgain reports whether an attempt could not restore its checkpoint, as
// the one before it could not restore a newer one: checkpoints share chunks, so
// this is the same damage, and charged once. It has an end, since each of them
// is tried once.
func damagedAgain(x *IndexState, v Verdict) bool {
	if v.Cause != job.CauseRestore || len(x.Attempts) < 2 {
		return false
	}
	before := x.Attempts[len(x.Attempts)-2].Verdict
	return before != nil && before.Cause == job.CauseRestore
}

// counters are the budgets that an index has used up.
type counters struct{ charged, preempted, failures, hosts int }

func (x *IndexState) counters() counters {
	return counters{x.Charged, x.Preempted, x.Failures, x.Hosts}
}

// plus is the counters after a charge.
func (c counters) plus(charge job.Charge) counters {
	switch charge {
	case job.ChargePreemptions:
		c.preempted++
	case job.ChargeFailures:
		c.failures++
	case job.ChargeInfrastructure:
		c.hosts++
	default:
		return c
	}
	c.charged++
	return c
}

// left is what remains of the budgets.
func (c counters) left(r job.Retries) Left {
	of := func(limit *int, used int) *int {
		if limit == nil {
			return nil
		}
		n := max(*limit-used, 0)
		return &n
	}
	return Left{
		Attempts:       max(r.Attempts-c.charged, 0),
		Preemptions:    of(r.MaxPreemptions, c.preempted),
		Failures:       of(r.MaxFailures, c.failures),
		Infrastructure: of(r.MaxInfrastructure, c.hosts),
	}
}

// exceeded says which budget allows no further attempt, "" if all do. A cap
// says how many attempts of its class are borne; the next one ends the index.
func (c counters) exceeded(r job.Retries) string {
	over := func(limit *int, used int, name, of string) string {
		if limit == nil || used <= *limit {
			return ""
		}
		return fmt.Sprintf("%s and %s = %d", plural(used, of), name, *limit)
	}
	if text := over(r.MaxPreemptions, c.preempted, "max_preemptions", "preemption"); text != "" {
		return text
	}
	if text := over(r.MaxFailures, c.failures, "max_failures", "failure"); text != "" {
		return text
	}
	if text := over(r.MaxInfrastructure, c.hosts, "max_infrastructure", "infrastructure fault"); text != "" {
		return text
	}
	if c.charged >= r.Attempts {
		if r.Attempts == 1 {
			return "the only attempt is used up"
		}
		return fmt.Sprintf("all %d attempts are used up", r.Attempts)
	}
	return ""
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// pauseAfter is how long the next attempt waits: nothing when the machine was
// lost, since the next instance is the pause, or when the task saved and asked
// to be run again. One that asks for that at once, though, may do so for ever
// at no charge: it waits as after a first failure.
func pauseAfter(spec *job.Spec, task *job.Task, index int, v Verdict, after counters, end *job.AttemptEnd) Time {
	switch {
	case v.Cause == job.CauseSaved && end != nil && end.Elapsed.D() < atOnce:
		return backoff(task.Retries.Backoff, 1, spec.Seed, task.Name, index)
	case v.Charge == job.ChargeFailures:
		return backoff(task.Retries.Backoff, after.failures, spec.Seed, task.Name, index)
	case v.Charge == job.ChargeInfrastructure && !hostLost(v):
		return backoff(task.Retries.Backoff, after.hosts, spec.Seed, task.Name, index)
	}
	return 0
}
