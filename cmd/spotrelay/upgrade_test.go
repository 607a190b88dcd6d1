package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// updateRuns records the run of the release to come anew; see docs/versions.md.
var updateRuns = flag.Bool("update-golden-run", false, "record the half-done run of the release to come")

// recordedRuns has a folder for each release: a bucket with one run that was
// left half-way, its controller and its instances dead.
const (
	recordedRuns = "testdata/upgrade"
	nextRelease  = "v1"
)

// upgradeJob is the job of the recorded runs. The second task is in the middle,
// with a checkpoint, when the run is left.
const upgradeJob = `
job "upgrade" {
  max_instances = 1

  timing {
    lease     = "2s"
    heartbeat = "500ms"
    silence   = "5s"
  }

  task "before" {
    count   = 2
    command = ["sh", "-c", "echo before ${count.index} > out/value"]

    output {
      path = "out"
    }
  }

  task "middle" {
    command = ["sh", "-c", <<-EOT
      set -eu
      mkdir -p ckpt
      [ ! -f ckpt/at ] || echo resumed > out/resumed
      at=$(cat ckpt/at || echo 0)
      while [ $at -lt 10 ]; do
        sleep 0.3
        at=$((at + 1))
        echo $at > new
        mv new ckpt/at
      done
      cat ${task.before.output}/*/value > out/value
    EOT
    ]

    checkpoint {
      path     = "ckpt"
      interval = "1s"
    }

    output {
      path = "out"
    }
  }

  task "after" {
    command = ["sh", "-c", "cat ${task.middle.output}/* > out/value"]

    output {
      path = "out"
    }
  }
}

fleet "local" {
  provider = "local"
}
`

// TestRunsOfEarlierReleases carries runs that earlier releases began to their
// ends: what was finished is not done again, what was saved is gone on from.
func TestRunsOfEarlierReleases(t *testing.T) {
	if *updateRuns {
		record(t, filepath.Join(recordedRuns, nextRelease))
	}
	releases, err := filepath.Glob(filepath.Join(recordedRuns, "*"))
	if err != nil || len(releases) == 0 {
		t.Fatalf("there is no recorded run in %s (%v)", recordedRuns, err)
	}
	for _, release := range releases {
		t.Run(filepath.Base(release), func(t *testing.T) {
			p := newPlace(t)
			if err := os.CopyFS(p.bucket(), os.DirFS(release)); err != nil {
				t.Fatal(err)
			}
			p.carryOn()
		})
	}
}

func (p *place) carryOn() {
	p.t.Helper()
	b := p.open()
	defer b.Close()
	runs, err := store.ListRuns(p.t.Context(), b)
	if err != nil || len(runs) != 1 {
		p.t.Fatalf("the recorded bucket has the runs %v (%v)", runs, err)
	}
	run := runs[0]
	p.giveAgent(b, run)
	before := p.readJournal(p.t.Context(), b, run)
	beforeTask := func(j journalFacts) int {
		return j.succeeded[job.AttemptID{Task: "before", Index: 0}] + j.succeeded[job.AttemptID{Task: "before", Index: 1}]
	}
	if before.closed || beforeTask(before) != 2 || before.succeeded[job.AttemptID{Task: "middle"}] != 0 {
		p.t.Fatalf("the recorded run is not half-way: %+v", before)
	}
	p.spotrelay(exitSucceeded, "attach", run)
	_, after := p.checkPromises(b, run)
	if after.entries <= before.entries || len(after.epochs) <= len(before.epochs) {
		p.t.Errorf("%d entries of %d tenures before, %d of %d after", before.entries, len(before.epochs), after.entries, len(after.epochs))
	}
	for id := range maps.Keys(after.assigned) {
		if id.Task == "before" && !before.assigned[id] {
			p.t.Errorf("%v was assigned though its index had succeeded", id)
		}
	}
	to := filepath.Join(p.dir, "after")
	p.spotrelay(exitSucceeded, "outputs", run, "after", "--to", to)
	if got, want := p.read(filepath.Join(to, "value")), "resumed\nbefore 0\nbefore 1\n"; got != want {
		p.t.Errorf("the output is %q, want %q", got, want)
	}
}

// giveAgent puts today's agent in the place of the one that the run was
// submitted with, which is too large to keep.
func (p *place) giveAgent(b bucket.Bucket, run string) {
	p.t.Helper()
	program := p.read(filepath.Join(built, "spotrelay-agent"))
	sum := sha256.Sum256([]byte(program))
	path := filepath.Join(p.bucket(), filepath.FromSlash(store.SpecKey(run)))
	spec, err := store.ReadSpec(p.t.Context(), b, run)
	if err != nil {
		p.t.Fatal(err)
	}
	platform := runtime.GOOS + "-" + runtime.GOARCH
	var document map[string]json.RawMessage // all else stays as it was written
	if err := json.Unmarshal([]byte(p.read(path)), &document); err != nil {
		p.t.Fatal(err)
	}
	key := "agents/recorded/" + platform
	if len(spec.Agent) == 0 || document["agent"] == nil {
		p.t.Fatal("the recorded run names no agent")
	}
	document["agent"], err = json.Marshal(map[string]job.Program{platform: {Key: key, SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(program))}})
	if err != nil {
		p.t.Fatal(err)
	}
	changed, err := json.Marshal(document)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := b.Put(p.t.Context(), key, strings.NewReader(program), bucket.Condition{}); err != nil {
		p.t.Fatal(err)
	}
	if _, err := b.Put(p.t.Context(), store.SpecKey(run), strings.NewReader(string(changed)), bucket.Condition{}); err != nil {
		p.t.Fatal(err)
	}
}

// record makes a run, leaves it half-way, and keeps its bucket.
func record(t *testing.T, to string) {
	t.Helper()
	f := &force{place: newPlace(t)}
	b := f.open()
	defer b.Close()
	c := f.control("run", f.write("upgrade.hcl", upgradeJob))
	await(t, "a checkpoint", c.gone, func() bool { return f.count(b, store.CheckpointPrefix(c.run, "middle", 0, 0)) > 0 })
	_ = c.cmd.Process.Kill() // it lives as yet
	<-c.gone
	for _, pid := range f.agents() {
		f.signal(pid, syscall.SIGKILL)
	}
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	host, boot := thisMachine(t)
	keep(t, f.bucket(), to, strings.NewReplacer(f.dir, "/home/somebody", `"`+host+`"`, `"somehost"`, "@"+host+`"`, `@somehost"`, boot, "someboot"))
	snapshot(t, to, c.run)
}

// thisMachine is what the recorded documents shall not tell of this machine: its
// name, and the id of its boot.
func thisMachine(t *testing.T) (host, boot string) {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	return host, strings.TrimSpace(string(id))
}

// keep copies a bucket's objects, less the agents.
func keep(t *testing.T, from, to string, words *strings.Replacer) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(from, path)
		if err == nil && entry.IsDir() && (name == "agents" || strings.HasPrefix(name, ".") && name != ".") {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755)
		}
		if err == nil && utf8.Valid(data) {
			data = []byte(words.Replace(string(data)))
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o644)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// snapshot leaves one in a recorded bucket, as a longer run would have it.
func snapshot(t *testing.T, folder, run string) {
	t.Helper()
	path, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bucket.Open(t.Context(), "file://"+filepath.ToSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	state, at, err := store.LoadRun(t.Context(), b, run)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := store.TakeSnapshot(state, at)
	if err == nil {
		err = store.WriteSnapshot(t.Context(), b, run, taken)
	}
	own, _ := filepath.Glob(filepath.Join(folder, ".*"))
	for _, name := range own { // the folder's own, no objects
		err = errors.Join(err, os.RemoveAll(name))
	}
	if err != nil {
		t.Fatal(err)
	}
}
