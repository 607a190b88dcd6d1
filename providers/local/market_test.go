//go:build linux || darwin

package local

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
)

// tell gives the market events by letter: s save started, p progress with some
// bytes, n progress with none, f progress with all, c committed. The result
// has a bar after each event that set something off.
func tell(m *market, events string) string {
	said := ""
	for _, e := range events {
		said += string(e)
		event := map[rune]saveEvent{
			's': {Event: saveStarted},
			'n': {Event: saveProgress, BytesTotal: 8},
			'p': {Event: saveProgress, BytesDone: 4, BytesTotal: 8},
			'f': {Event: saveProgress, BytesDone: 8, BytesTotal: 8},
			'c': {Event: saveCommitted},
			'x': {Event: "save-failed"},
		}[e]
		for range m.observe(event) {
			said += "|"
		}
	}
	return said
}

func TestMarketMoments(t *testing.T) {
	cases := []struct {
		name string
		step step
		tell string
	}{
		{"the first checkpoint", step{Checkpoint: 1}, "spc|spc"},
		{"the second checkpoint", step{Checkpoint: 2}, "spcspc|spc"},
		{"a failed save is no checkpoint", step{Checkpoint: 1}, "spxspc|"},
		{"in the middle", step{DuringSave: 1}, "snp|fc"},
		{"in the middle of the second", step{DuringSave: 2}, "snpfcsnp|fc"},
		{"no middle: the next save", step{DuringSave: 1}, "snfcs|nfc"},
		{"a failed save counts as a save", step{DuringSave: 2}, "spxsp|"},
		{"never without saves", step{DuringSave: 1}, "c"},
	}
	for _, c := range cases {
		m := &market{script: []step{c.step}}
		events := slices.DeleteFunc([]rune(c.tell), func(r rune) bool { return r == '|' })
		if got := tell(m, string(events)); got != c.tell {
			t.Errorf("%s: %s, want %s", c.name, got, c.tell)
		}
	}
}

// Whatever the script and the events, each step happens at most once, in time
// order, and a timed one never before its time.
func TestMarketProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		script := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			s := step{Action: actionKill}
			n := rapid.IntRange(1, 4).Draw(t, "n")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				s.After = time.Duration(n) * time.Second
			case 1:
				s.Checkpoint = n
			case 2:
				s.DuringSave = n
			}
			return s
		}), 0, 6).Draw(t, "script")
		m := market{script: slices.Clone(script)}
		happened := 0
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			if rapid.Bool().Draw(t, "timed") {
				due, ok := m.next()
				if !ok {
					continue
				}
				if early := m.due(due - 1); len(early) > 0 {
					t.Fatalf("%+v happened before %s", early, due)
				}
				taken := m.due(due)
				if len(taken) == 0 {
					t.Fatalf("nothing is due at %s", due)
				}
				happened += len(taken)
				continue
			}
			event := rapid.SampledFrom([]saveEvent{
				{Event: saveStarted}, {Event: saveProgress, BytesDone: 1, BytesTotal: 2}, {Event: saveCommitted}, {Event: "other"},
			}).Draw(t, "event")
			happened += len(m.observe(event))
		}
		if happened+len(m.script) != len(script) {
			t.Fatalf("%d happened, %d are left of %d", happened, len(m.script), len(script))
		}
	})
}

func TestScriptOfTheNthInstance(t *testing.T) {
	c, faults := readConfig([]byte(`{"preempt_after": ["1s", "0s", "3s"], "notice": "2s", "event": [
		{"instance": 2, "after": "5s", "action": "kill", "notice": "0s"},
		{"instance": 1, "capacity": "on-demand", "checkpoint": 1, "action": "crash"},
		{"instance": 3, "capacity": "any", "during_save": 1, "action": "silence"}]}`))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	cases := []struct {
		capacity       providers.CapacityType
		spot, onDemand int
		want           []step
	}{
		{providers.Spot, 1, 0, []step{{Action: actionPreempt, After: time.Second, Notice: 2 * time.Second}}},
		{providers.Spot, 2, 0, []step{{Action: actionKill, After: 5 * time.Second}}},
		{providers.Spot, 3, 0, []step{{Action: actionPreempt, After: 3 * time.Second, Notice: 2 * time.Second}, {Action: actionSilence, DuringSave: 1, Notice: 2 * time.Second}}},
		{providers.Spot, 4, 0, nil},
		{providers.OnDemand, 0, 1, []step{{Action: actionCrash, Checkpoint: 1, Notice: 2 * time.Second}}},
		{providers.OnDemand, 1, 2, []step{{Action: actionSilence, DuringSave: 1, Notice: 2 * time.Second}}},
	}
	for _, k := range cases {
		got := c.script(k.capacity, map[providers.CapacityType]int{providers.Spot: k.spot, providers.OnDemand: k.onDemand})
		if !slices.Equal(got, k.want) {
			t.Errorf("%s %d/%d: %+v, want %+v", k.capacity, k.spot, k.onDemand, got, k.want)
		}
	}
}
