// Package control is what is spoken over the agent's sockets: a request of one
// line of JSON, and one line of JSON as its answer, or a stream of events, one
// on a line.
//
// A task finds its own socket's path in the environment variable
// SPOTRELAY_SOCKET and asks there for its own checkpoint. The socket agent.sock
// in the agent's folder is the machine's: it only streams events.
package control

import (
	"github.com/spotrelay/spotrelay/runner/job"
)

// Op is what a request asks for.
type Op string

// The operations.
const (
	// OpSave commits the checkpoint directory as it is now. The answer comes
	// after the commit, or with Background at once.
	OpSave Op = "save"
	// OpRestore puts the newest committed checkpoint back into the directory.
	OpRestore Op = "restore"
	// OpStatus says how the attempt stands. With Wait the answer comes when no
	// save is under way.
	OpStatus Op = "status"
	// OpWatch streams the events of all attempts until the connection ends.
	OpWatch Op = "watch"
)

// MaxRequest bounds a request's line, in bytes.
const MaxRequest = 64 << 10

// Request is what a client asks.
type Request struct {
	Op         Op   `json:"op"`
	Background bool `json:"background,omitempty"`
	Wait       bool `json:"wait,omitempty"`
}

// Answer is what it gets.
type Answer struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"` // when not OK: what went wrong
	Hint  string `json:"hint,omitempty"`  // and what to do about it
	// Checkpoint that is the newest committed one, for all operations.
	Checkpoint *job.CheckpointRef `json:"checkpoint,omitempty"`
	// Unchanged: nothing had changed since Checkpoint, so nothing was saved.
	Unchanged bool    `json:"unchanged,omitempty"`
	Status    *Status `json:"status,omitempty"` // of OpStatus
}

// Status is how an attempt stands.
type Status struct {
	job.AttemptID
	Run     string      `json:"run"`
	Saves   int         `json:"saves"`  // committed by this attempt
	Saving  bool        `json:"saving"` // a save is under way
	Resumed bool        `json:"resumed"`
	Notice  *job.Notice `json:"notice,omitempty"`
	// Forecast is what a save would take, of each checkpoint.
	Forecast []job.SaveForecast `json:"forecast,omitempty"`
	// Error of the last save that failed, "" when the last one was committed.
	Error string `json:"error,omitempty"`
}

// EventName is the kind of an Event.
type EventName string

// The events of a save, in their order.
const (
	SaveStarted   EventName = "save-started"
	SaveProgress  EventName = "save-progress" // some bytes were sent, it is not committed yet
	SaveCommitted EventName = "save-committed"
	SaveFailed    EventName = "save-failed"
)

// Event is something that happened to an attempt's checkpoint.
type Event struct {
	Event      EventName `json:"event"`
	Task       string    `json:"task"`
	Index      int       `json:"index"`
	Attempt    int       `json:"attempt"`
	Sequence   int64     `json:"sequence"`
	BytesDone  int64     `json:"bytes_done"`
	BytesTotal int64     `json:"bytes_total"`
	Error      string    `json:"error,omitempty"`
}
