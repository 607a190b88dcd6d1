package plugins

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

func TestRestartDelay(t *testing.T) {
	options := Options{
		Log: slog.New(slog.DiscardHandler), CrashLimit: 9, CrashWindow: time.Minute, RestartDelay: 100 * time.Millisecond,
	}
	start := time.Unix(1000, 0)
	crashes := func(n int) []time.Time {
		var times []time.Time
		for i := range n {
			times = append(times, start.Add(time.Duration(i)*time.Second))
		}
		return times
	}
	for _, c := range []struct {
		crashes int
		after   time.Duration // since the last crash
		want    time.Duration // 0 or less: at once
	}{
		{0, 0, 0},
		{1, 0, 100 * time.Millisecond},
		{1, time.Second, -900 * time.Millisecond},
		{3, 0, 400 * time.Millisecond},
		{3, 150 * time.Millisecond, 250 * time.Millisecond},
		{8, 0, maxRestartDelay},
		{8, time.Minute, 0}, // all out of the window
	} {
		h := newHost(source{name: "p"}, options)
		h.crashes = crashes(c.crashes)
		now := start
		if c.crashes > 0 {
			now = h.crashes[c.crashes-1].Add(c.after)
		}
		if got, err := h.restartDelay(now); err != nil || got != c.want {
			t.Errorf("%d crashes, the last %s ago: %s, %v; want %s", c.crashes, c.after, got, err, c.want)
		}
	}

	h := newHost(source{name: "p"}, options)
	h.crashes, h.last = crashes(9), "last words"
	_, err := h.restartDelay(start.Add(10 * time.Second))
	var e *providers.Error
	if !errors.As(err, &e) || e.After != 50*time.Second || e.Hint != "last words" {
		t.Errorf("at the limit: %+v", err)
	}
	if _, err := h.restartDelay(start.Add(time.Minute)); err != nil {
		t.Errorf("when the first has left the window: %v", err)
	}
}
