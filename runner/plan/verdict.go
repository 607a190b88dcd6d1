package plan

import (
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Evidence is all that is known of how an attempt ended: the agent's report,
// the provider's word, and what the controller itself had decided. Classify
// reads nothing else.
type Evidence struct {
	// End is the agent's report, nil when none came.
	End *job.AttemptEnd `json:"end,omitempty"`
	// Provider's word on the instance, when it was asked.
	Provider *providers.Evidence `json:"provider,omitempty"`
	// Notice that was seen for the instance, also when End is missing.
	Notice *job.Notice `json:"notice,omitempty"`
	// Silent: the agent fell silent while the instance ran, and was fenced.
	Silent bool `json:"silent,omitempty"`
	// Ending is the controller's own reason for ending the instance, "" if it
	// had none before the attempt ended.
	Ending EndingReason `json:"ending,omitempty"`
	// CancelRequested by the user before it ended.
	CancelRequested bool `json:"cancel_requested,omitempty"`
	// RunFailed: the run failed elsewhere before it ended.
	RunFailed bool `json:"run_failed,omitempty"`
	// Stopped: it was told to save and end before it ended, and why.
	Stopped job.Cause `json:"stopped,omitempty"`
	// SameExitBefore: the attempt before ended with the same exit code inside
	// a notice's window and was charged as preempted.
	SameExitBefore bool `json:"same_exit_before,omitempty"`
	// Progress: its newest checkpoint holds something else than what it went
	// on from.
	Progress bool `json:"progress,omitempty"`
	// Damaged checkpoints that were passed over when its restore was chosen.
	Damaged []string `json:"damaged,omitempty"`
	// Text says it in one sentence for people; set with the verdict.
	Text string `json:"text"`
}

// Verdict is what an ended attempt was and which budget pays for it.
type Verdict struct {
	Class  job.Class  `json:"class"`
	Cause  job.Cause  `json:"cause"`
	Charge job.Charge `json:"charge"`
	// Fatal: no further attempt, whatever is left.
	Fatal bool `json:"fatal,omitempty"`
	// Hold the run: somebody else ended the VM.
	Hold bool `json:"hold,omitempty"`
}
