package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func example(path string) string {
	return filepath.Join(repository(), "examples", filepath.FromSlash(path))
}

// From the call to the end, with nothing prepared but the programs.
func TestExampleHelloIsQuick(t *testing.T) {
	p := newPlace(t)
	best := time.Hour
	for range 3 { // other tests may be using the machine
		began := time.Now()
		p.spotrelay(exitSucceeded, "run", example("hello/hello.hcl"))
		best = min(best, time.Since(began))
	}
	t.Logf("best of three: %s", best)
	if best > 3*time.Second {
		t.Errorf("hello took %s, more than 3s", best)
	}
}

// The merged index is the one that a few lines of plain Go make.
func TestExampleIndex(t *testing.T) {
	p := newPlace(t)
	root := filepath.Join(goEnv("GOROOT"), "src", "encoding")
	out := p.spotrelay(exitSucceeded, "run", "--json", example("index/index.hcl"), "-var", "root="+root, "-var", "shards=3")
	var last endedJSON
	if err := json.Unmarshal([]byte(finalLine(out)), &last); err != nil {
		t.Fatal(err)
	}
	if last.Event != "run-ended" || last.State != "succeeded" || last.Indexes.Succeeded != 4 {
		t.Errorf("the last line is %+v", last)
	}
	to := filepath.Join(p.dir, "merged")
	p.spotrelay(exitSucceeded, "outputs", "last", "merge", "--to", to)
	if got, want := p.read(filepath.Join(to, "index.txt")), plainIndex(t, root); got != want {
		t.Errorf("the merged index differs from the plain one:\n%s", firstDifference(got, want))
	}
}

func finalLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// plainIndex makes the index in the plainest way, and in another than the
// example does.
func plainIndex(t *testing.T, root string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(files, func(a, b string) int {
		return strings.Compare(filepath.ToSlash(a[len(root)+1:]), filepath.ToSlash(b[len(root)+1:]))
	})
	word := regexp.MustCompile(`[A-Za-z]{3,}`)
	counts := map[string]map[int]int{}
	for number, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range word.FindAllString(string(data), -1) {
			found = strings.ToLower(found)
			if counts[found] == nil {
				counts[found] = map[int]int{}
			}
			counts[found][number]++
		}
	}
	var text strings.Builder
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		total := 0
		var where []string
		for _, number := range slices.Sorted(maps.Keys(counts[word])) {
			total += counts[word][number]
			where = append(where, fmt.Sprintf("%d:%d", number, counts[word][number]))
		}
		fmt.Fprintf(&text, "%s\t%d\t%s\n", word, total, strings.Join(where, " "))
	}
	return text.String()
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d:\n got %.200s\nwant %.200s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(g), len(w))
}

// The demo checks by itself that no committed epoch was lost, that three
// attempts were preempted and the last one ran on-demand, and that the metric
// is that of an uninterrupted training.
func TestExampleTrain(t *testing.T) {
	p := newPlace(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "run", "./examples/train/demo",
		"-spotrelay", filepath.Join(built, "spotrelay"), "-work", filepath.Join(p.dir, "demo"), "-epochs", "7")
	cmd.Dir, cmd.Env = repository(), p.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(string(out)))
	}
	for _, want := range []string{"no committed epoch of 7 was lost", "bit for bit"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not say %q:\n%s", want, tail(string(out)))
		}
	}
}

// From the metadata service's notice to the signal in the task.
func TestNoticeReachesTaskWithinASecond(t *testing.T) {
	p := newPlace(t)
	p.write("notice.hcl", `
job "notice" {
  task "wait" {
    command = ["sh", "-c", "trap 'cat $SPOTRELAY_NOTICE_FILE; exit 75' TERM; while :; do sleep 0.01; done"]
    checkpoint {
      path     = "ckpt"
      interval = "0s"
    }
    retries {
      attempts           = 2
      on_demand_attempts = 0
    }
  }
}
fleet "local" {
  provider = "local"
  config {
    event {
      instance = 1
      after    = "1s"
      action   = "preempt"
      notice   = "5s"
    }
    event {
      instance = 2
      after    = "500ms"
      action   = "preempt"
      notice   = "5s"
    }
  }
}
`)
	p.spotrelay(exitFailed, "run", "notice.hcl")
	var list attemptsJSON
	if err := json.Unmarshal([]byte(p.spotrelay(exitSucceeded, "attempts", "last", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Attempts) != 2 {
		t.Fatalf("%d attempts, not 2", len(list.Attempts))
	}
	for _, a := range list.Attempts {
		if a.Cause != "notice" || a.Evidence.End == nil || a.Evidence.End.Notice == nil {
			t.Fatalf("attempt %d ended by %s", a.Attempt, a.Cause)
		}
		// The agent, and so the task, saw it with 5s to go less its reaction,
		// and the task ended at once. All times are of one clock.
		given := a.Evidence.End.Notice.Deadline.Add(-5 * time.Second)
		if reaction := a.Evidence.End.Ended.Sub(given); reaction > time.Second {
			t.Errorf("attempt %d ended %s after its notice was given", a.Attempt, reaction)
		} else {
			t.Logf("attempt %d ended %s after its notice was given", a.Attempt, reaction)
		}
	}
}
