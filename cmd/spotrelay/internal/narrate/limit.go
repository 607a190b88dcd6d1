package narrate

import (
	"fmt"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// limit tells of a limit that is near or reached.
func (t *Teller) limit(event plan.Event) Line {
	switch {
	case event.CostWarned != nil && event.CostWarned.Task == "":
		e := event.CostWarned
		return Line{Text: spentText("the run", e.Spent, e.Limit), Weight: Warning}
	case event.CostWarned != nil:
		e := event.CostWarned
		return Line{Text: spentText(t.Name(e.Task, e.Index), e.Spent, e.Limit), Weight: Warning}
	case event.IndexStopped != nil:
		e := event.IndexStopped
		why := "its limit is reached"
		if e.Cause == job.CauseMaxCost {
			why = fmt.Sprintf("it cost %s of a max_cost of %s", Money(e.Spent), Money(e.Limit))
		}
		return Line{Text: t.Name(e.Task, e.Index) + " saves and stops: " + why, Weight: Warning}
	case event.RunStopped != nil:
		return Line{Text: "what runs saves and stops: " + event.RunStopped.Reason, Weight: Warning}
	}
	return Line{}
}

// Warnings are the limits that the run is near to, in sentences for people.
func Warnings(state *plan.State) []string {
	var texts []string
	for _, c := range state.NearCosts() {
		name := "the run"
		if c.Task != "" {
			name = Name(state.Spec, c.Task, c.Index)
		}
		texts = append(texts, spentText(name, c.Spent, c.Limit))
	}
	return texts
}

func spentText(name string, spent, limit float64) string {
	return fmt.Sprintf("%s has cost %s, %.0f %% of its max_cost of %s", name, Money(spent), 100*spent/limit, Money(limit))
}
