package job

// Recovery is what a run took over from the run that it recovers.
type Recovery struct {
	Run   string  `json:"run"`
	Taken []Taken `json:"taken,omitempty"`
}

// Taken is an index that had succeeded, or one that goes on from a checkpoint.
// The documents it points at are the new run's own, under attempt 0, which is
// before all of its attempts. An index that was skipped is not taken over:
// whether it runs is decided anew, by the same results.
type Taken struct {
	Task      string `json:"task"`
	Index     int    `json:"index"`
	Succeeded bool   `json:"succeeded,omitempty"`
	// Attempt that succeeded, 0 where the result came from the cache, and the
	// run that it was of, "" for Recovery.Run: that one may have taken it over
	// itself.
	Attempt    int               `json:"attempt,omitempty"`
	Run        string            `json:"run,omitempty"`
	Output     *Manifest         `json:"output,omitempty"`
	Result     map[string]string `json:"result,omitempty"`
	Cached     *CachedFrom       `json:"cached,omitempty"`
	Checkpoint *CheckpointRef    `json:"checkpoint,omitempty"`
}

// RecoveredFrom is the attempt of an earlier run by which an index had
// succeeded.
type RecoveredFrom struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt,omitempty"` // 0: its result came from the cache
}

// From is where an index that had succeeded was taken over from.
func (r *Recovery) From(taken *Taken) RecoveredFrom {
	from := RecoveredFrom{Run: taken.Run, Attempt: taken.Attempt}
	if from.Run == "" {
		from.Run = r.Run
	}
	return from
}

// Succeeded is how many indexes were taken over that had succeeded; nil has
// none.
func (r *Recovery) Succeeded() int {
	n := 0
	if r != nil {
		for i := range r.Taken {
			if r.Taken[i].Succeeded {
				n++
			}
		}
	}
	return n
}

// Checkpoints is how many indexes go on from a checkpoint; nil has none.
func (r *Recovery) Checkpoints() int {
	if r == nil {
		return 0
	}
	return len(r.Taken) - r.Succeeded()
}

// CopyLimits sets in a specification the limits of another one of the same
// tasks: what bounds a run and changes nothing of what it computes. It is all
// that may differ between a run and one that recovers it. IsLimit tells the
// same of the fields.
func CopyLimits(to, from *Spec) {
	to.MaxInstances, to.MaxParallel, to.MaxCost, to.Timeout = from.MaxInstances, from.MaxParallel, from.MaxCost, from.Timeout
	for i := range to.Tasks {
		task := &to.Tasks[i]
		other, ok := from.Task(task.Name)
		if !ok {
			continue
		}
		task.Retries, task.Priority, task.MaxParallel, task.MaxCost = other.Retries, other.Priority, other.MaxParallel, other.MaxCost
		task.HoldOnFailure, task.Execution.Timeout = other.HoldOnFailure, other.Execution.Timeout
	}
}

// jobLimits and taskLimits are the fields that CopyLimits copies.
var (
	jobLimits  = map[string]bool{"max_instances": true, "max_parallel": true, "max_cost": true, "run_timeout": true}
	taskLimits = map[string]bool{"retries": true, "priority": true, "max_parallel": true, "max_cost": true, "hold_on_failure": true}
)

// IsLimit reports whether a difference is one of limits.
func (d *Difference) IsLimit() bool {
	switch {
	case d.Task == "" && len(d.Path) == 1:
		return jobLimits[d.Path[0]]
	case d.Task == "" || len(d.Path) == 0:
		return false
	}
	return taskLimits[d.Path[0]] || d.Path[0] == "execution" && len(d.Path) == 2 && d.Path[1] == "timeout"
}
