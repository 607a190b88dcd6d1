package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pipelineTasks are the tasks of the example, with how many indexes each has.
var pipelineTasks = map[string]int{"clean": 1, "station": 50, "names": 1, "table": 1, "report": 1}

// statusOf is the only run that status --json shows for a reference.
func (p *place) statusOf(ref string) runJSON {
	p.t.Helper()
	var shown runsJSON
	if err := json.Unmarshal([]byte(p.spotrelay(exitSucceeded, "status", ref, "--json")), &shown); err != nil {
		p.t.Fatal(err)
	}
	return shown.Runs[0]
}

// ran checks which tasks of the last run had attempts: those that are named, and
// of all others every index was cached.
func (p *place) ran(names ...string) {
	p.t.Helper()
	run := p.statusOf("last")
	if run.State != "succeeded" {
		p.t.Fatalf("the run %s: %s", run.State, run.Reason)
	}
	computed := map[string]bool{}
	for _, name := range names {
		computed[name] = true
	}
	for _, task := range run.Tasks {
		count := pipelineTasks[task.Task]
		switch {
		case task.Indexes.Succeeded != count:
			p.t.Errorf("%s: %+v", task.Task, task.Indexes)
		case computed[task.Task] && (task.Indexes.Cached != 0 || task.Attempts < count):
			p.t.Errorf("%s was not computed: %+v, %d attempts", task.Task, task.Indexes, task.Attempts)
		case !computed[task.Task] && (task.Indexes.Cached != count || task.Attempts != 0):
			p.t.Errorf("%s was computed: %+v, %d attempts", task.Task, task.Indexes, task.Attempts)
		}
	}
}

func (p *place) pipeline() string {
	p.t.Helper()
	folder := filepath.Join(p.dir, "pipeline")
	if err := os.CopyFS(folder, os.DirFS(example("pipeline"))); err != nil {
		p.t.Fatal(err)
	}
	return folder
}

func (p *place) change(path, old, now string) {
	p.t.Helper()
	text := p.read(path)
	if !strings.Contains(text, old) {
		p.t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(text, old, now, 1)), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) report(name string) string {
	p.t.Helper()
	to := filepath.Join(p.dir, name)
	p.spotrelay(exitSucceeded, "outputs", "last", "report", "--to", to)
	return p.read(filepath.Join(to, "report.txt"))
}

// What was computed once is not computed again; after a change of a file only
// what depends on it is, as far as the change reaches.
func TestExamplePipeline(t *testing.T) {
	p := newPlace(t)
	folder := p.pipeline()
	file := filepath.Join(folder, "pipeline.hcl")
	p.spotrelay(exitSucceeded, "run", file)
	p.ran("clean", "station", "names", "table", "report")
	first := p.report("first")

	began := time.Now()
	out := p.spotrelay(exitSucceeded, "run", "--json", file)
	t.Logf("54 indexes, all cached: %s", time.Since(began))
	p.ran()
	if strings.Contains(out, `"launch-opened"`) {
		t.Error("something was rented though all was cached")
	}
	if again := p.report("again"); again != first || !strings.HasPrefix(first, "stations: 50\n") {
		t.Errorf("the report was %q and is %q", first, again)
	}

	// A name of one station: the readings and what is made of them stay.
	p.change(filepath.Join(folder, "data", "names.csv"), "Alder Hill", "Oak Hill")
	p.spotrelay(exitSucceeded, "run", file)
	p.ran("names", "table", "report")

	// Another order of the names makes the same list of names.
	lines := strings.SplitAfter(p.read(filepath.Join(folder, "data", "names.csv")), "\n")
	p.change(filepath.Join(folder, "data", "names.csv"), lines[0]+lines[1], lines[1]+lines[0])
	p.spotrelay(exitSucceeded, "run", file)
	p.ran("names")

	// The program of the array alone, which writes what it wrote before.
	p.change(filepath.Join(folder, "station.sh"), "# The lowest", "# The very lowest")
	p.spotrelay(exitSucceeded, "run", file)
	p.ran("station")

	// Without looking, and without a look replacing what is there.
	p.spotrelay(exitSucceeded, "run", "--overwrite-cache", file)
	p.ran("clean", "station", "names", "table", "report")
	p.spotrelay(exitSucceeded, "run", file)
	p.ran()
}

// explained is what cache explain says of one index of the last run.
func (p *place) explained(args ...string) cacheExplanation {
	p.t.Helper()
	var report cacheExplainJSON
	if err := json.Unmarshal([]byte(p.spotrelay(exitSucceeded, append([]string{"cache", "explain", "--json"}, args...)...)), &report); err != nil {
		p.t.Fatal(err)
	}
	if len(report.Indexes) != 1 {
		p.t.Fatalf("%d indexes", len(report.Indexes))
	}
	return report.Indexes[0]
}

const serialized = `
job "two" {
  task "slow" {
    command = ["sh", "-c", "echo started >>$MARKS/started; while [ ! -e $MARKS/go ]; do sleep 0.05; done; echo done >$SPOTRELAY_OUTPUT_DIR/x"]
    env     = { MARKS = "MARKSDIR" }
    output { path = "out" }
    cache { serialize = true }
  }
  timing { lease = "3s" }
}

fleet "local" {
  provider = "local"
  config { share = ["MARKSDIR"] }
}
`

func (p *place) writeSerialized() (file, marks string) {
	p.t.Helper()
	marks = filepath.Join(p.dir, "marks")
	if err := os.Mkdir(marks, 0o755); err != nil {
		p.t.Fatal(err)
	}
	return p.write("two.hcl", strings.ReplaceAll(serialized, "MARKSDIR", filepath.ToSlash(marks))), marks
}

func (p *place) waitFor(what string, is func() bool) {
	p.t.Helper()
	deadline, tick := time.After(2*time.Minute), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("it did not come about: %s", what)
		}
	}
}

func started(marks string) int {
	data, err := os.ReadFile(filepath.Join(marks, "started"))
	if err != nil {
		return 0
	}
	return strings.Count(string(data), "\n")
}

// Two runs of the same task at once: one computes, and the other says whom it
// waits for and takes what was made.
func TestTwoRunsOneComputes(t *testing.T) {
	p := newPlace(t)
	file, marks := p.writeSerialized()
	first := strings.Fields(p.spotrelay(exitSucceeded, "run", "-d", file))[0]
	p.waitFor("the first computes", func() bool { return started(marks) == 1 })
	second := strings.Fields(p.spotrelay(exitSucceeded, "run", "-d", file))[0]
	p.waitFor("the second waits", func() bool { return len(p.statusOf(second).Waits) == 1 })
	if by := p.statusOf(second).Waits[0].By; by.Run != first || by.Task != "slow" {
		t.Errorf("it waits for %+v", by)
	}
	if text := p.spotrelay(exitSucceeded, "status", second); !strings.Contains(text, "slow waits for run "+first) {
		t.Errorf("status says:\n%s", text)
	}
	if x := p.explained(second, "slow"); x.Outcome != cacheWaits {
		t.Errorf("explained as %+v", x)
	}
	if err := os.WriteFile(filepath.Join(marks, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{first, second} {
		p.waitFor("the run is over", func() bool { return p.statusOf(run).State == "succeeded" })
	}
	if n := started(marks); n != 1 || p.statusOf(second).Indexes.Cached != 1 || p.statusOf(first).Indexes.Cached != 0 {
		t.Errorf("%d computed", n)
	}
	if x := p.explained(second, "slow"); x.Outcome != cacheHit || x.From.Run != first {
		t.Errorf("explained as %+v", x)
	}
}

// The controller of the run that computes is killed: the other run waits no
// longer than the lease lasts, computes by itself, and what the first one makes
// in the end takes nothing from it.
func TestTakesOverFromAKilledController(t *testing.T) {
	p := newPlace(t)
	file, marks := p.writeSerialized()
	killed := p.command(t.Context(), "run", "--json", file)
	stdout, err := killed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	var begun startedJSON
	if err := json.NewDecoder(stdout).Decode(&begun); err != nil {
		t.Fatal(err)
	}
	p.waitFor("the first computes", func() bool { return started(marks) == 1 })
	second := strings.Fields(p.spotrelay(exitSucceeded, "run", "-d", file))[0]
	p.waitFor("the second waits", func() bool { return len(p.statusOf(second).Waits) == 1 })
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // it was killed
	at := time.Now()
	p.waitFor("the second computes", func() bool { return started(marks) == 2 })
	t.Logf("taken over after %s, with a lease of 3s", time.Since(at))
	if err := os.WriteFile(filepath.Join(marks, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p.waitFor("the second is over", func() bool { return p.statusOf(second).State == "succeeded" })
	p.spotrelay(exitSucceeded, "attach", begun.Run)
	if n := p.statusOf(begun.Run).Indexes; n.Succeeded != 1 || started(marks) != 2 {
		t.Errorf("the first run has %+v, %d computed", n, started(marks))
	}
	var list cacheJSON
	if err := json.Unmarshal([]byte(p.spotrelay(exitSucceeded, "cache", "ls", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Entries) != 1 || list.Entries[0].From.Run != second {
		t.Errorf("the cache has %+v", list.Entries)
	}
}
