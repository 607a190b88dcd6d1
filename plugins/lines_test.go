package plugins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestReadLine(t *testing.T) {
	for line, want := range map[string]string{
		`plain`:           "INFO plain []",
		`panic: oh`:       "ERROR panic: oh []",
		`{"a": 1}`:        `INFO {"a": 1} []`,
		`{not json`:       "INFO {not json []",
		`{"level":"odd"}`: `INFO {"level":"odd"} []`,
		`{"time":"t","level":"WARN","msg":"m","b":2,"a":"x"}`:                         "WARN m [a=x b=2]",
		`{"@timestamp":"t","@level":"trace","@message":"m","@module":"p","pid":12.5}`: "DEBUG m [pid=12.5]",
	} {
		level, message, attributes := readLine(line)
		if got := fmt.Sprint(level, " ", message, " ", attributes); got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	}
}

// TestLinesAreWholeAndBounded compares both ways of cutting lines, in pieces of
// any size, with strings.Split.
func TestLinesAreWholeAndBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.OneOf(
			rapid.StringMatching(`[a-z ]{0,40}`),
			rapid.Map(rapid.IntRange(maxLine-2, 2*maxLine+3), func(n int) string { return strings.Repeat("x", n) }),
		)).Draw(t, "lines")
		var want []string
		text := ""
		for _, line := range lines {
			text += line + "\n"
			want = append(want, lineText([]byte(line[:min(len(line), maxLine)]), max(0, len(line)-maxLine)))
		}
		var got []string
		eachLine(iotest.OneByteReader(strings.NewReader(text)), func(line string) { got = append(got, line) })
		if !slices.Equal(got, want) {
			t.Fatalf("eachLine: %d lines, want %d", len(got), len(want))
		}
		var log bytes.Buffer
		writer := &lineWriter{log: slog.New(slog.NewJSONHandler(&log, nil))}
		size := rapid.IntRange(1, 3*maxLine).Draw(t, "piece")
		if _, err := io.CopyBuffer(struct{ io.Writer }{writer}, struct{ io.Reader }{strings.NewReader(text)}, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		got = nil
		for decoder := json.NewDecoder(&log); decoder.More(); {
			var record struct{ Msg string }
			if err := decoder.Decode(&record); err != nil {
				t.Fatal(err)
			}
			got = append(got, record.Msg)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("lineWriter: %d lines, want %d", len(got), len(want))
		}
	})
}

func FuzzReadLine(f *testing.F) {
	f.Add(`{"level":"WARN","msg":"m"}`)
	f.Add(`{"@level":"info","@message":"m","a":[1]}`)
	f.Add("panic: \xff")
	f.Fuzz(func(t *testing.T, line string) {
		logLine(slog.New(slog.NewTextHandler(io.Discard, nil)), line)
		if _, message, _ := readLine(line); utf8.ValidString(line) && !utf8.ValidString(message) {
			t.Errorf("%q from %q", message, line)
		}
	})
}

func FuzzParseLockFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"plugins":{"a":{"linux-amd64":"` + strings.Repeat("0", 64) + `"}}}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := parseLockFile("lock.json", data)
		if err != nil {
			return
		}
		lock.set("b", strings.Repeat("1", 64))
		again, err := json.Marshal(lock)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseLockFile("lock.json", again); err != nil {
			t.Errorf("what was read does not read again: %v", err)
		}
	})
}

func TestTail(t *testing.T) {
	var last tail
	if got := last.hint(); got != "it printed nothing" {
		t.Error(got)
	}
	for _, line := range []string{"1", "2", "", "3", "4", "5" + strings.Repeat("x", tailWidth)} {
		last.add(line)
	}
	if got := last.hint(); !strings.HasPrefix(got, "its last words: 2 | 3 | 4 | 5x") || len(got) > 300 {
		t.Error(got)
	}
	last.add("panic: no")
	for range 20 {
		last.add("goroutine 1 [running]:")
	}
	if got := last.hint(); got != "its last words: panic: no" {
		t.Error(got)
	}
}

func TestHclogger(t *testing.T) {
	var out bytes.Buffer
	log := newHclogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level:       slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return dropTime(a) },
	})))
	log.Named("p").With("a", 1).Warn("words", "err", io.EOF)
	if got, want := out.String(), "level=DEBUG msg=words a=1 err=EOF severity=warn\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	quiet := newHclogger(slog.New(slog.DiscardHandler))
	if quiet.IsError() || log.Named("a").Named("b").Name() != "a.b" {
		t.Error("level or name")
	}
}

func dropTime(a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
