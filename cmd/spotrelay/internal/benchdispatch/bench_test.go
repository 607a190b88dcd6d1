package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func TestMedianAndGoals(t *testing.T) {
	r := report{Tasks: 1000, Runs: 3, Left: []string{"slurm (not installed)"}, Measures: []*measure{
		{Tool: mine, Tasks: 1000, Samples: []usage{{Seconds: 2, CPU: 3, Peak: 9 << 20}, {Seconds: 1, CPU: 9, Peak: 5 << 20}, {Seconds: 40, CPU: 1, Peak: 7 << 20}}},
		{Tool: "xargs", Tasks: 1000, Samples: []usage{{Seconds: 1}}},
		{Tool: "parallel", Tasks: 100, Samples: []usage{{Seconds: 1}}},
		{Tool: "slurm", Error: "no\nnode"},
	}}
	var text bytes.Buffer
	r.Markdown(&text)
	for _, want := range []string{
		"| spotrelay | 1000 | 3 | 2.00 | 500 | 3.00 | 3.00 | 7 |",
		"| slurm | failed: no node |",
		"Left out: slurm (not installed).",
		"| 0.4 times xargs | 0.50 | met |",
		"| 2 times parallel | 5.00 | met |",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "times slurm") {
		t.Error("a goal is held against what was not measured")
	}
	if err := r.failed(); err == nil || !strings.Contains(err.Error(), "slurm") {
		t.Errorf("the failure is told as %v", err)
	}
}

func TestPeersAreNamedWhenMissing(t *testing.T) {
	if why := (peer{title: "x", program: "no-such-program"}).missing(); why != "not installed" {
		t.Errorf("missing: %q", why)
	}
}

func TestMeterCountsWhatIsLeftBehind(t *testing.T) {
	if err := adopt(); err != nil {
		t.Skip("what is measured here is there on Linux only: ", err)
	}
	// The shell ends at once; what it started works on.
	u, _, err := measured(exec.CommandContext(t.Context(), "sh", "-c", "(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done) >/dev/null 2>&1 &"))
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU < 0.02 {
		t.Errorf("%.3f s of CPU were counted: not those of the process that was left behind", u.CPU)
	}
}
