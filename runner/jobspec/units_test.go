package jobspec

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "1B": 1, "16GiB": 16 << 30, "500MB": 500e6, "1.5GiB": 3 << 29, "0.001kB": 1, "2 TiB": 2 << 40, "1PB": 1e15, "1KB": 1000,
		"9223372036854775807": -1, "9223372036854775807B": -1,
	} {
		got, err := parseSize(text)
		if want < 0 {
			if err == nil {
				t.Errorf("%s: %d", text, got)
			}
		} else if err != nil || got != want {
			t.Errorf("%s: got %d, want %d (%v)", text, got, want, err)
		}
	}
	for text, hint := range map[string]string{
		"": "a size is", "-1": "a size is", "1e3": "a size is", "16 gib": `"16GiB"`, "16gb": `"16GB"`, "4G": `"4GB"`, "x": "a size is", "1.5B": "no whole number", "10 parsecs": "unknown unit",
		"99999999999PB": "too large", "0x10": "a size is", "1,5GB": "a size is", "１GB": "a size is",
	} {
		if _, err := parseSize(text); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v does not say %s", text, err, hint)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1.5d": 36 * time.Hour, "500ms": 500 * time.Millisecond, "1d2h3m4s5ms": 26*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %v, want %v (%v)", text, got, want, err)
		}
	}
	for text, hint := range map[string]string{
		"": "a duration is", "30": `"30s"`, "-5s": "negative", "1w": "a duration is", "5us": "a duration is", "s": "a duration is", "1 s": "a duration is", "99999999d": "too long", "+1s": "a duration is",
	} {
		if _, err := parseDuration(text); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v does not say %s", text, err, hint)
		}
	}
}

// TestDurationAsGo: what Go writes, to the millisecond, is read the same.
func TestDurationAsGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour/time.Millisecond)).Draw(t, "ms")) * time.Millisecond
		if got, err := parseDuration(want.String()); err != nil || got != want {
			t.Fatalf("%v: got %v (%v)", want, got, err)
		}
		if got, err := parseDuration(formatDuration(want)); err != nil || got != want {
			t.Fatalf("%v as %s: got %v (%v)", want, formatDuration(want), got, err)
		}
	})
}

func TestSizeOfBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.Int64Range(0, 1<<59).Draw(t, "bytes")
		if got, err := parseSize(fmt.Sprint(bytes)); err != nil || got != bytes {
			t.Fatalf("%d: got %d (%v)", bytes, got, err)
		}
	})
}

func TestNearest(t *testing.T) {
	words := []string{"command", "count", "env", "job", "retries", "task"}
	for given, want := range map[string]string{
		"comand": "command", "commands": "command", "cuont": "count", "jbo": "job", "retires": "retries", "tasks": "task", "x": "", "": "", "command": "", "fleet": "", "ev": "env",
	} {
		if got := nearest(given, words); got != want {
			t.Errorf("%s: got %q, want %q", given, got, want)
		}
	}
}
