package plan

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// large is a run of 100,000 indexes.
func large() *job.Spec {
	return &job.Spec{
		Run: "01k0000000000000000bench000", Seed: 1, Timing: testTiming,
		Fleets: []job.Fleet{{Name: "one", Provider: "local"}},
		Tasks: []job.Task{{
			Name: "work", Count: 100_000, Array: true, Fleets: []string{"one"}, Slots: 1,
			Execution: job.Execution{
				Command: []string{"true"}, Checkpoint: &job.Checkpoint{Path: "c"}, Output: &job.Output{Path: "out"}},
			Retries: job.Retries{Attempts: 5, OnDemandAttempts: 1, CapacityWait: job.Duration(10 * time.Minute)},
		}},
	}
}

// crowd is 5,000 instances that do whatever they are told.
type crowd struct {
	state    *State
	journal  []Event
	keep     bool // the journal
	took     time.Duration
	now      Time
	statuses []job.Status
	at       map[string]int
	next     int
}

const crowdSize = 5000

func newCrowd(b testing.TB, keep bool) *crowd {
	c := &crowd{state: New(large()), at: map[string]int{}, keep: keep}
	c.tick(b, Facts{Tenure: true})
	d := c.tick(b, Facts{Offers: []OffersAnswer{{Fleet: "one", Group: "work", Offers: []providers.Offer{
		{Zone: "a", InstanceType: "m", Capacity: providers.Spot, Price: 1, Limit: crowdSize}}}}})
	launch := d.Actions[0].Launch
	if launch == nil || launch.Count != crowdSize {
		b.Fatalf("the first action is %+v, want a launch of %d", d.Actions[0], crowdSize)
	}
	answer := LaunchAnswer{Token: launch.Token}
	for i := range launch.Count {
		id := fmt.Sprintf("i-%016x", i)
		answer.Result.Instances = append(answer.Result.Instances, providers.Instance{
			ID: id, Offer: launch.Offers[0], State: providers.StateRunning})
		c.at[id] = i
		c.statuses = append(c.statuses, job.Status{Run: c.state.Spec.Run, Instance: id, Boot: "b", Beat: 1, Phase: job.PhaseReady})
	}
	c.tick(b, Facts{Launches: []LaunchAnswer{answer}})
	c.take(c.tick(b, Facts{Statuses: c.statuses}))
	return c
}

func (c *crowd) tick(b testing.TB, f Facts) Decision {
	c.now += 100 * time.Millisecond
	began := time.Now()
	d := c.state.Plan(f, c.now)
	c.took = time.Since(began)
	if c.keep {
		c.journal = append(c.journal, d.Events...)
	}
	return d
}

// take has each instance run what it was told.
func (c *crowd) take(d Decision) {
	for _, a := range d.Actions {
		if a.Desired == nil {
			continue
		}
		st := &c.statuses[c.at[a.Desired.Instance]]
		st.Running, st.Ended = nil, nil
		for _, x := range a.Desired.Attempts {
			st.Running = append(st.Running, job.AttemptStatus{AttemptID: x.AttemptID})
		}
		st.Beat++
	}
}

// changed is the next thousand instances' statuses, each with an attempt that
// has ended and its output.
func (c *crowd) changed() Facts {
	var f Facts
	for range 1000 {
		st := &c.statuses[c.next%crowdSize]
		c.next++
		for _, a := range st.Running {
			st.Ended = append(st.Ended, job.AttemptEnd{
				AttemptID: a.AttemptID, Exited: true, Committed: true, Elapsed: job.Duration(time.Minute),
				Output: &job.Manifest{Key: "runs/01k0/outputs/work/1/1", Digest: "0123456789abcdef0123456789abcdef", Bytes: 1 << 20, Files: 3},
			})
		}
		st.Running = nil
		st.Beat++
		f.Statuses = append(f.Statuses, cloneStatus(*st))
	}
	return f
}

// BenchmarkTick100k is a tick of a run of 100,000 indexes on 5,000 instances in
// which 1,000 statuses changed, each with an attempt that ended. It reports the
// heap that the state holds at the end as MiB.
func BenchmarkTick100k(b *testing.B) {
	before := heapMiB()
	c := newCrowd(b, false)
	var spent, worst time.Duration
	ticks := 0
	for b.Loop() {
		b.StopTimer()
		if c.state.work.open < 10_000 {
			c = newCrowd(b, false)
		}
		f := c.changed()
		b.StartTimer()
		d := c.tick(b, f)
		b.StopTimer()
		spent, worst, ticks = spent+c.took, max(worst, c.took), ticks+1
		c.take(d)
		b.StartTimer()
	}
	b.ReportMetric(float64(spent.Microseconds())/1000/float64(ticks), "ms/tick")
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms/worst")
	for c.state.work.open > 0 { // to its end: every index with its attempt
		c.take(c.tick(b, c.changed()))
	}
	b.ReportMetric(heapMiB()-before, "MiB")
	runtime.KeepAlive(c)
}

// BenchmarkFold100k folds the journal of a whole run of 100,000 indexes.
func BenchmarkFold100k(b *testing.B) {
	c := newCrowd(b, true)
	for c.state.work.open > 0 {
		c.take(c.tick(b, c.changed()))
	}
	b.ResetTimer()
	for b.Loop() {
		s := New(c.state.Spec)
		for _, e := range c.journal {
			s.Apply(e)
		}
		if s.work.open != 0 {
			b.Fatal("the folded run has not ended")
		}
	}
	b.ReportMetric(float64(len(c.journal)), "events")
}

func heapMiB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
