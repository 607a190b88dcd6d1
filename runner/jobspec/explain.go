package jobspec

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// Explain says in a sentence how many attempts a task has, where they run and
// what they are charged to. The spec is the task's own run.
func Explain(task *job.Task, spec *job.Spec) string {
	retries := task.Retries
	parts := []string{explainAttempts(task.Array, retries), explainCapacity(retries)}
	if task.IsGang() {
		parts = append(parts, explainGang(task))
	}
	for _, limit := range []struct {
		max  *int
		what string
	}{
		{retries.MaxPreemptions, "preemptions"},
		{retries.MaxFailures, "failures"},
		{retries.MaxInfrastructure, "infrastructure"},
	} {
		if limit.max != nil && *limit.max == 0 {
			parts = append(parts, "none charged to "+limit.what)
		} else if limit.max != nil {
			parts = append(parts, fmt.Sprintf("at most %d charged to %s", *limit.max, limit.what))
		}
	}
	parts = append(parts, explainExits(retries)...)
	if tiers := task.MemoryTiers(); len(tiers) > 1 {
		sizes := make([]string, 0, len(tiers))
		for _, memory := range tiers[1:] {
			sizes = append(sizes, strconv.FormatFloat(float64(memory)/(1<<30), 'g', 4, 64)+" GiB")
		}
		parts = append(parts, "after out-of-memory with "+strings.Join(sizes, ", then ")+" of memory")
	}
	if retries.Attempts > 1 {
		parts = append(parts, explainBackoff(retries.Backoff))
	}
	parts = append(parts, explainFleets(task, spec))
	return strings.Join(parts, "; ")
}

func explainAttempts(array bool, retries job.Retries) string {
	text := fmt.Sprintf("up to %d attempts in all", retries.Attempts)
	if retries.Attempts == 1 {
		text = "one attempt"
	}
	if array {
		text += " for each index"
	}
	return text
}

func explainCapacity(retries job.Retries) string {
	spot := retries.Attempts - retries.OnDemandAttempts
	switch {
	case retries.OnDemandAttempts == 0 && retries.Attempts == 1:
		return "on spot"
	case spot == 0 && retries.Attempts == 1:
		return "on-demand"
	case retries.OnDemandAttempts == 0:
		return "all on spot"
	case spot == 0:
		return "all on-demand"
	}
	return fmt.Sprintf("the first%s on spot, the last%s on-demand whatever ended the others",
		counted(spot), counted(retries.OnDemandAttempts))
}

// counted is " 4", and nothing for one: the first, the last.
func counted(n int) string {
	if n == 1 {
		return ""
	}
	return " " + strconv.Itoa(n)
}

func explainExits(retries job.Retries) []string {
	var parts []string
	if len(retries.RetryExitCodes) > 0 {
		parts = append(parts, "run again on exit "+listNumbers(append([]int{job.ExitSaved}, retries.RetryExitCodes...)))
	}
	if len(retries.FailExitCodes) > 0 {
		parts = append(parts, "failed at once on exit "+listNumbers(retries.FailExitCodes))
	}
	return parts
}

func listNumbers(numbers []int) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func explainBackoff(backoff job.Backoff) string {
	if backoff.Initial == 0 {
		return "no pause between them"
	}
	text := "a pause of " + formatDuration(backoff.Initial.D()) + " after a failure"
	if backoff.Factor > 1 && backoff.Max > backoff.Initial {
		text += fmt.Sprintf(", times %s with each, up to %s", strconv.FormatFloat(backoff.Factor, 'g', -1, 64), formatDuration(backoff.Max.D()))
	}
	if backoff.Jitter {
		text += ", less a random part"
	}
	return text
}

func explainFleets(task *job.Task, spec *job.Spec) string {
	var names []string
	for _, name := range task.Fleets {
		text := name
		if fleet, ok := spec.Fleet(name); ok && fleet.Provider != name {
			text += " (" + fleet.Provider + ")"
		}
		names = append(names, text)
	}
	text := "in " + strings.Join(names, ", then ")
	retries, wait := task.Retries, formatDuration(task.Retries.CapacityWait.D())
	switch {
	case retries.OnDemandAttempts == 0:
		return text + ", where spot is looked for up to " + wait
	case retries.OnDemandAttempts == retries.Attempts:
		return text + ", where on-demand is looked for up to " + wait
	}
	return text + ", where spot is looked for up to " + wait + " before on-demand"
}

// formatDuration is a duration as a person writes it: "10m", not "10m0s".
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
