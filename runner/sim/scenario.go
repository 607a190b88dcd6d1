package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// Scenario is a run and the weather that it meets.
type Scenario struct {
	Spec   *job.Spec
	Faults Faults
}

// scenario is what a seed stands for.
func (s Seed) scenario(now time.Time) (Scenario, error) {
	var entropy [32]byte
	binary.LittleEndian.PutUint64(entropy[:], uint64(s))
	run, err := job.NewRunID(now, rand.NewChaCha8(entropy))
	if err != nil {
		return Scenario{}, err
	}
	spec := &job.Spec{
		Version: job.SpecVersion, Run: run, Job: "sim", Created: now, Seed: uint64(s),
		Fleets: []job.Fleet{{Name: "first", Provider: "sim"}},
		Agent:  map[string]job.Program{"linux-amd64": {Key: "agents/sim", SHA256: "00"}},
		Timing: job.Timing{
			Heartbeat: job.Duration(s.span(20*time.Second, time.Minute, "heartbeat")), Silence: job.Duration(s.span(3*time.Minute, 6*time.Minute, "silence")),
			BootTimeout: job.Duration(5 * time.Minute), IdleTimeout: job.Duration(time.Minute),
			Poll:  job.Duration(s.span(5*time.Second, 30*time.Second, "poll")),
			Lease: job.Duration(leaseTime), OrphanGrace: job.Duration(10 * time.Minute),
		},
		MaxInstances: s.between(1, 6, "max instances"),
	}
	fleets := []string{"first"}
	if s.happens(0.4, "two fleets") {
		spec.Fleets = append(spec.Fleets, job.Fleet{Name: "second", Provider: "sim"})
		fleets = append(fleets, "second")
	}
	large := s.happens(0.25, "large")
	tasks := s.between(1, 2, "tasks")
	if large {
		tasks = s.between(2, 3, "tasks")
	}
	for i := range tasks {
		spec.Tasks = append(spec.Tasks, s.task(i, fleets, large))
	}
	return Scenario{Spec: spec, Faults: s.weather()}, nil
}

// task is one of a seed's. Most are small: what goes wrong does so between two
// calls, and a small run meets as many faults for what it costs.
func (s Seed) task(i int, fleets []string, large bool) job.Task {
	at := func(what string) string { return fmt.Sprint("task ", i, " ", what) }
	count := s.between(1, 2, at("count"))
	work := taskWork{Epochs: s.between(1, 4, at("epochs")), Epoch: s.span(20*time.Second, 4*time.Minute, at("epoch"))}
	if large {
		count = s.between(1, 4, at("count"))
		work.Epoch = s.span(20*time.Second, 10*time.Minute, at("epoch"))
	}
	if s.happens(0.15, at("short")) { // enough of them to be assigned ahead
		count = s.between(8, 24, at("count of short"))
		work = taskWork{Epochs: 1, Epoch: s.span(200*time.Millisecond, 20*time.Second, at("short epoch"))}
	}
	attempts := s.between(2, 6, at("attempts"))
	task := job.Task{
		Name: fmt.Sprint("task", i), Count: count, Array: count > 1, Fleets: fleets,
		Slots: s.between(1, 2, at("slots")),
		Execution: job.Execution{
			Command: work.command(), Signal: "SIGTERM", KillAfter: job.Duration(10 * time.Second),
			Output: &job.Output{Path: "out"},
		},
		Retries: job.Retries{
			Attempts: attempts, OnDemandAttempts: s.between(0, 2, at("on-demand")),
			Backoff:      job.Backoff{Initial: job.Duration(5 * time.Second), Factor: 2, Max: job.Duration(5 * time.Minute), Jitter: true},
			CapacityWait: job.Duration(s.span(5*time.Minute, 2*time.Hour, at("capacity wait"))),
		},
	}
	task.Dedicated = s.happens(0.2, at("dedicated"))
	if task.Dedicated {
		task.Slots = 1
	}
	if s.happens(0.8, at("checkpoint")) {
		task.Execution.Checkpoint = &job.Checkpoint{Path: "ckpt", Interval: job.Duration(s.span(time.Minute, 10*time.Minute, at("interval")))}
	}
	if s.happens(0.2, at("timeout")) {
		task.Execution.Timeout = job.Duration(s.span(10*time.Minute, 2*time.Hour, at("timeout of")))
	}
	if i > 0 && s.happens(0.7, at("depends")) {
		task.DependsOn = []string{fmt.Sprint("task", i-1)}
	}
	return task
}
