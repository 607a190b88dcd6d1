package narrate

import (
	"fmt"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

func (t *Teller) instance(event plan.Event) Line {
	switch {
	case event.InstanceFound != nil:
		return Line{Text: "found " + event.InstanceFound.Instance.ID + ", rented by a call whose answer was lost"}
	case event.InstanceReady != nil:
		return t.ready(event.InstanceReady.Instance)
	case event.InstanceNoticed != nil:
		return noticed(event.InstanceNoticed)
	case event.InstanceEnding != nil:
		return ending(event.InstanceEnding)
	case event.InstanceGone != nil:
		return t.goneLine(event.InstanceGone)
	}
	return Line{}
}

func (t *Teller) ready(id string) Line {
	instance := t.State.Instances[id]
	if instance == nil || instance.Ready <= instance.Launched {
		return Line{Text: id + " is ready"}
	}
	return Line{Text: fmt.Sprintf("%s is ready after %s", id, Span(instance.Ready-instance.Launched))}
}

func noticed(e *plan.InstanceNoticed) Line {
	switch e.Notice.Kind {
	case job.NoticeRebalance:
		return Line{Text: e.Instance + " may be taken soon (rebalance recommendation): nothing more is placed there"}
	case job.NoticeMaintenance:
		return Line{Text: e.Instance + " has a maintenance notice" + lead(e.Notice), Weight: Warning}
	default:
		return Line{Text: e.Instance + " has an interruption notice" + lead(e.Notice), Weight: Warning}
	}
}

func lead(n job.Notice) string {
	if n.Lead <= 0 {
		return ""
	}
	return ", taken in " + Span(n.Lead.D())
}

// ending tells only what is no routine: an idle instance goes without a word.
func ending(e *plan.InstanceEnding) Line {
	reasons := map[plan.EndingReason]string{
		plan.EndingBoot:       "it never reported",
		plan.EndingSilent:     "its agent is silent",
		plan.EndingQuarantine: "two attempts failed on it at once",
		plan.EndingLate:       "it turned up after its launch was closed",
	}
	reason, told := reasons[e.Reason]
	if !told {
		return Line{}
	}
	return Line{Text: fmt.Sprintf("ending %s: %s", e.Instance, reason), Weight: Warning}
}

func (t *Teller) goneLine(e *plan.InstanceGone) Line {
	instance, known := t.gone[e.Instance]
	delete(t.gone, e.Instance)
	if known && instance.Ending != "" {
		return Line{} // as decided
	}
	switch e.Evidence.Cause {
	case providers.EndReclaimed, providers.EndNoticed:
		return Line{Text: e.Instance + " was reclaimed", Weight: Warning}
	case providers.EndHostEvent:
		return Line{Text: e.Instance + " lost its host: " + e.Evidence.Message, Weight: Warning}
	case providers.EndByUser:
		return Line{Text: e.Instance + " was ended by somebody else", Weight: Warning}
	case providers.EndMaxLife:
		return Line{Text: e.Instance + " reached its longest life", Weight: Warning}
	case providers.EndConfiguration, providers.EndCapacity:
		return Line{Text: fmt.Sprintf("%s could not start: %s", e.Instance, e.Evidence.Message), Weight: Warning}
	}
	return Line{}
}
