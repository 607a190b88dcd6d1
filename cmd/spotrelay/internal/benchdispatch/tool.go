package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// usage is what one run took.
type usage struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	Peak    int64   `json:"peak_bytes"` // of all its processes together
}

// tool runs an array of tasks that do nothing.
type tool interface {
	name() string
	// missing says why it cannot be measured here, "" when it can.
	missing() string
	tasks() int
	// run does it once, with a folder that is its own and not there yet.
	run(ctx context.Context, dir string) (usage, error)
}

func allTools(o options) []tool {
	return []tool{
		ours{o},
		peer{title: "xargs", program: "xargs", args: []string{"-P", fmt.Sprint(o.jobs), "-n", "1", "true"}, count: o.tasks},
		peer{title: "parallel", program: "parallel", args: []string{"--will-cite", "-j", fmt.Sprint(o.jobs), "true", "{}"}, count: o.tasks},
		slurm{o},
	}
}

// measured runs a command to its end, with all that it starts.
func measured(c *exec.Cmd) (usage, []byte, error) {
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	meter, err := startMeter()
	if err != nil {
		return usage{}, nil, err
	}
	began := time.Now()
	err = c.Run()
	u := usage{Seconds: time.Since(began).Seconds()}
	u.CPU, u.Peak = meter.stop()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, lastBytes(said.Bytes()))
	}
	return u, said.Bytes(), err
}

// lastBytes is the end of what a program said.
func lastBytes(said []byte) []byte {
	said = bytes.TrimSpace(said)
	return said[max(0, len(said)-1000):]
}

// peer is a program that reads its tasks, one on a line, from its input.
type peer struct {
	title, program string
	args           []string
	count          int
}

func (p peer) name() string { return p.title }
func (p peer) tasks() int   { return p.count }

func (p peer) missing() string {
	if _, err := exec.LookPath(p.program); err != nil {
		return "not installed"
	}
	return ""
}

func (p peer) run(ctx context.Context, _ string) (usage, error) {
	var lines strings.Builder
	for i := range p.count {
		fmt.Fprintln(&lines, i)
	}
	c := exec.CommandContext(ctx, p.program, p.args...)
	c.Stdin = strings.NewReader(lines.String())
	u, _, err := measured(c)
	return u, err
}

// ours is `spotrelay run` on one local instance.
type ours struct{ o options }

func (ours) name() string    { return mine }
func (ours) missing() string { return "" }
func (t ours) tasks() int    { return t.o.tasks }

const jobFile = `job "dispatch" {
  fleets = ["here"]

  task "nothing" {
    count   = %d
    slots   = %d
    command = ["true"]

    resources {
      cpus = 0.01
    }
  }
}

fleet "here" {
  provider = "local"

  config {
    max_instances = 1
  }
}
`

func (t ours) run(ctx context.Context, dir string) (usage, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return usage{}, err
	}
	file := filepath.Join(dir, "job.hcl")
	if err := os.WriteFile(file, fmt.Appendf(nil, jobFile, t.o.tasks, t.o.slots), 0o644); err != nil {
		return usage{}, err
	}
	u, _, err := measured(t.command(ctx, dir, "run", file))
	if err != nil {
		return u, err
	}
	return u, t.verify(ctx, dir)
}

func (t ours) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, t.o.program, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "SPOTRELAY_BUCKET="+filepath.Join(dir, "bucket"), "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	return c
}

// verify counts only a run that has kept a record of each attempt, with its
// class and the evidence for it.
func (t ours) verify(ctx context.Context, dir string) error {
	out, err := t.command(ctx, dir, "attempts", "last", "--json").Output()
	if err != nil {
		return fmt.Errorf("spotrelay attempts: %w", err)
	}
	var kept struct {
		Attempts []struct {
			Index    int    `json:"index"`
			Class    string `json:"class"`
			Evidence *struct {
				End *struct {
					Exited bool `json:"exited"`
				} `json:"end"`
			} `json:"evidence"`
		} `json:"attempts"`
	}
	if err := json.Unmarshal(out, &kept); err != nil {
		return fmt.Errorf("spotrelay attempts: %w", err)
	}
	succeeded := map[int]bool{}
	for _, a := range kept.Attempts {
		if a.Class == "succeeded" && a.Evidence != nil && a.Evidence.End != nil && a.Evidence.End.Exited {
			succeeded[a.Index] = true
		}
	}
	if len(kept.Attempts) != t.o.tasks || len(succeeded) != t.o.tasks {
		return fmt.Errorf("%d attempts are recorded and %d succeeded by their evidence, want %d", len(kept.Attempts), len(succeeded), t.o.tasks)
	}
	return nil
}
