package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// The bounds of an instance's longest life. They are a leash against leaks, so
// they are wide: what nobody ends by then is ended by the cloud.
const (
	shortestLife = 24 * time.Hour
	longestLife  = 30 * 24 * time.Hour
)

// MaxLife is how long an instance for a group may live at the most: as long as
// all attempts of its tasks take one after another when each has a timeout, at
// least a day, and 30 days when one has none; with the time to boot, to idle
// and to go on alone beside. It depends on the specification alone, as a launch
// repeated with its token must be the same.
func MaxLife(spec *job.Spec, group string) time.Duration {
	groups, of, tiers := groupTasks(spec)
	work := time.Duration(0)
	for _, g := range groups {
		if g.key != group {
			continue
		}
		for i := range spec.Tasks {
			if of[i] == g || slices.Contains(slices.Collect(maps.Values(tiers[i])), g) {
				work = min(work+attemptsLength(&spec.Tasks[i]), longestLife)
			}
		}
	}
	timing := spec.Timing
	return max(work, shortestLife) + timing.BootTimeout.D() + timing.IdleTimeout.D() + timing.OrphanGrace.D()
}

// attemptsLength is how long all attempts of a task take in a row, at the most.
func attemptsLength(task *job.Task) time.Duration {
	timeout := task.Execution.Timeout.D()
	if timeout <= 0 {
		return longestLife
	}
	each := float64(timeout + task.Execution.KillAfter.D() + task.HoldOnFailure.D())
	total := each * float64(task.Count) * float64(max(task.Retries.Attempts, 1))
	return time.Duration(min(total, float64(longestLife)))
}
