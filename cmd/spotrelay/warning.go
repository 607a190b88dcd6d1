package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// warningPause is how long a warning is not said again.
const warningPause = time.Minute

// warnings takes what the controller, plugins and the bucket warn of, and says
// it to the user: by the display while there is one, else on stderr. What is
// said again and again, as by something that is tried again, is said once a
// minute.
type warnings struct {
	out io.Writer

	mu    sync.Mutex
	said  map[string]time.Time
	queue chan string // nil while there is no display
}

func newWarnings(out io.Writer) *warnings {
	return &warnings{out: out, said: map[string]time.Time{}}
}

// show sends warnings to a display from here on, until the returned function is
// called. Nothing waits for the display: more than it takes are dropped.
func (w *warnings) show() (<-chan string, func()) {
	queue := make(chan string, 16)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = queue
	return queue, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.queue = nil
	}
}

func (w *warnings) say(key, text string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, ok := w.said[key]; ok && at.Sub(last) < warningPause {
		return
	}
	w.said[key] = at
	if w.queue == nil {
		fmt.Fprintln(w.out, text)
		return
	}
	select {
	case w.queue <- text:
	default:
	}
}

// warningHandler makes a sentence of a log record: the message, then what it is
// about, then the error.
type warningHandler struct {
	to    *warnings
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (h warningHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

// Handle implements slog.Handler.
func (h warningHandler) Handle(_ context.Context, record slog.Record) error {
	var about []string
	fault := ""
	add := func(attr slog.Attr) bool {
		value := strings.Join(strings.Fields(attr.Value.Resolve().String()), " ")
		switch {
		case attr.Key == "run" || value == "":
		case attr.Key == "error":
			fault = value
		default:
			about = append(about, attr.Key+" "+value)
		}
		return true
	}
	for _, attr := range h.attrs {
		add(attr)
	}
	record.Attrs(add)
	text := "warning: " + record.Message
	if len(about) > 0 {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	if fault != "" {
		text += ": " + fault
	}
	h.to.say(record.Message+fault, text, record.Time)
	return nil
}

// WithAttrs implements slog.Handler.
func (h warningHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return h
}

// WithGroup implements slog.Handler. A sentence has no groups.
func (h warningHandler) WithGroup(string) slog.Handler { return h }
