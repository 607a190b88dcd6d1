package main

import (
	"bufio"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// indexOf is one of a task's, for sets of them.
type indexOf struct {
	task  string
	index int
}

// journalOf is the state of a run, and what of it was ever assigned.
func (p *place) journalOf(run string) (*plan.State, map[indexOf]bool) {
	p.t.Helper()
	ctx := context.Background()
	b, err := bucket.Open(ctx, p.address())
	if err != nil {
		p.t.Fatal(err)
	}
	defer b.Close()
	state, _, err := store.LoadRun(ctx, b, run)
	if err != nil {
		p.t.Fatal(err)
	}
	assigned := map[indexOf]bool{}
	for entry, err := range store.ReadJournal(ctx, b, run, 0) {
		if err != nil {
			p.t.Fatal(err)
		}
		for _, e := range entry.Events {
			if a := e.AttemptAssigned; a != nil {
				assigned[indexOf{a.Task, a.Index}] = true
			}
		}
	}
	return state, assigned
}

// killHalfWay runs a job file, kills its controller when so many indexes have
// succeeded, and has the run end as cancelled.
func (p *place) killHalfWay(file string, succeeded int) (run string) {
	p.t.Helper()
	cmd := p.command(p.t.Context(), "run", "--json", file)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() && succeeded > 0 {
		var line struct {
			Event, Run string
			Data       struct{ Class string }
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			p.t.Fatal(err)
		}
		run = line.Run
		if line.Event == "attempt-ended" && line.Data.Class == "succeeded" {
			succeeded--
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	p.spotrelay(exitUsage, "recover", run)
	p.spotrelay(exitSucceeded, "cancel", run)
	p.spotrelay(exitFailed, "attach", run)
	return run
}

// The example is killed half way and recovered: no index that had succeeded
// runs again, by the journal of the new run, and the report is the one of a run
// that nobody disturbed.
func TestExamplePipelineRecovers(t *testing.T) {
	p := newPlace(t)
	folder := p.pipeline()
	file := filepath.Join(folder, "pipeline.hcl")
	p.change(filepath.Join(folder, "station.sh"), "# The lowest", "sleep 0.5 # The lowest")
	p.change(file, "slots   = 10\n\n    cache {\n      inputs = [\"station.sh\"]", "slots   = 4\n\n    cache {\n      inputs = [\"station.sh\"]")
	run := p.killHalfWay(file, 12)
	before, _ := p.journalOf(run)
	done := map[indexOf]bool{}
	for i := range before.Tasks {
		for j := range before.Tasks[i].Indexes {
			if before.Tasks[i].Indexes[j].Phase == plan.IndexSucceeded {
				done[indexOf{before.Spec.Tasks[i].Name, j}] = true
			}
		}
	}
	if len(done) < 12 || len(done) >= 54 {
		t.Fatalf("%d of 54 indexes had succeeded when it was ended", len(done))
	}
	p.spotrelay(exitSucceeded, "recover", run)
	status := p.statusOf("last")
	if status.Indexes.Recovered != len(done) || status.Indexes.Succeeded != 54 || status.Recovers == nil || status.Recovers.Run != run {
		t.Errorf("%d had succeeded, and the new run has %+v", len(done), status.Indexes)
	}
	after, assigned := p.journalOf(status.ID)
	for index := range done {
		if assigned[index] {
			t.Errorf("%s[%d] had succeeded and ran again", index.task, index.index)
		}
		if x := after.Index(index.task, index.index); x.Recovered == nil || x.Recovered.Run != run || len(x.Attempts) > 0 {
			t.Errorf("%s[%d] was taken over as %+v", index.task, index.index, x.Recovered)
		}
	}
	if len(assigned)+len(done) < 54 {
		t.Errorf("%d were assigned, and %d taken over", len(assigned), len(done))
	}
	t.Logf("%d of 54 taken over, %d assigned", len(done), len(assigned))
	recovered := p.report("recovered")
	p.spotrelay(exitSucceeded, "rerun", "--no-cache", run)
	if whole := p.report("whole"); recovered != whole || !strings.HasPrefix(whole, "stations: 50\n") {
		t.Errorf("the recovered report is %q, that of a whole run %q", recovered, whole)
	}
	if p.statusOf("last").Indexes.Cached != 0 {
		t.Error("rerun --no-cache took something from the cache")
	}
}
