package window_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/runner/agent/window"
)

const (
	mega = 1_000_000
	giga = 1_000_000_000
)

// text is a plan in short: what is sent in which order, and when.
func text(p window.Plan) string {
	parts := []string{"write " + p.Write.Round(100*time.Millisecond).String()}
	for _, s := range p.Saves {
		part := s.Name + " " + string(s.Verdict)
		if s.Verdict != window.GivenUp {
			part += " by " + s.Begin.Round(100*time.Millisecond).String()
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func TestMake(t *testing.T) {
	measured := window.Pace{Send: 100 * mega, Measured: true}
	save := func(name string, order int, bytes int64) window.Save {
		return window.Save{Name: name, Order: order, Send: bytes}
	}
	for name, test := range map[string]struct {
		left  time.Duration
		saves []window.Save
		pace  window.Pace
		want  string
	}{
		"nothing to save": {30 * time.Second, nil, measured, "write 28s"},
		"nothing has changed": {30 * time.Second, []window.Save{save("a", 0, 0)}, measured,
			"write 27.5s, a fits by 27.5s"},
		"one that fits": {30 * time.Second, []window.Save{save("a", 0, 1*giga)}, measured,
			"write 17.5s, a fits by 17.5s"},
		"two that fit, in their order": {30 * time.Second, []window.Save{save("b", 1, 200*mega), save("a", 0, 1*giga)}, measured,
			"write 15s, a fits by 15s, b fits by 25.5s"},
		"equals, the shorter first": {30 * time.Second, []window.Save{save("a", 0, 500*mega), save("b", 0, 200*mega)}, measured,
			"write 20s, b fits by 20s, a fits by 22.5s"},
		"the first is too long and goes last": {30 * time.Second, []window.Save{save("a", 0, 4*giga), save("b", 1, 1*giga)}, measured,
			"write 15s, b fits by 17.5s, a late by 15s"},
		"far too long is given up": {30 * time.Second, []window.Save{save("a", 0, 18*giga), save("b", 1, 1*giga)}, measured,
			"write 17.5s, b fits by 17.5s, a given up"},
		"far too long, by a rate that nobody measured": {30 * time.Second, []window.Save{save("a", 0, 18*giga)}, window.Pace{Send: 100 * mega},
			"write 15s, a late by 15s"},
		"no room beside the first": {30 * time.Second, []window.Save{save("a", 0, 2*giga), save("b", 1, 2*giga)}, measured,
			"write 7.5s, a fits by 7.5s, b late by 7.5s"},
		"reading is the slower": {30 * time.Second, []window.Save{{Name: "a", Send: 10 * mega, Read: 5 * giga}}, window.Pace{Send: 100 * mega, Read: 500 * mega, Measured: true},
			"write 17.5s, a fits by 17.5s"},
		"nothing is left": {0, []window.Save{save("a", 0, 1)}, measured, "write 0s, a given up"},
		"past it":         {-time.Hour, []window.Save{save("a", 0, 1)}, window.Pace{Send: mega}, "write 0s, a late by 0s"},
	} {
		t.Run(name, func(t *testing.T) {
			got := window.Make(test.left, 30*time.Second, test.saves, test.pace)
			if text(got) != test.want {
				t.Errorf("got  %s\nwant %s", text(got), test.want)
			}
			for _, s := range got.Saves {
				if (s.Reason == "") != (s.Verdict == window.Fits) {
					t.Errorf("%s %s for the reason %q", s.Name, s.Verdict, s.Reason)
				}
			}
		})
	}
}

func TestReason(t *testing.T) {
	plan := window.Make(30*time.Second, 30*time.Second, []window.Save{{Name: "a", Send: 2 * giga}, {Name: "b", Order: 1, Send: 18 * giga}},
		window.Pace{Send: 410 * mega, Measured: true})
	b, _ := plan.Of("b")
	if want := "18 GB at 410 MB/s take 44 s, 30 s are left, of which the checkpoints before it take 5.4 s"; b.Reason != want {
		t.Errorf("%q, want %q", b.Reason, want)
	}
	if _, ok := plan.Of("c"); ok {
		t.Error("a save that nobody planned is in the plan")
	}
}

// What fits comes through in time, whatever else there is; nothing is put off
// or given up that would have fitted; and the order of the list says nothing.
func TestMakeHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pace := window.Pace{
			Send: float64(rapid.Int64Range(1, 1<<34).Draw(t, "send")), Read: float64(rapid.Int64Range(0, 1<<34).Draw(t, "read")),
			Measured: rapid.Bool().Draw(t, "measured"),
		}
		whole := time.Duration(rapid.Int64Range(1, int64(10*time.Minute)).Draw(t, "window"))
		left := time.Duration(rapid.Int64Range(-int64(time.Second), int64(whole)).Draw(t, "left"))
		var saves []window.Save
		for i := range rapid.IntRange(0, 8).Draw(t, "saves") {
			saves = append(saves, window.Save{
				Name: fmt.Sprint(i), Order: rapid.IntRange(0, 2).Draw(t, "order"),
				Send: rapid.Int64Range(0, 1<<42).Draw(t, "bytes"), Read: rapid.Int64Range(0, 1<<42).Draw(t, "to read"),
			})
		}
		plan := window.Make(left, whole, saves, pace)
		if len(plan.Saves) != len(saves) {
			t.Fatalf("%d of %d saves are planned", len(plan.Saves), len(saves))
		}
		if plan.Write < 0 || plan.Write > max(left, 0) {
			t.Fatalf("the tasks may write %s of %s", plan.Write, left)
		}
		check(t, plan, left, pace)
		again := slices.Clone(saves)
		slices.Reverse(again)
		if other := window.Make(left, whole, again, pace); text(other) != text(plan) {
			t.Fatalf("the order of the list matters:\n%s\n%s", text(plan), text(other))
		}
		if more := window.Make(left+time.Second, whole, saves, pace); more.Write < plan.Write && !anyFitsMore(plan, more) {
			t.Fatalf("with a second more they may write %s, not %s", more.Write, plan.Write)
		}
	})
}

// check plays the plan: the tasks end when their time is up, and the saves go
// one after the other.
func check(t *rapid.T, plan window.Plan, left time.Duration, pace window.Pace) {
	at, used, rank := plan.Write, time.Duration(0), 0
	for _, s := range plan.Saves {
		switch s.Verdict {
		case window.Fits:
			if rank > 0 {
				t.Fatal("one that fits goes after one that does not")
			}
			if at > s.Begin {
				t.Fatalf("%s begins at %s, and must by %s", s.Name, at, s.Begin)
			}
			at, used = at+s.Takes, used+s.Takes
			if at > left-plan.Margin {
				t.Fatalf("%s ends %s after now, %s are left", s.Name, at, left)
			}
		case window.Late:
			rank = max(rank, 1)
			if rank > 1 {
				t.Fatal("a late one goes after one that is given up")
			}
		case window.GivenUp:
			rank = 2
			if !pace.Measured || s.Takes <= 2*max(left, 0) && left > 0 {
				t.Fatalf("%s, which takes %s of %s, is given up", s.Name, s.Takes, left)
			}
		}
	}
	for _, s := range plan.Saves {
		if s.Verdict != window.Fits && s.Takes <= left-plan.Margin-used {
			t.Fatalf("%s is %s, though it fits", s.Name, s.Verdict)
		}
	}
}

// anyFitsMore: with more time more fits, which takes some of it.
func anyFitsMore(plan, more window.Plan) bool {
	return slices.ContainsFunc(plan.Saves, func(s window.Planned) bool {
		with, _ := more.Of(s.Name)
		return with.Verdict != s.Verdict
	})
}

func TestWarning(t *testing.T) {
	fast := window.Pace{Send: 410 * mega, Measured: true}
	for name, test := range map[string]struct {
		forecast window.Forecast
		pace     window.Pace
		want     string
	}{
		"as in the docs": {window.Forecast{Send: 18 * giga, Since: 8*time.Minute + 30*time.Second, Notice: 30 * time.Second}, fast,
			"18 GB at 410 MB/s takes 44 s, the notice is 30 s: save every 4 min or spread it"},
		"all at once": {window.Forecast{Send: 18 * giga, Since: time.Second, Notice: 30 * time.Second}, fast,
			"18 GB at 410 MB/s takes 44 s, the notice is 30 s: write less at a time, or in several files one after the other, so that they are copied ahead"},
		"hours":                 {window.Forecast{Send: 30 * giga, Since: 9 * time.Hour, Notice: 30 * time.Second}, fast, "30 GB at 410 MB/s takes 74 s, the notice is 30 s: save every 2 h or spread it"},
		"seconds":               {window.Forecast{Send: 18 * giga, Since: time.Minute, Notice: 30 * time.Second}, fast, "18 GB at 410 MB/s takes 44 s, the notice is 30 s: save every 30 s or spread it"},
		"a notice of no length": {window.Forecast{Send: 1 * giga, Since: time.Hour, Notice: 100 * time.Millisecond}, fast, "1.0 GB at 410 MB/s takes 2.9 s, the notice is 0.1 s: write less at a time, or in several files one after the other, so that they are copied ahead"},
		"it fits":               {window.Forecast{Send: 10 * giga, Since: time.Hour, Notice: 30 * time.Second}, fast, ""},
		"a long notice":         {window.Forecast{Send: 18 * giga, Since: time.Hour, Notice: 120 * time.Second}, fast, ""},
		"nobody knows":          {window.Forecast{Send: 18 * giga, Since: time.Hour}, fast, ""},
		"nothing was measured":  {window.Forecast{Send: 18 * giga, Since: time.Hour, Notice: 30 * time.Second}, window.Pace{Send: mega}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.forecast.Warning(test.pace); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{-1: "0 s", 1234 * time.Millisecond: "1.2 s", 44 * time.Second: "44 s", 5 * time.Minute: "5 min", 3 * time.Hour: "3 h"} {
		if got := window.Span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 1_500_000: "1.5 MB", 18_200_000_000: "18 GB", 9_000_000_000_000_000_000: "9000 PB"} {
		if got := window.Bytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
