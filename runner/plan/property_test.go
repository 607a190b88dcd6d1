package plan

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// luck is chance from a seed. Which kinds of misfortune there are is drawn by
// rapid, so that it can find the fewest that are needed for a bad run.
type luck struct {
	t     *rapid.T
	from  *rand.Rand
	kinds map[string]bool
	quiet bool
}

func newLuck(t *rapid.T) *luck {
	seed := rapid.Uint64().Draw(t, "seed")
	return &luck{t: t, from: rand.New(rand.NewPCG(seed, 1)), kinds: map[string]bool{}}
}

func (l *luck) one(n int, what string) bool {
	if l.quiet {
		return false
	}
	on, known := l.kinds[what]
	if !known {
		on = rapid.Bool().Draw(l.t, what)
		l.kinds[what] = on
	}
	return on && l.from.IntN(n) == 0
}

func (l *luck) below(n int, _ string) int {
	if l.quiet || n < 2 {
		return 0
	}
	return l.from.IntN(n)
}

var testTiming = job.Timing{
	Heartbeat: job.Duration(15 * time.Second), Silence: job.Duration(3 * time.Minute),
	BootTimeout: job.Duration(5 * time.Minute), IdleTimeout: job.Duration(2 * time.Minute),
	Lease: job.Duration(30 * time.Second), Poll: job.Duration(time.Second),
}

func anySpec(t *rapid.T) *job.Spec {
	attempts := rapid.IntRange(1, 5).Draw(t, "attempts")
	retries := job.Retries{
		Attempts: attempts, OnDemandAttempts: rapid.IntRange(0, min(attempts, 2)).Draw(t, "on-demand attempts"),
		FailExitCodes: []int{2}, CapacityWait: job.Duration(10 * time.Minute),
		Backoff: job.Backoff{Initial: job.Duration(10 * time.Second), Factor: 2, Max: job.Duration(time.Minute), Jitter: true},
	}
	if rapid.Bool().Draw(t, "capped") {
		retries.MaxFailures = new(rapid.IntRange(0, 2).Draw(t, "max failures"))
	}
	slots := rapid.IntRange(1, 3).Draw(t, "slots")
	timing := testTiming
	if rapid.Bool().Draw(t, "seldom looked at") { // an attempt of a minute is short, then
		timing.Poll = job.Duration(time.Minute)
	}
	spec := &job.Spec{
		Run: "01k0000000000000000000test", Job: "any", Seed: 7, Timing: timing,
		MaxParallel:  rapid.SampledFrom([]int{0, 0, 1, 4}).Draw(t, "max parallel"),
		MaxCost:      rapid.SampledFrom([]float64{0, 0, 0, 0.5}).Draw(t, "max cost"),
		Fleets:       []job.Fleet{{Name: "one", Provider: "local"}},
		MaxInstances: rapid.IntRange(0, 3).Draw(t, "max instances"),
		Tasks: []job.Task{
			{Name: "first", Count: rapid.IntRange(0, 30).Draw(t, "first"), Array: true, Fleets: []string{"one"}, Slots: slots,
				MaxParallel:   rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "max parallel of the first"),
				HoldOnFailure: rapid.SampledFrom([]job.Duration{0, 0, job.Duration(10 * time.Minute)}).Draw(t, "hold"),
				MaxCost:       rapid.SampledFrom([]float64{0, 0, 0.05}).Draw(t, "max cost of an index"),
				Execution:     job.Execution{Command: []string{"true"}, Output: &job.Output{Path: "out"}}, Retries: retries},
			{Name: "second", Count: rapid.IntRange(1, 6).Draw(t, "second"), Array: true, Fleets: []string{"one"}, Slots: 1,
				Dedicated: rapid.Bool().Draw(t, "dedicated"), DependsOn: []string{"first"},
				Execution: job.Execution{Command: []string{"true"}, Checkpoint: &job.Checkpoint{
					Path: "c", AtEnd: rapid.SampledFrom([]job.AtEnd{"", job.AtEndKeep, job.AtEndKeepLast, job.AtEndRemove}).Draw(t, "at end"),
				}}, Retries: retries},
		},
	}
	for i := range spec.Tasks {
		if rapid.Bool().Draw(t, "cached") {
			spec.Tasks[i].Cache = &job.Cache{Version: "1", Serialize: rapid.Bool().Draw(t, "serialize")}
		}
	}
	return spec
}

// Whatever facts come, in whatever order, how often and how late, and however
// often the controller is replaced, the promises hold after every tick; and
// when the world has calmed down the run ends and leaves nothing behind.
func TestAnyWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { anyWorld(t, anySpec(t)) })
}

func anyWorld(t *rapid.T, spec *job.Spec) {
	{
		l := newLuck(t)
		w := newWorld(spec, l, t.Fatalf)
		w.queues = rapid.Bool().Draw(t, "queues")
		for range 20 + l.below(80, "steps") {
			by := Time(1+l.below(60, "seconds")) * time.Second
			switch {
			case l.one(80, "cancel"):
				w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestCancel, By: "me"}) })
			case l.one(15, "retry"):
				task := w.spec.Tasks[l.below(2, "which")].Name
				w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestRetry, Task: task, Index: -1}) })
			case l.one(30, "pause"):
				w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestPause, By: "me"}) })
			case w.state.Paused && l.below(8, "resume") == 1:
				w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestResume, By: "me"}) })
			case l.one(15, "restart"):
				w.restart()
			case l.one(20, "dry"):
				w.dry[providers.Spot] = !w.dry[providers.Spot]
			case l.one(4, "listing"):
				w.list("one")
			}
			w.step(by)
			promises(t, w)
		}
		l.quiet = true
		clear(w.dry)
		for range 400 {
			if w.state.Finished() {
				break
			}
			if w.state.Paused {
				w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestResume, By: "me"}) })
			}
			w.list("one")
			w.step(20 * time.Second)
			promises(t, w)
		}
		if !w.state.Finished() {
			t.Fatalf("the run has not ended: %v, groups %+v, instances %d, intents %d",
				w.state.Counts(), w.state.Groups(), len(w.state.Instances), len(w.state.Launches))
		}
		for id, m := range w.vms {
			if m.State != providers.StateTerminated {
				t.Fatalf("instance %s was left behind", id)
			}
		}
	}
}

// promises checks what must hold after every tick.
func promises(t *rapid.T, w *world) {
	t.Helper()
	folded := New(w.spec)
	for _, e := range w.journal {
		folded.Apply(e)
	}
	if a, b := snapshot(t, folded), snapshot(t, w.state); !bytes.Equal(a, b) {
		t.Fatalf("the journal folds to\n%s\nand the state is\n%s", a, b)
	}
	committed := map[string]int{}
	for _, e := range w.journal {
		if e.AttemptEnded != nil && e.AttemptEnded.Class == job.Succeeded {
			committed[series(e.AttemptEnded.AttemptID)]++
		}
	}
	for s, n := range committed {
		if n > 1 {
			t.Fatalf("%s committed %d times", s, n)
		}
	}
	for i := range w.spec.Tasks {
		for j := range w.state.Tasks[i].Indexes {
			budgetsHold(t, &w.spec.Tasks[i], &w.state.Tasks[i].Indexes[j])
		}
	}
	parallelHolds(t, w)
	if n := len(w.state.Instances); w.spec.MaxInstances > 0 && n > w.spec.MaxInstances {
		late := 0
		for _, inst := range w.state.Instances {
			if inst.Ending == EndingLate {
				late++
			}
		}
		if n-late > w.spec.MaxInstances {
			t.Fatalf("%d instances live, and %d are allowed", n, w.spec.MaxInstances)
		}
	}
}

// parallelHolds: no more attempts are assigned than max_parallel allows.
func parallelHolds(t *rapid.T, w *world) {
	t.Helper()
	total := 0
	for _, v := range w.state.TaskViews() {
		task, _ := w.spec.Task(v.Task)
		n := v.Counts[IndexAssigned] + v.Counts[IndexRunning]
		if total += n; task.MaxParallel > 0 && n > task.MaxParallel {
			t.Fatalf("%d attempts of %s are assigned, and %d may be", n, v.Task, task.MaxParallel)
		}
	}
	if w.spec.MaxParallel > 0 && total > w.spec.MaxParallel || total != w.state.work.busy {
		t.Fatalf("%d attempts are assigned, counted as %d, and %d may be", total, w.state.work.busy, w.spec.MaxParallel)
	}
}

func budgetsHold(t *rapid.T, task *job.Task, x *IndexState) {
	t.Helper()
	charged, failures, live := 0, 0, 0
	for k := range x.Attempts {
		rec := &x.Attempts[k]
		for n := range rec.Nodes { // incarnations that were replaced
			for _, lost := range rec.Nodes[n].Lost {
				if lost.Verdict.Charge != job.ChargeNothing && rec.Attempt > x.Base {
					charged++
				}
			}
			if rec.Final && rec.Nodes[n].Offer.Capacity != providers.OnDemand {
				t.Fatalf("node %d of final attempt %d of %s was on spot", n, rec.Attempt, task.Name)
			}
		}
		if rec.Ended == 0 {
			live++
			continue
		}
		if rec.Verdict == nil || rec.Evidence == nil || rec.Evidence.Text == "" {
			t.Fatalf("attempt %d of %s ended without a verdict", rec.Attempt, task.Name)
		}
		if rec.Attempt <= x.Base { // before it was retried
			continue
		}
		if rec.Verdict.Charge != job.ChargeNothing {
			charged++
		}
		if rec.Verdict.Charge == job.ChargeFailures {
			failures++
		}
		if rec.Final && rec.Offer.Capacity != providers.OnDemand {
			t.Fatalf("final attempt %d of %s was on spot", rec.Attempt, task.Name)
		}
		if k > 0 && rec.Attempt <= x.Attempts[k-1].Attempt {
			t.Fatalf("attempt %d of %s follows attempt %d", rec.Attempt, task.Name, x.Attempts[k-1].Attempt)
		}
	}
	if live > 1 || live == 1 && x.Phase.ended() {
		t.Fatalf("%d attempts of an index of %s live, which is %s", live, task.Name, x.Phase)
	}
	if charged > task.Retries.Attempts || charged != x.Charged || failures != x.Failures {
		t.Fatalf("%d attempts and %d failures of an index of %s were charged, its state says %d and %d, and it has %d",
			charged, failures, task.Name, x.Charged, x.Failures, task.Retries.Attempts)
	}
	if m := task.Retries.MaxFailures; m != nil && failures > *m+1 {
		t.Fatalf("%d failures of an index of %s, and %d are borne", failures, task.Name, *m)
	}
}

func snapshot(t interface{ Fatal(...any) }, s *State) []byte {
	data, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The same state, facts and time give the same decision, also for a state that
// was snapshot and loaded on the way.
func TestPlanIsPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLuck(t)
		w := newWorld(anySpec(t), l, t.Fatalf)
		twin := New(w.spec)
		for range 10 + l.below(60, "steps") {
			w.now += Time(1+l.below(60, "seconds")) * time.Second
			for _, id := range sortedKeys(w.vms) {
				w.live(w.vms[id])
			}
			if l.one(15, "restart") {
				loaded, err := Load(w.spec, snapshot(t, w.state))
				if err != nil {
					t.Fatal(err)
				}
				if a, b := snapshot(t, loaded), snapshot(t, w.state); !bytes.Equal(a, b) {
					t.Fatalf("a snapshot of\n%s\nwas loaded as\n%s", b, a)
				}
				w.restart()
				twin = loaded
			}
			one := w.state
			facts := w.gather()
			other := twin.Plan(shuffled(l, facts), w.now)
			d := one.Plan(facts, w.now)
			w.journal = append(w.journal, d.Events...)
			a, b := encode(t, d), encode(t, other)
			if !bytes.Equal(a, b) {
				t.Fatalf("one decision is\n%s\nand the other\n%s", a, b)
			}
			for _, action := range d.Actions {
				w.do(action)
			}
		}
	})
}

// gather takes all facts that have arrived.
func (w *world) gather() Facts {
	f := Facts{Tenure: w.tenure}
	w.tenure = false
	for _, fact := range w.facts {
		fact(&f)
	}
	w.facts = nil
	for _, id := range sortedKeys(w.vms) {
		if m := w.vms[id]; m.fresh && m.status.Beat > 0 {
			m.fresh = false
			f.Statuses = append(f.Statuses, cloneStatus(m.status))
		}
	}
	return f
}

// shuffled is the same facts in another order.
func shuffled(l *luck, f Facts) Facts {
	f.Statuses, f.Ends = slices.Clone(f.Statuses), slices.Clone(f.Ends)
	f.Launches, f.Found = slices.Clone(f.Launches), slices.Clone(f.Found)
	l.from.Shuffle(len(f.Statuses), func(i, j int) { f.Statuses[i], f.Statuses[j] = f.Statuses[j], f.Statuses[i] })
	l.from.Shuffle(len(f.Ends), func(i, j int) { f.Ends[i], f.Ends[j] = f.Ends[j], f.Ends[i] })
	l.from.Shuffle(len(f.Launches), func(i, j int) { f.Launches[i], f.Launches[j] = f.Launches[j], f.Launches[i] })
	l.from.Shuffle(len(f.Found), func(i, j int) { f.Found[i], f.Found[j] = f.Found[j], f.Found[i] })
	return f
}

func encode(t *rapid.T, d Decision) []byte {
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
