package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/local"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// chaosJob has 30 tasks, arrays and single ones, and loses instances with and
// without notice, in the middle of a save too.
const chaosJob = `
job "chaos" {
  max_instances = 4

  task "first" {
    count   = 12
    command = ["sh", "-c", "mkdir -p ckpt; date >> ckpt/starts; sleep 0.4; echo ${count.index} > out/value"]

    checkpoint {
      path     = "ckpt"
      interval = "1s"
    }

    output {
      path = "out"
    }

    retries {
      attempts           = 30
      on_demand_attempts = 1
      backoff            = { initial = "10ms", factor = 1, max = "10ms", jitter = true }
    }
  }

  task "second" {
    count   = 12
    command = ["sh", "-c", "sleep 0.3; cat ${task.first.output}/${count.index}/value > out/value"]

    output {
      path = "out"
    }

    retries {
      attempts = 30
    }
  }

  task "third" {
    for_each = { a = 1, b = 2, c = 3, d = 4, e = 5 }
    command  = ["sh", "-c", "sleep 0.2; cat ${task.second.output}/*/value | sort -n > out/value"]

    output {
      path = "out"
    }

    retries {
      attempts = 30
    }
  }

  task "last" {
    command = ["sh", "-c", "cat ${task.third.output}/*/value | sort -n | uniq -c > out/value"]

    output {
      path = "out"
    }

    retries {
      attempts = 30
    }
  }
}

fleet "local" {
  provider = "local"

  config {
    max_instances = 6
    notice        = "500ms"
    preempt_after = ["900ms", "1500ms", "0s", "700ms", "2s", "0s", "1s", "0s", "1300ms", "0s"]

    event {
      instance = 3
      after    = "1s"
      action   = "kill"
    }

    event {
      instance = 6
      after    = "800ms"
      action   = "kill"
    }

    event {
      instance = 8
      after    = "1s"
      action   = "crash"
    }
  }
}
`

// TestControllersKilledAtRandom kills whoever controls a run with SIGKILL, at
// random moments, and attaches again each time. Each index of each task
// commits exactly once, no instance is left, no launch token rents twice, and
// the journal has no gap.
func TestControllersKilledAtRandom(t *testing.T) {
	kills := 20
	if soak() {
		kills = 200
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	for runs := 1; kills > 0; runs++ {
		p := newPlace(t)
		done := p.chaos(chance, kills)
		kills -= done
		t.Logf("run %d: %d kills", runs, done)
		if done == 0 {
			t.Fatal("a run ended before anything could be killed")
		}
	}
}

// chaos makes a run, kills its controllers at most so often while it lives, and
// sees it to its end. It gives the number of kills.
func (p *place) chaos(chance *rand.Rand, most int) (kills int) {
	p.t.Helper()
	jobFile := p.write("chaos.hcl", chaosJob)
	run, alive := p.killAfter(chance, "run", jobFile, "--json")
	for ; !alive && kills+1 < most; kills++ {
		if _, alive = p.killAfter(chance, "attach", run, "--json"); alive {
			break
		}
	}
	if !alive {
		kills++
	}
	p.spotrelay(exitSucceeded, "attach", run)
	p.checkChaos(run)
	return kills
}

// killAfter starts a controller, waits for its first line and a random moment,
// and kills it. It gives the run's id and whether the run ended before.
func (p *place) killAfter(chance *rand.Rand, args ...string) (run string, ended bool) {
	p.t.Helper()
	cmd := p.command(context.Background(), args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 4<<20)
	if !lines.Scan() {
		p.t.Fatalf("%v: it said nothing: %v", args, cmd.Wait())
	}
	var started startedJSON
	if err := json.Unmarshal(lines.Bytes(), &started); err != nil || started.Event != "run-started" {
		p.t.Fatalf("%v: the first line is %s", args, lines.Text())
	}
	fate := p.doom(cmd, chance, started.Run)
	last := started.Event
	for lines.Scan() {
		var event eventJSON
		if err := json.Unmarshal(lines.Bytes(), &event); err == nil { // the last line may be cut off
			last = event.Event
		}
	}
	fate.settle()
	err = cmd.Wait()
	if last == "run-ended" {
		return started.Run, true
	}
	var exit *exec.ExitError
	if err == nil || !asExit(err, &exit) || exit.Exited() {
		p.t.Fatalf("%v ended by itself: %v", args, err)
	}
	return started.Run, false
}

// doom is a kill that is on its way.
type doom struct {
	over, done chan struct{}
}

// doom kills a controller, half of the time after a random while, and otherwise
// in the moments after one of its next journal entries, when what it decided is
// written down and not yet done.
func (p *place) doom(cmd *exec.Cmd, chance *rand.Rand, run string) doom {
	d := doom{make(chan struct{}), make(chan struct{})}
	journal := filepath.Join(p.bucket(), filepath.FromSlash(store.JournalPrefix(run)))
	entries, pause := 0, time.Duration(chance.Int64N(int64(700*time.Millisecond)))
	if chance.IntN(2) == 0 {
		entries, pause = 1+chance.IntN(6), time.Duration(chance.Int64N(int64(5*time.Millisecond)))
	}
	go func() {
		defer close(d.done)
		if !d.sees(journal, entries) {
			return
		}
		select {
		case <-time.After(pause):
			_ = cmd.Process.Kill() // it may have ended
		case <-d.over:
		}
	}()
	return d
}

// sees waits until a journal has so many more entries.
func (d doom) sees(journal string, more int) bool {
	count := func() int {
		names, _ := os.ReadDir(journal) // there is one once the run began
		return len(names)
	}
	look := time.NewTicker(500 * time.Microsecond)
	defer look.Stop()
	for goal := count() + more; count() < goal; {
		select {
		case <-look.C:
		case <-d.over:
			return false
		}
	}
	return true
}

// settle waits for the kill, or lets it go when the controller has ended.
func (d doom) settle() {
	close(d.over)
	<-d.done
}

// checkChaos holds a closed run to the promises, and to what its job is.
func (p *place) checkChaos(run string) {
	p.t.Helper()
	b := p.open()
	defer b.Close()
	indexes, j := p.checkPromises(b, run)
	if indexes != 30 {
		p.t.Errorf("the job has %d indexes, not 30", indexes)
	}
	if j.preempted == 0 {
		p.t.Error("nothing was preempted")
	}
	p.checkOutput(run)
}

// open is the bucket of the place.
func (p *place) open() bucket.Bucket {
	p.t.Helper()
	b, err := bucket.Open(p.t.Context(), p.address())
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// checkPromises holds the journal and the instances of a run that succeeded to
// the promises: it is closed, each index succeeded once, nothing was rented
// twice and nothing is left. It gives the number of indexes.
func (p *place) checkPromises(b bucket.Bucket, run string) (indexes int, j journalFacts) {
	p.t.Helper()
	ctx := p.t.Context()
	spec, err := store.ReadSpec(ctx, b, run)
	if err != nil {
		p.t.Fatal(err)
	}
	j = p.readJournal(ctx, b, run)
	if !j.closed {
		p.t.Error("the journal does not say that the run is closed")
	}
	for _, task := range spec.Tasks {
		for index := range task.Count {
			indexes++
			if n := j.succeeded[job.AttemptID{Task: task.Name, Index: index}]; n != 1 {
				p.t.Errorf("%s[%d] of run %s succeeded %d times", task.Name, index, run, n)
			}
		}
	}
	p.checkInstances(ctx, spec, j)
	p.spotrelay(exitSucceeded, "audit")
	return indexes, j
}

// journalFacts is what a journal says, read event by event.
type journalFacts struct {
	succeeded map[job.AttemptID]int // by task and index
	launches  map[string]int        // instances wanted, by token
	closed    bool
	preempted int
	entries   int64
	epochs    map[int64]bool
	assigned  map[job.AttemptID]bool
	classes   map[string]int // attempts ended, by class and cause
}

func (p *place) readJournal(ctx context.Context, b bucket.Bucket, run string) journalFacts {
	p.t.Helper()
	j := journalFacts{succeeded: map[job.AttemptID]int{}, launches: map[string]int{}, epochs: map[int64]bool{}, assigned: map[job.AttemptID]bool{}, classes: map[string]int{}}
	ended := map[job.AttemptID]bool{}
	for entry, err := range store.ReadJournal(ctx, b, run, 0) {
		if err != nil {
			p.t.Fatal(err) // a gap is an error
		}
		j.entries++
		if entry.Seq != j.entries {
			p.t.Errorf("entry %d is where %d should be", entry.Seq, j.entries)
		}
		j.epochs[entry.Epoch] = true
		for _, event := range entry.Events {
			j.note(p.t, event, ended)
		}
	}
	objects := int64(0)
	for _, err := range b.List(ctx, store.JournalPrefix(run), "") {
		if err != nil {
			p.t.Fatal(err)
		}
		objects++
	}
	if objects != j.entries {
		p.t.Errorf("%d objects in the journal, %d entries", objects, j.entries)
	}
	p.t.Logf("%d entries of %d tenures, %d launches, attempts ended: %v", j.entries, len(j.epochs), len(j.launches), j.classes)
	return j
}

func (j *journalFacts) note(t testing.TB, event plan.Event, ended map[job.AttemptID]bool) {
	switch {
	case event.LaunchOpened != nil:
		if _, twice := j.launches[event.LaunchOpened.Token]; twice {
			t.Errorf("token %s was opened twice", event.LaunchOpened.Token)
		}
		j.launches[event.LaunchOpened.Token] = event.LaunchOpened.Count
	case event.AttemptAssigned != nil:
		j.assigned[event.AttemptAssigned.AttemptID] = true
		index := job.AttemptID{Task: event.AttemptAssigned.Task, Index: event.AttemptAssigned.Index}
		if j.succeeded[index] > 0 {
			t.Errorf("%v was assigned though it had succeeded", event.AttemptAssigned.AttemptID)
		}
	case event.AttemptEnded != nil:
		id := event.AttemptEnded.AttemptID
		if ended[id] {
			t.Errorf("%v ended twice", id)
		}
		ended[id] = true
		j.classes[strings.TrimSuffix(fmt.Sprintf("%s/%s", event.AttemptEnded.Class, event.AttemptEnded.Cause), "/")]++
		switch event.AttemptEnded.Class {
		case job.Preempted:
			j.preempted++
		case job.Succeeded:
			j.succeeded[job.AttemptID{Task: id.Task, Index: id.Index}]++
		}
	case event.RunClosed != nil:
		j.closed = true
	}
}

// checkInstances asks the provider itself, without plugin or controller.
func (p *place) checkInstances(ctx context.Context, spec *job.Spec, j journalFacts) {
	p.t.Helper()
	provider := local.New(local.Options{StateDir: p.dir + "/local"})
	fleet := providers.Fleet{Name: spec.Fleets[0].Name, Config: spec.Fleets[0].Config}
	instances, err := provider.List(ctx, fleet, map[string]string{providers.TagRun: spec.Run})
	if err != nil {
		p.t.Fatal(err)
	}
	rented := map[string]int{}
	for _, instance := range instances {
		rented[instance.Tags[providers.TagIntent]]++
		if instance.State != providers.StateTerminated {
			p.t.Errorf("instance %s is left, %s", instance.ID, instance.State)
		}
	}
	if len(rented) == 0 {
		p.t.Error("the provider knows of no instance of the run")
	}
	for _, token := range slices.Sorted(maps.Keys(rented)) {
		if wanted, known := j.launches[token]; !known || rented[token] > wanted {
			p.t.Errorf("token %s rented %d instances, the journal wants %d", token, rented[token], wanted)
		}
	}
}

// checkOutput fetches the last task's output: every index's value went through
// three tasks exactly once for each of five.
func (p *place) checkOutput(run string) {
	p.t.Helper()
	to := p.dir + "/fetched-" + run
	p.spotrelay(exitSucceeded, "outputs", run, "last", "--to", to)
	want := ""
	for i := range 12 {
		want += fmt.Sprintf("%7d %d\n", 5, i)
	}
	if got := p.read(to + "/value"); got != want {
		p.t.Errorf("the last task's output is\n%s\nwant\n%s", got, want)
	}
}
