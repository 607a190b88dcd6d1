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
			Heartbeat: job.Duration(20 * time.Second), Silence: job.Duration(3 * time.Minute),
			BootTimeout: job.Duration(5 * time.Minute), IdleTimeout: job.Duration(time.Minute),
			Poll: job.Duration(10 * time.Second), Lease: job.Duration(leaseTime), OrphanGrace: job.Duration(10 * time.Minute),
		},
		MaxInstances: s.between(1, 6, "max instances"),
	}
	fleets := []string{"first"}
	if s.happens(0.4, "two fleets") {
		spec.Fleets = append(spec.Fleets, job.Fleet{Name: "second", Provider: "sim"})
		fleets = append(fleets, "second")
	}
	for i := range s.between(1, 3, "tasks") {
		spec.Tasks = append(spec.Tasks, s.task(i, fleets))
	}
	return Scenario{Spec: spec, Faults: s.weather()}, nil
}

func (s Seed) task(i int, fleets []string) job.Task {
	at := func(what string) string { return fmt.Sprint("task ", i, " ", what) }
	count := s.between(1, 4, at("count"))
	work := taskWork{Epochs: s.between(1, 4, at("epochs")), Epoch: s.span(20*time.Second, 10*time.Minute, at("epoch"))}
	short := s.happens(0.25, at("short")) // enough of them to be assigned ahead
	if short {
		count = s.between(8, 40, at("count of short"))
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

// weather is fair on some days: each fault is there or not.
func (s Seed) weather() Faults {
	f := Faults{
		Preempt: 1, Unannounced: 0.3, Withdrawn: 0.1, HostLost: 0.1, Foreign: 0.02, NeverBoots: 0.05,
		Capacity: 0.3, Quota: 0.05, Throttled: 0.05, Refused: 0.03, LostAnswer: 0.03, SlowCall: 0.05, LateCall: 0.05,
		ListLag: 90 * time.Second, SlowTerminal: 5 * time.Minute,
		BucketRefused: 0.01, BucketLostAnswer: 0.01, BucketSlow: 0.01, BucketLate: 0.006, Outages: 0.2,
		Crash: 0.0007, Pause: 0.0015, SecondOne: 0.5,
		AgentSilent: 0.1, AgentDies: 0.1, TaskFails: 0.05, OutOfMemory: 0.02,
	}
	for i, rate := range f.rates() {
		if s.happens(0.4, "not today", i) {
			*rate = 0
		}
	}
	return f.scaled([]float64{0.3, 1, 3}[s.between(0, 2, "storm")])
}
