package narrate

import (
	"fmt"
	"strings"

	"github.com/spotrelay/spotrelay/runner/plan"
)

// gang tells what befalls the nodes of a gang, as far as its attempt does not.
func (t *Teller) gang(event plan.Event) Line {
	switch {
	case event.NodeEnded != nil && event.NodeEnded.Replaced:
		e := event.NodeEnded
		return Line{Weight: Warning, Text: fmt.Sprintf("%s attempt %d lost node %d on %s, which was %s (%s); the others go on; charged to %s, %s",
			t.Name(e.Task, e.Index), e.Attempt, e.Node, e.Instance, e.Class, strings.TrimSuffix(e.Evidence.Text, "."), e.Charge, t.LeftText(e.Task, e.Left))}
	case event.NodeAssigned != nil:
		e := event.NodeAssigned
		return Line{Text: fmt.Sprintf("%s attempt %d goes on with node %d on %s", t.Name(e.Task, e.Index), e.Attempt, e.Node, e.Instance)}
	case event.GangStopped != nil:
		e := event.GangStopped
		return Line{Weight: Warning, Text: fmt.Sprintf("%s attempt %d: all nodes save and stop: %s", t.Name(e.Task, e.Index), e.Attempt, e.Reason)}
	case event.GangReturned != nil:
		e := event.GangReturned
		return Line{Weight: Warning, Text: fmt.Sprintf("%s gives back what it has on %s in %s: %s", e.Group, e.Capacity, e.Fleet, e.Reason)}
	}
	return Line{}
}
