package main

import (
	"bytes"

	"github.com/spotrelay/spotrelay/runner/job"
)

// longestLogLine is what one object of logs --json holds at most; a longer line
// is cut into several, of which only the last has no "partial".
const longestLogLine = 64 << 10

// logLines prints a log as one JSON object a line.
type logLines struct {
	app     *app
	id      job.AttemptID
	pending []byte
}

type logLineJSON struct {
	Version int `json:"version"`
	job.AttemptID
	Line    string `json:"line"`
	Partial bool   `json:"partial,omitempty"`
}

func (l *logLines) Write(p []byte) (int, error) {
	l.pending = append(l.pending, p...)
	for {
		end := bytes.IndexByte(l.pending, '\n')
		switch {
		case end >= 0 && end <= longestLogLine:
			if err := l.emit(l.pending[:end], false); err != nil {
				return 0, err
			}
			l.pending = l.pending[end+1:]
		case len(l.pending) > longestLogLine:
			if err := l.emit(l.pending[:longestLogLine], true); err != nil {
				return 0, err
			}
			l.pending = l.pending[longestLogLine:]
		default:
			return len(p), nil
		}
	}
}

func (l *logLines) flush() {
	if len(l.pending) > 0 {
		_ = l.emit(l.pending, false) // the reader is gone: nobody to tell
		l.pending = nil
	}
}

func (l *logLines) emit(line []byte, partial bool) error {
	return l.app.printJSON(logLineJSON{Version: jsonVersion, AttemptID: l.id, Line: string(line), Partial: partial})
}
