package narrate

import (
	"fmt"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Name is an index as people write it: train, or train[3] of an array.
func Name(spec *job.Spec, task string, index int) string {
	if spec != nil {
		if t, ok := spec.Task(task); ok && !t.Array {
			return task
		}
	}
	return fmt.Sprintf("%s[%d]", task, index)
}

// Offer is an offer as people read it: "local-a small spot $0.03/h".
func Offer(o providers.Offer) string {
	return fmt.Sprintf("%s %s/h", Pool(o.Pool()), Money(o.Price))
}

// Pool is a pool as people read it.
func Pool(p providers.Pool) string {
	return strings.Join([]string{p.Zone, p.InstanceType, string(p.Capacity)}, " ")
}

// Money is an amount in dollars, with as many digits as it needs and never
// fewer than cents.
func Money(dollars float64) string {
	switch {
	case dollars == 0:
		return "$0"
	case dollars > 0 && dollars < 0.000005:
		return "<$0.00001"
	case dollars < 0.01:
		return fmt.Sprintf("$%.5f", dollars)
	case dollars < 1:
		cents := fmt.Sprintf("%.4f", dollars)
		return "$" + cents[:4] + strings.TrimRight(cents[4:], "0")
	default:
		return fmt.Sprintf("$%.2f", dollars)
	}
}

// Span is a duration rounded to what people want to know.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	default:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
}

// Count is a number of things: "1 instance", "3 instances".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Checkpoint is a checkpoint's number as people read it: "2-7" is the seventh
// that attempt 2 committed.
func Checkpoint(ref *job.CheckpointRef) string {
	if names := ref.Series(); ref.Key == "" && len(names) > 0 {
		other, _ := ref.Of(names[0])
		return fmt.Sprintf("%s %d-%d", names[0], other.Attempt, other.Sequence)
	}
	return fmt.Sprintf("%d-%d", ref.Attempt, ref.Sequence)
}
