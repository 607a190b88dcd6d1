package plugins

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxLine bounds what is kept of a line that a plugin prints, in bytes; the rest
// is counted and dropped.
const maxLine = 8 << 10

// eachLine calls f for every line until reading ends, however long a line is.
func eachLine(from io.Reader, f func(line string)) {
	reader := bufio.NewReaderSize(from, maxLine)
	for {
		part, long, err := reader.ReadLine()
		if err != nil {
			return
		}
		kept, dropped := slices.Clone(part), 0
		for long && err == nil {
			part, long, err = reader.ReadLine()
			dropped += len(part)
		}
		f(lineText(kept, dropped))
	}
}

// logLine copies a line of a plugin into the log. Lines in JSON, as slog and
// hclog write them, keep their level and attributes.
func logLine(log *slog.Logger, line string) {
	level, message, attributes := readLine(line)
	log.LogAttrs(context.Background(), level, message, attributes...)
}

func readLine(line string) (slog.Level, string, []slog.Attr) {
	var fields map[string]any
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &fields) != nil {
		return plainLevel(line), line, nil
	}
	level, message := slog.LevelInfo, line
	for _, prefix := range []string{"", "@"} { // slog's names, hclog's names
		text, ok := fields[prefix+"level"].(string)
		if !ok || !readLevel(text, &level) {
			continue
		}
		for _, key := range []string{prefix + "msg", prefix + "message"} {
			if text, ok := fields[key].(string); ok {
				message = text
				delete(fields, key)
			}
		}
		for _, key := range []string{"level", "time", "timestamp", "module"} {
			delete(fields, prefix+key)
		}
		attributes := make([]slog.Attr, 0, len(fields))
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			attributes = append(attributes, slog.Any(key, fields[key]))
		}
		return level, message, attributes
	}
	return level, line, nil
}

func readLevel(text string, level *slog.Level) bool {
	if strings.EqualFold(text, "trace") {
		*level = slog.LevelDebug
		return true
	}
	return level.UnmarshalText([]byte(text)) == nil
}

// plainLevel of a line that is no JSON: the Go runtime's own words weigh more.
func plainLevel(line string) slog.Level {
	if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// lineWriter is logLine for what comes in pieces. It is written to by one
// goroutine.
type lineWriter struct {
	log     *slog.Logger
	pending []byte
	dropped int
}

// Write implements io.Writer; it takes everything.
func (w *lineWriter) Write(piece []byte) (int, error) {
	rest := piece
	for {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		keep := min(len(line), maxLine-len(w.pending))
		w.pending = append(w.pending, line[:keep]...)
		w.dropped += len(line) - keep
		if !ended {
			return len(piece), nil
		}
		logLine(w.log, lineText(w.pending, w.dropped))
		w.pending, w.dropped = w.pending[:0], 0
		rest = after
	}
}

// lineText is a line that was cut, with a word on what is missing.
func lineText(kept []byte, dropped int) string {
	text := strings.ToValidUTF8(strings.TrimSuffix(string(kept), "\r"), "\uFFFD")
	if dropped > 0 {
		text += fmt.Sprintf(" ... (%d bytes more)", dropped)
	}
	return text
}

// tail keeps the last lines that a plugin printed, for error messages.
type tail struct {
	mu    sync.Mutex
	lines []string
	fatal string // the first line of a panic, which a long trace pushes out
}

const (
	tailLines = 4
	tailWidth = 200
)

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(line) > tailWidth {
		line = strings.ToValidUTF8(line[:tailWidth], "") + "..."
	}
	if t.fatal == "" && plainLevel(line) == slog.LevelError {
		t.fatal = line
	}
	if line = strings.TrimSpace(line); line == "" {
		return
	}
	t.lines = append(t.lines, line)
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}

// hint puts the last lines into words.
func (t *tail) hint() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.fatal != "":
		return "its last words: " + t.fatal
	case len(t.lines) > 0:
		return "its last words: " + strings.Join(t.lines, " | ")
	}
	return "it printed nothing"
}
