package plan

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotrelay/spotrelay/runner/job"
)

var update = flag.Bool("update", false, "write the golden transcripts anew")

// golden holds a run's transcript against the file of its name.
func golden(t *testing.T, name string, w *world) {
	t.Helper()
	var got bytes.Buffer
	for _, e := range w.journal {
		if line := line(e); line != "" {
			fmt.Fprintf(&got, "%6s  %s\n", e.At.Round(time.Second), line)
		}
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the transcript differs from %s (-want +got):\n%s", path, diff)
	}
}

// line is an event for people to read.
func line(e Event) string {
	switch {
	case e.LaunchOpened != nil:
		l := e.LaunchOpened
		text := fmt.Sprintf("launch %d on %s in %s for %s", l.Count, l.Offers[0].Capacity, l.Fleet, l.Group)
		return text + reason(l.Reason)
	case e.PoolCooled != nil:
		c := e.PoolCooled
		until := "for ever"
		if c.Until >= 0 {
			until = "until " + c.Until.Round(time.Second).String()
		}
		return fmt.Sprintf("leave %s %s %s alone %s%s", c.Fleet, strings.TrimSpace(c.Pool.Zone+" "+c.Pool.InstanceType), c.Capacity, until, reason(string(c.Code)))
	case e.CapacityShort != nil:
		return fmt.Sprintf("%s has no %s instance", e.CapacityShort.Group, e.CapacityShort.Capacity)
	case e.CapacityMoved != nil && e.CapacityMoved.Back:
		return e.CapacityMoved.Group + " looks for spot again"
	case e.CapacityMoved != nil:
		return e.CapacityMoved.Group + " moves to on-demand" + reason(e.CapacityMoved.Reason)
	case e.InstanceNoticed != nil:
		return e.InstanceNoticed.Instance + " has a notice"
	case e.InstanceEnding != nil:
		return "end " + e.InstanceEnding.Instance + reason(string(e.InstanceEnding.Reason))
	case e.InstanceGone != nil:
		return fmt.Sprintf("%s is gone%s", e.InstanceGone.Instance, reason(string(e.InstanceGone.Evidence.Cause)))
	case e.AttemptAssigned != nil:
		a := e.AttemptAssigned
		text := fmt.Sprintf("%s to %s", name(a.AttemptID), a.Instance)
		for _, n := range a.Nodes[min(1, len(a.Nodes)):] {
			text += ", " + n.Instance
		}
		if a.Final {
			text += " as a final attempt"
		}
		if a.Restore != nil {
			text += " from checkpoint " + checkpointText(a.Restore)
		}
		return text
	case e.NodeAssigned != nil:
		n := e.NodeAssigned
		return fmt.Sprintf("node %d of %s again to %s, incarnation %d", n.Node, name(n.AttemptID), n.Instance, n.Incarnation)
	case e.NodeReady != nil:
		return fmt.Sprintf("node %d of %s is ready", e.NodeReady.Node, name(e.NodeReady.AttemptID))
	case e.NodeEnded != nil:
		n := e.NodeEnded
		text := fmt.Sprintf("node %d of %s %s (%s): %s", n.Node, name(n.AttemptID), n.Class, n.Cause, n.Evidence.Text)
		if n.Replaced {
			text += fmt.Sprintf("; replaced, charged to %s, %d left", n.Charge, n.Left.Attempts)
		}
		return text
	case e.GangStopped != nil:
		return fmt.Sprintf("stop %s: %s", name(e.GangStopped.AttemptID), e.GangStopped.Reason)
	case e.GangReturned != nil:
		return fmt.Sprintf("give back what %s has in %s: %s", e.GangReturned.Group, e.GangReturned.Fleet, e.GangReturned.Reason)
	case e.AttemptEnded != nil:
		return ended(e.AttemptEnded)
	case e.IndexCached != nil:
		return fmt.Sprintf("%s/%d cached, from run %s attempt %d", e.IndexCached.Task, e.IndexCached.Index, e.IndexCached.From.Run, e.IndexCached.From.Attempt)
	case e.IndexEnded != nil:
		return fmt.Sprintf("%s/%d ends %s: %s", e.IndexEnded.Task, e.IndexEnded.Index, e.IndexEnded.Class, e.IndexEnded.Reason)
	case e.InstanceHeld != nil:
		return fmt.Sprintf("keep %s for %s until %s", e.InstanceHeld.Instance, name(e.InstanceHeld.AttemptID), e.InstanceHeld.Until.Round(time.Second))
	case e.IndexReopened != nil:
		return fmt.Sprintf("retry %s/%d", e.IndexReopened.Task, e.IndexReopened.Index)
	case e.RunPaused != nil:
		return "pause the run"
	case e.RunResumed != nil:
		return "the run goes on"
	case e.CostWarned != nil:
		return fmt.Sprintf("%s/%d has cost %s of %s", e.CostWarned.Task, e.CostWarned.Index, dollars(e.CostWarned.Spent), dollars(e.CostWarned.Limit))
	case e.IndexStopped != nil:
		return fmt.Sprintf("stop %s/%d (%s)", e.IndexStopped.Task, e.IndexStopped.Index, e.IndexStopped.Cause)
	case e.RunStopped != nil:
		return fmt.Sprintf("stop the run (%s)", e.RunStopped.Cause)
	case e.TaskSkipped != nil:
		return "skip " + e.TaskSkipped.Task + reason(e.TaskSkipped.Reason)
	case e.TaskOpened != nil:
		return e.TaskOpened.Task + " may run"
	case e.RunHeld != nil:
		return "hold the run: " + e.RunHeld.Reason
	case e.RunEnded != nil:
		return fmt.Sprintf("the run %s%s", e.RunEnded.Outcome, reason(e.RunEnded.Reason))
	case e.RunClosed != nil:
		return fmt.Sprintf("closed, for $%.2f", e.RunClosed.Cost)
	}
	return ""
}

func ended(a *AttemptEnded) string {
	text := fmt.Sprintf("%s %s (%s): %s; charged to %s, %d left",
		name(a.AttemptID), a.Class, a.Cause, a.Evidence.Text, a.Charge, a.Left.Attempts)
	if a.FreeHost {
		text += ", its host is replaced free"
	}
	if a.NotBefore > 0 && a.Retry {
		text += ", again from " + a.NotBefore.Round(time.Second).String()
	}
	return text
}

func reason(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func name(id job.AttemptID) string { return fmt.Sprintf("%s/%d/%d", id.Task, id.Index, id.Attempt) }
