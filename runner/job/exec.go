package job

import "time"

// Execs is runs/<run>/instances/<instance>/exec.json: what users have run
// beside the attempts of an instance. Users write it with compare-and-swap,
// each adds and removes its own; the instance's agent reads it. A request that
// goes while it runs is ended.
type Execs struct {
	Version  int           `json:"version"`
	Run      string        `json:"run"`
	Instance string        `json:"instance"`
	Requests []ExecRequest `json:"requests,omitempty"`
}

// ExecRequest is a command to run in the folder and with the variables of an
// attempt that runs, or that failed and whose folder is kept.
type ExecRequest struct {
	ID string `json:"id"`
	AttemptID
	Command []string  `json:"command"` // as it is: no placeholders, no shell
	Timeout Duration  `json:"timeout"` // then it is killed
	By      string    `json:"by,omitempty"`
	Written time.Time `json:"written"` // the user's clock
}

// ExecResult is how a command ended, written by the agent once all its output is
// in the bucket.
type ExecResult struct {
	Version  int      `json:"version"`
	ID       string   `json:"id"`
	ExitCode int      `json:"exit_code"`        // valid when Signal and Fault are ""
	Signal   string   `json:"signal,omitempty"` // that ended it, "SIGKILL"
	Elapsed  Duration `json:"elapsed"`
	// Fault: it was not run, or was ended before its time, and why.
	Fault string `json:"fault,omitempty"`
	// Refused: it was not begun.
	Refused bool `json:"refused,omitempty"`
	// Bytes it wrote to both streams, and how many of them were not kept.
	Bytes   int64 `json:"bytes"`
	Dropped int64 `json:"dropped,omitempty"`
}
