package main

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/view"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	liveAttempts = 8
	// livePause is the shortest time between two readings of status documents.
	livePause = 500 * time.Millisecond
	// liveLogLimit is the size of a log up to which its last line is shown.
	liveLogLimit = 1 << 20
)

// liveDisplay draws the run in the terminal and asks on Ctrl-C.
type liveDisplay struct {
	program *tea.Program
	wanted  chan choice
	ended   chan struct{}
	once    sync.Once
	looked  time.Time
	lines   map[job.AttemptID]lastLine
}

type lastLine struct {
	bytes int64
	text  string
}

func newLiveDisplay(in io.Reader, out io.Writer, w *watch.Watcher) *liveDisplay {
	d := &liveDisplay{wanted: make(chan choice, 4), ended: make(chan struct{}), lines: map[job.AttemptID]lastLine{}}
	model := view.New(view.Take(w.State, w.At.Now, nil, liveAttempts), d.answer)
	d.program = tea.NewProgram(model, tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	go func() {
		defer close(d.ended)
		if _, err := d.program.Run(); err != nil {
			d.send(choiceQuit) // no terminal any more
		}
	}()
	return d
}

func (d *liveDisplay) answer(a view.Answer) {
	d.send(map[view.Answer]choice{view.Leave: choiceLeave, view.Cancel: choiceCancel, view.Quit: choiceQuit}[a])
}

func (d *liveDisplay) send(c choice) {
	select {
	case d.wanted <- c:
	default: // asked already
	}
}

func (d *liveDisplay) happened(h watch.Happening) error {
	if h.Line.Text != "" {
		d.program.Send(view.Event{At: time.Now(), Line: h.Line})
	}
	return nil
}

func (d *liveDisplay) warned(text string) error {
	d.program.Send(view.Event{At: time.Now(), Line: narrate.Line{Text: text, Weight: narrate.Warning}})
	return nil
}

func (d *liveDisplay) tick(ctx context.Context, w *watch.Watcher) error {
	if time.Since(d.looked) < livePause && w.State.Outcome == "" {
		return nil
	}
	d.looked = time.Now()
	statuses, err := w.Statuses(ctx)
	if err != nil {
		statuses = nil // drawn without; the next look may have them
	}
	snapshot := view.Take(w.State, w.At.Now, statuses, liveAttempts)
	for i := range snapshot.Attempts {
		snapshot.Attempts[i].LastLine = d.lastLine(ctx, w, snapshot.Attempts[i])
	}
	d.program.Send(snapshot)
	return nil
}

// lastLine is the newest line of an attempt's log, read when it has grown.
func (d *liveDisplay) lastLine(ctx context.Context, w *watch.Watcher, a view.Attempt) string {
	known := d.lines[a.ID]
	if a.LogBytes == known.bytes || a.LogBytes > liveLogLimit {
		return known.text
	}
	var log bytes.Buffer
	if err := store.ReadLog(ctx, w.Bucket, w.Run, a.ID, &log); err != nil {
		return known.text
	}
	text := bytes.TrimRight(log.Bytes(), "\r\n")
	text = text[bytes.LastIndexAny(text, "\r\n")+1:]
	d.lines[a.ID] = lastLine{bytes: a.LogBytes, text: printable(text)}
	return d.lines[a.ID].text
}

// printable drops what would move the cursor.
func printable(text []byte) string {
	return string(bytes.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text[:min(len(text), 400)]))
}

func (d *liveDisplay) choices() <-chan choice { return d.wanted }

// close draws a last time and gives the terminal back.
func (d *liveDisplay) close() {
	d.once.Do(func() { d.program.Send(view.Close()) })
	<-d.ended
}
