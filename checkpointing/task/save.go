package task

import (
	"context"
	"fmt"
	"os"

	"github.com/spotrelay/spotrelay/checkpointing/task/socket"
)

// Checkpoint is a committed one. The zero value is none.
type Checkpoint struct {
	Attempt  int   // that saved it
	Sequence int64 // of the save, rising within an attempt
	Bytes    int64 // of all its files
	// Unchanged: nothing had changed since, so nothing was saved.
	Unchanged bool
}

// Refused is an error of the agent's: what was asked for was not done. The
// checkpoint before is untouched.
type Refused struct {
	Reason string
	Hint   string // what to do about it, "" where nobody knows
}

func (r *Refused) Error() string {
	if r.Hint == "" {
		return r.Reason
	}
	return fmt.Sprintf("%s (%s)", r.Reason, r.Hint)
}

// request and answer are what is spoken at the task's socket; package
// runner/agent/control describes them.
type request struct {
	Op         string `json:"op"`
	Background bool   `json:"background,omitempty"`
}

type answer struct {
	OK         bool   `json:"ok"`
	Error      string `json:"error"`
	Hint       string `json:"hint"`
	Unchanged  bool   `json:"unchanged"`
	Checkpoint *struct {
		Attempt  int   `json:"attempt"`
		Sequence int64 `json:"sequence"`
		Bytes    int64 `json:"bytes"`
	} `json:"checkpoint"`
}

// Save commits Dir as it is now and returns after the commit. Errors: *Refused,
// ctx's, or that no agent answers; it may be repeated after any of them.
// Outside spotrelay it does nothing.
func Save(ctx context.Context) (Checkpoint, error) {
	return ask(ctx, request{Op: "save"})
}

// SaveInBackground has Dir committed while the program goes on, which must then
// replace its files whole. It returns at once, with the newest checkpoint that
// is committed by now. Whether it succeeds is in the log and in
// spotrelay-agent checkpoint status. Outside spotrelay it does nothing.
func SaveInBackground(ctx context.Context) (Checkpoint, error) {
	return ask(ctx, request{Op: "save", Background: true})
}

func ask(ctx context.Context, r request) (Checkpoint, error) {
	if !Active() {
		return Checkpoint{}, ctx.Err()
	}
	var a answer
	if err := socket.Ask(ctx, os.Getenv(varSocket), r, &a); err != nil {
		return Checkpoint{}, err
	}
	if !a.OK {
		return Checkpoint{}, &Refused{Reason: a.Error, Hint: a.Hint}
	}
	if a.Checkpoint == nil {
		return Checkpoint{}, nil
	}
	return Checkpoint{Attempt: a.Checkpoint.Attempt, Sequence: a.Checkpoint.Sequence, Bytes: a.Checkpoint.Bytes, Unchanged: a.Unchanged}, nil
}
