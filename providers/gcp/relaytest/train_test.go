//go:build linux

package relaytest

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

const trainJob = `
job "train" {
  workdir {
    include = ["train.go", "model.go", "training.go"]
  }

  task "train" {
    setup   = ["go", "build", "-o", "train", "train.go", "model.go", "training.go"]
    command = ["./train", "-epochs", "6"]

    checkpoint {
      path     = "ckpt"
      interval = "30s"
    }

    output {
      path = "out"
    }

    retries {
      attempts           = 3
      on_demand_attempts = 1
    }
  }
}
`

// The training goes through all that can happen to it: two zones have no
// capacity and launches are throttled, the first instance is reclaimed with a
// notice, the second without, the last one is on-demand. Its metric is that of
// a training that nothing interrupted.
func TestTrain(t *testing.T) {
	p := newPlace(t, computetest.Options{SoftOff: 8 * time.Second})
	job := p.copyExample("train", trainJob+p.fleet(`    machine_types    = ["n2-standard-2"]`), "train.go", "model.go", "training.go")
	for _, zone := range []string{zoneA, zoneB} {
		p.server.SetCapacity(zone, "n2-standard-2", true, 0)
	}
	p.server.Inject(computetest.Fault{
		Method: "compute.regionInstances.bulkInsert", Status: http.StatusForbidden, Reason: "rateLimitExceeded",
		Message: "Quota exceeded for quota metric 'Queries'", Times: 2,
	})
	go p.interrupt(
		func(id uint64) { p.server.Preempt(id) },
		func(id uint64) { p.server.Kill(id) },
	)
	began := time.Now()
	p.spotrelay("run", job)
	t.Logf("the run took %s, %d calls: %v", time.Since(began).Round(100*time.Millisecond), len(p.server.Calls()), histogram(p.server.Calls()))
	t.Logf("the table of attempts:\n%s", p.spotrelay("attempts", "last"))
	p.checkTrained()
	p.compareMetrics()
	p.reaction()
}

// reaction reports how long the agent took to see the notice of the first
// instance: it counted 30 seconds from then. All times are of one clock.
func (p *place) reaction() {
	p.t.Helper()
	first := p.attempts()[0].Evidence.End
	if first == nil || first.Notice == nil {
		p.t.Fatal("the first attempt knows of no notice")
	}
	given := p.server.MetadataChanged(p.firstNoticed(), "preempted")
	p.t.Logf("the agent saw the notice %s after it was given", first.Notice.Deadline.Add(-30*time.Second).Sub(given).Round(time.Millisecond))
}

// firstNoticed is the instance that was given a notice first.
func (p *place) firstNoticed() uint64 {
	for _, in := range p.server.Instances() {
		if !p.server.MetadataChanged(in.ID, "preempted").IsZero() {
			return in.ID
		}
	}
	p.t.Fatal("no instance was given a notice")
	return 0
}

// interrupt does each of ends to one instance after the other, when the attempt
// on it has committed a checkpoint.
func (p *place) interrupt(ends ...func(uint64)) {
	for i, end := range ends {
		tick := time.NewTicker(10 * time.Millisecond)
		for p.committed() <= i {
			select {
			case <-tick.C:
			case <-p.ctx.Done():
				return
			}
		}
		tick.Stop()
		if living := p.server.Living(); len(living) > 0 {
			end(living[len(living)-1].ID)
		}
	}
}

// checkTrained wants two preempted attempts in the zone that had room, each in a
// way of its own, and a last one on-demand.
func (p *place) checkTrained() {
	p.t.Helper()
	attempts := p.attempts()
	if len(attempts) != 3 {
		p.t.Fatalf("%d attempts, not 3", len(attempts))
	}
	for i, cause := range []string{"notice", "reclaimed"} {
		a := attempts[i]
		if a.Class != "preempted" || a.Charge != "preemptions" || a.Cause != cause || a.Offer.Capacity != "spot" || a.Offer.Zone == zoneA || a.Offer.Zone == zoneB {
			p.t.Errorf("attempt %d is %+v", a.Attempt, a)
		}
	}
	if last := attempts[2]; last.Class != "succeeded" || !last.Final || last.Offer.Capacity != "on-demand" {
		p.t.Errorf("the last attempt is %+v", last)
	}
	for i, in := range p.server.Instances() {
		if in.Status == "RUNNING" {
			p.t.Errorf("instance %d of %d, %s, still runs", i, len(p.server.Instances()), in.Name)
		}
	}
}

// compareMetrics trains once more with nothing in between.
func (p *place) compareMetrics() {
	p.t.Helper()
	p.spotrelay("outputs", "last", "train", "--to", filepath.Join(p.dir, "interrupted"))
	program := filepath.Join(p.dir, "train")
	build := exec.CommandContext(p.ctx, "go", "build", "-o", program, "./examples/train")
	build.Dir = repository()
	if out, err := build.CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	calm := filepath.Join(p.dir, "calm")
	if out, err := exec.CommandContext(p.ctx, program, "-epochs", "6", "-checkpoint", filepath.Join(p.dir, "ckpt"), "-output", calm).CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	got, want := p.read(filepath.Join(p.dir, "interrupted", "metric.json")), p.read(filepath.Join(calm, "metric.json"))
	if got != want || got == "" {
		p.t.Errorf("the metrics differ:\ninterrupted %s\nuninterrupted %s", got, want)
	}
	p.t.Logf("the metric, interrupted or not: %s", got)
}
