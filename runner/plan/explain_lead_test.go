package plan

import (
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// A notice's lead is told as people read it, not to the nanosecond.
func TestExplainRoundsTheLead(t *testing.T) {
	notice := job.Notice{Kind: job.NoticeInterruption, Action: "terminate", Lead: job.Duration(3936793558 * time.Nanosecond)}
	got := Explain(Evidence{End: &job.AttemptEnd{Notice: &notice}, Notice: &notice})
	if want := "notice 3.9s ahead (terminate)"; len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("Explain says %q, which does not begin with %q", got, want)
	}
}
