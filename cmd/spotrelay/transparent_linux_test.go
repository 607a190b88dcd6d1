package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// A shell loop that keeps its number in its memory alone is preempted with and
// without a notice; no number is lost. Needs a CRIU that works here.
func TestTransparentCheckpoint(t *testing.T) {
	criu, err := exec.LookPath("criu")
	if err != nil {
		t.Skipf("NOT TESTED with the real CRIU: %v", err)
	}
	if out, err := exec.Command(criu, "check").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED with the real CRIU: criu check: %v\n%s", err, out)
	}
	p := newPlace(t)
	p.write("count.hcl", `
job "count" {
  task "count" {
    command = ["sh", "-c", "echo started; i=0; while test $i -lt 300; do i=$((i+1)); echo $i >> out/numbers; sleep 0.05; done; echo done"]
    checkpoint {
      method   = "criu"
      interval = "1s"
    }
    output {
      path = "out"
    }
    retries {
      attempts           = 3
      on_demand_attempts = 0
    }
  }
}
fleet "local" {
  provider = "local"
  config {
    event {
      instance   = 1
      checkpoint = 2
      action     = "preempt"
      notice     = "10s"
    }
    event {
      instance   = 2
      checkpoint = 2
      action     = "kill"
    }
  }
}
`)
	p.spotrelay(exitSucceeded, "run", "count.hcl")
	var list attemptsJSON
	if err := json.Unmarshal([]byte(p.spotrelay(exitSucceeded, "attempts", "last", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	want := []job.Class{job.Preempted, job.Preempted, job.Succeeded}
	if len(list.Attempts) != len(want) {
		t.Fatalf("attempts: %+v", list.Attempts)
	}
	for i, a := range list.Attempts {
		if a.Class != want[i] {
			t.Errorf("attempt %d is %s, not %s", a.Attempt, a.Class, want[i])
		}
	}
	log := p.spotrelay(exitSucceeded, "logs", "last", "count")
	if strings.Count(log, "started") != 1 || strings.Count(log, "done") != 1 {
		t.Errorf("it was started once and ended once:\n%s", log)
	}
	to := filepath.Join(p.dir, "got")
	p.spotrelay(exitSucceeded, "outputs", "last", "count", "--to", to)
	lines := strings.Split(strings.TrimSpace(p.read(filepath.Join(to, "numbers"))), "\n")
	for i, line := range lines {
		if line != strconv.Itoa(i+1) {
			t.Fatalf("line %d is %s", i+1, line)
		}
	}
	if len(lines) != 300 {
		t.Errorf("%d numbers", len(lines))
	}
}

// A task has no files open but its own: what whoever calls spotrelay has open
// may hold up a dump, and is none of a task's business.
func TestTasksInheritNoFiles(t *testing.T) {
	p := newPlace(t)
	p.write("files.hcl", `
job "files" {
  task "files" {
    command = ["sh", "-c", "cd /proc/$$/fd && echo open: *"]
  }
}
fleet "local" {
  provider = "local"
}
`)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := p.command(ctx, "run", "files.hcl")
	for range 12 {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, null)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	log := p.spotrelay(exitSucceeded, "logs", "last", "files")
	files := strings.Fields(log)
	if own := []string{"open:", "0", "1", "2", "3"}; !slices.Equal(files, own) && !slices.Equal(files, own[:4]) {
		t.Errorf("more than the three, and the folder that the shell reads, is open:\n%s", log)
	}
}
