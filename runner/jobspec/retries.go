package jobspec

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/runner/job"
)

// defaultAttempts go on when retries cannot be read, to check the rest.
const defaultAttempts = 5

// readRetries reads a task's retries over the job's. Task is for faults that
// have no place of their own.
func (l *loader) readRetries(s scope, own, base, task *content) job.Retries {
	if own != nil {
		defer l.within(l.block + ", retries")()
	}
	get := func(name string) setting { return l.setting(retriesSchema, name, s, own, base) }
	retries := job.Retries{Attempts: defaultAttempts}
	if attempts, ok := get("attempts").whole(1, 1000); ok {
		retries.Attempts = attempts
	}
	retries.OnDemandAttempts, _ = get("on_demand_attempts").whole(0, math.MaxInt32)
	if st := get("on_demand_attempts"); retries.OnDemandAttempts > retries.Attempts {
		st.invalid(st.where, "%d attempts on-demand are more than the %d attempts in all", retries.OnDemandAttempts, retries.Attempts)
	}
	limit := func(name string) *int {
		attempts := retries.Attempts
		if own != nil && own.attrs[name] == nil && own.attrs["attempts"] != nil {
			attempts = math.MaxInt // a cap for all tasks of the job, against attempts of this one
		}
		return l.readCap(get(name), attempts)
	}
	retries.MaxPreemptions = limit("max_preemptions")
	retries.MaxFailures = limit("max_failures")
	retries.MaxInfrastructure = limit("max_infrastructure")
	retries.RetryExitCodes, retries.FailExitCodes = l.readExitCodes(get("on_exit_codes"))
	retries.Backoff = l.readBackoff(get("backoff"))
	wait, _ := get("capacity_wait").duration()
	retries.CapacityWait = job.Duration(wait)
	return retries
}

// readCap reads a cap of a class; nil is none.
func (l *loader) readCap(st setting, attempts int) *int {
	if !st.given() {
		return nil
	}
	limit, ok := st.whole(0, math.MaxInt32)
	if !ok {
		return nil
	}
	if limit > attempts {
		l.report(report{at: st.where, warning: true, summary: fmt.Sprintf("%q has no effect", st.schema.name),
			detail: fmt.Sprintf("There are %d attempts in all, so %d of a class are never reached. Raise attempts or leave the cap out.", attempts, limit)})
	}
	return &limit
}

func (l *loader) readExitCodes(st setting) (retry, fail []int) {
	member, ok := st.object()
	if !ok {
		return nil, nil
	}
	retry, fail = member("retry").codes(), member("fail").codes()
	if slices.Contains(fail, job.ExitSaved) {
		where := member("fail").where
		st.invalid(where, "exit code %d always means: saved, run me again; it cannot end the task", job.ExitSaved)
	}
	var both []int
	for _, code := range retry {
		if slices.Contains(fail, code) {
			both = append(both, code)
		}
	}
	if len(both) > 0 {
		st.invalid(st.where, "an exit code is either retried or ends the task; both are said of: %s", strings.ReplaceAll(listNumbers(both), " or ", " and "))
	}
	retry = slices.DeleteFunc(retry, func(code int) bool { return code == job.ExitSaved })
	if len(retry) == 0 {
		retry = nil
	}
	return retry, fail
}

func (l *loader) readBackoff(st setting) job.Backoff {
	member, _ := st.object()
	initial, ok := member("initial").duration()
	longest, alsoOK := member("max").duration()
	backoff := job.Backoff{Initial: job.Duration(initial), Max: job.Duration(longest)}
	backoff.Factor, _ = member("factor").number(1)
	backoff.Jitter, _ = member("jitter").boolean()
	if ok && alsoOK && longest < initial {
		if !member("max").given() { // only initial is written: it is the longest too
			backoff.Max = backoff.Initial
		} else {
			st.invalid(member("max").where, "the longest pause (%s) is shorter than the first (%s)", formatDuration(longest), formatDuration(initial))
		}
	}
	return backoff
}
