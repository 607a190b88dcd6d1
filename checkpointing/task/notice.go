package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Notice is an interruption notice.
type Notice struct {
	Action   string    // "terminate", "stop", "hibernate", as the provider says
	Deadline time.Time // by this machine's clock; zero: nobody knows
}

// ErrInterrupted is the cause (context.Cause) of a context of Context's that
// ended by a signal or a notice.
var ErrInterrupted = errors.New("interrupted: save, and exit with 75")

// look is how often the notice file is looked for.
const look = 200 * time.Millisecond

// ReadNotice is the interruption notice, nil when there is none. Outside
// spotrelay there never is.
func ReadNotice() (*Notice, error) {
	path := os.Getenv(varNotice)
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var document struct {
		Action   string  `json:"action"`
		Deadline string  `json:"deadline"`
		Seconds  float64 `json:"seconds"` // left when it was written
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("the notice file %s cannot be read: %w", path, err)
	}
	n := &Notice{Action: document.Action}
	if document.Deadline != "" || document.Seconds > 0 {
		n.Deadline = info.ModTime().Add(time.Duration(document.Seconds * float64(time.Second)))
	}
	return n, nil
}

// Context ends with ErrInterrupted as its cause when it is time to come to an
// end: on SIGTERM, SIGINT or one of the signals given (that of the job file,
// where it is another one), and on an interruption notice. stop releases what
// it holds, and gives the signals back.
func Context(parent context.Context, also ...os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, append([]os.Signal{syscall.SIGTERM, os.Interrupt}, also...)...)
	go func() {
		ticker := time.NewTicker(look)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				cancel(ErrInterrupted)
			case <-ticker.C:
				if n, err := ReadNotice(); n != nil || err != nil {
					cancel(ErrInterrupted)
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(context.Canceled)
	}
}
