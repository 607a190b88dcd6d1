package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// forceJob is a job whose tasks keep their own books: each attempt enters
// itself in a folder of this machine, outside of anything that is under test,
// with the step that it goes on from. A checkpoint that is not whole fails its
// task for good.
const forceJob = `
job "force" {
  max_instances = 3

  timing {
    heartbeat    = "300ms"
    silence      = "3s"
    lease        = "3s"
    idle_timeout = "2s"
    poll         = "%[5]s"
  }

  task "walk" {
    count   = %[1]d
    command = ["sh", "-c", <<-EOT
      set -eu
      at=0
      if [ -f ckpt/state ]; then
        at=$(head -n 1 ckpt/state)
        want=$(sed -n 2p ckpt/state)
        got=$(tail -c %[2]d ckpt/state | cksum)
        [ "$want" = "$got" ] || exit 2
      fi
      me="%[3]s/$SPOTRELAY_RUN_ID.$SPOTRELAY_TASK.$SPOTRELAY_INDEX.$SPOTRELAY_ATTEMPT"
      mkdir "$me" || { mkdir -p "$me/again"; exit 2; }
      echo $at > "$me/from"
      mkdir -p ckpt
      while [ $at -lt %[4]d ]; do
        sleep 0.3
        at=$((at + 1))
        head -c %[2]d /dev/urandom > next
        { echo $at; cksum < next; cat next; } > ckpt/new
        mv ckpt/new ckpt/state
      done
      echo $at > out/value
    EOT
    ]

    checkpoint {
      path     = "ckpt"
      interval = "1s"
    }

    output {
      path = "out"
    }

    retries {
      attempts      = 90
      on_exit_codes = { fail = [2] }
      backoff       = { initial = "10ms", factor = 1, max = "10ms" }
    }
  }

  task "sum" {
    command = ["sh", "-c", "cat ${task.walk.output}/*/value > out/value"]

    output {
      path = "out"
    }

    retries {
      attempts = 90
    }
  }
}

fleet "local" {
  provider = "local"

  config {
    max_instances = 40
    notice        = "500ms"
    preempt_after = ["2500ms", "0s", "4s", "6s", "0s", "5s"]
    share         = ["%[3]s"]
    pass_env      = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"]
  }
}
`

// walk is how large a forceJob is.
type walk struct {
	count int // walkers
	steps int // of each
	bytes int // of state
	poll  time.Duration
}

// force is a place with the books of a forceJob and a source of chance.
type force struct {
	*place
	walk   walk
	chance *rand.Rand
	file   string // the job file
	ledger string
}

// newForce prints its seed.
func newForce(t testing.TB, p *place, w walk) *force {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("SPOTRELAY_FORCE_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SPOTRELAY_FORCE_SEED: %v", err)
		}
	}
	t.Logf("seed %d: SPOTRELAY_FORCE_SEED=%d repeats its decisions", seed, seed)
	f := &force{place: p, walk: w, chance: rand.New(rand.NewPCG(seed, 1)), ledger: filepath.Join(p.dir, "ledger")}
	if err := os.Mkdir(f.ledger, 0o777); err != nil {
		t.Fatal(err)
	}
	f.file = p.write("force.hcl", fmt.Sprintf(forceJob, w.count, w.bytes, f.ledger, w.steps, w.poll))
	return f
}

// within is a random time below a bound.
func (f *force) within(most time.Duration) time.Duration {
	return time.Duration(f.chance.Int64N(int64(most)))
}

// check holds a run that has ended to the promises, by its journal, the
// provider, and the books of its tasks.
func (f *force) check(run string) journalFacts {
	f.t.Helper()
	b := f.open()
	defer b.Close()
	indexes, j := f.checkPromises(b, run)
	if indexes != f.walk.count+1 {
		f.t.Errorf("the job has %d indexes, not %d", indexes, f.walk.count+1)
	}
	f.checkLedger(b, run, j)
	to := filepath.Join(f.dir, "sum-"+run)
	f.spotrelay(exitSucceeded, "outputs", run, "sum", "--to", to)
	want := strings.Repeat(fmt.Sprintln(f.walk.steps), f.walk.count)
	if got := f.read(filepath.Join(to, "value")); got != want {
		f.t.Errorf("the sum of run %s is %q, want %q", run, got, want)
	}
	return j
}

// checkLedger holds what the tasks wrote down to the journal: each attempt that
// started was assigned there, none started twice, and none went on from less
// than one before it did.
func (f *force) checkLedger(b bucket.Bucket, run string, j journalFacts) {
	f.t.Helper()
	from := map[job.AttemptID]int{}
	last := map[int]int{}
	entries, err := filepath.Glob(filepath.Join(f.ledger, run+".*"))
	if err != nil || len(entries) == 0 {
		f.t.Fatalf("no attempt of run %s entered itself (%v)", run, err)
	}
	for _, entry := range entries {
		parts := strings.Split(filepath.Base(entry), ".")
		index, err1 := strconv.Atoi(parts[2])
		attempt, err2 := strconv.Atoi(parts[3])
		if err1 != nil || err2 != nil {
			f.t.Fatalf("the entry %s", entry)
		}
		id := job.AttemptID{Task: parts[1], Index: index, Attempt: attempt}
		if !j.assigned[id] {
			f.t.Errorf("%v ran, and the journal never assigned it", id)
		}
		if _, err := os.Stat(filepath.Join(entry, "again")); err == nil {
			f.t.Errorf("%v ran twice", id)
		}
		text, err := os.ReadFile(filepath.Join(entry, "from"))
		at, parseErr := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || parseErr != nil {
			continue // it was killed before it wrote
		}
		from[id], last[index] = at, max(last[index], attempt)
	}
	resumed := 0
	for index, most := range last {
		before := 0
		for attempt := 1; attempt <= most; attempt++ {
			at, ran := from[job.AttemptID{Task: "walk", Index: index, Attempt: attempt}]
			if !ran {
				continue
			}
			if at < before {
				f.t.Errorf("walk[%d]: attempt %d went on from step %d, one before it from %d", index, attempt, at, before)
			}
			if before = at; at > 0 {
				resumed++
			}
		}
	}
	f.checkReadable(b, run)
	f.t.Logf("run %s: %d attempts started, %d of them from a checkpoint", run, len(entries), resumed)
}

// checkReadable: whatever lies in the bucket of the run can be read.
func (f *force) checkReadable(b bucket.Bucket, run string) {
	f.t.Helper()
	if _, _, err := store.LoadRun(f.t.Context(), b, run); err != nil {
		f.t.Error(err)
	}
	for document, err := range store.ListDocuments(f.t.Context(), b, run) {
		if err == nil && document.Name == store.DesiredName {
			_, _, err = store.ReadDesired(f.t.Context(), b, run, document.Instance)
		} else if err == nil {
			_, _, err = store.ReadStatus(f.t.Context(), b, run, document.Instance)
		}
		if err != nil {
			f.t.Error(err)
		}
	}
}
