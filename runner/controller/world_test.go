package controller

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// world is a cloud in memory whose instances run an agent of a few lines, on a
// real folder bucket. It stands in for the timing of a cloud; the real local
// provider is tested elsewhere, end to end.
type world struct {
	t *testing.T
	b bucket.Bucket

	mu        sync.Mutex
	instances map[string]*machine
	requests  map[string][]providers.LaunchRequest // by token, each call
	rented    map[string][]string                  // by token
	window    time.Duration
	lease     time.Duration
	work      func(id job.AttemptID) time.Duration
	all       sync.WaitGroup
	ctx       context.Context
}

type machine struct {
	providers.Instance
	cause providers.EndCause
	end   context.CancelFunc
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b, err := bucket.Open(t.Context(), "file://"+t.TempDir()+"?sync=off")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{
		t: t, b: b, ctx: ctx, window: time.Hour, lease: 10 * time.Second,
		instances: map[string]*machine{}, requests: map[string][]providers.LaunchRequest{}, rented: map[string][]string{},
		work: func(job.AttemptID) time.Duration { return 5 * time.Millisecond },
	}
	t.Cleanup(func() {
		cancel()
		w.all.Wait()
		b.Close()
	})
	return w
}

func (w *world) Provider(context.Context, string) (providers.Provider, error) { return w, nil }

func (w *world) Describe(context.Context) (providers.Description, error) {
	return providers.Description{
		Name: "world", TokenWindow: w.window, Pace: 10 * time.Millisecond,
		Leave:        providers.Leave{Means: providers.LeaveExit},
		Capabilities: []providers.Capability{providers.CapabilityOnDemand},
	}, nil
}

func (w *world) Check(context.Context, providers.Fleet) ([]providers.Fault, error) { return nil, nil }

func (w *world) Offers(context.Context, providers.Fleet, providers.Need) ([]providers.Offer, error) {
	offer := providers.Offer{Zone: "z1", InstanceType: "small", Capacity: providers.Spot, Price: 0.1, CPUs: 2, Memory: 4 << 30, Arch: "amd64", OS: "linux"}
	steady := offer
	steady.Capacity, steady.Price = providers.OnDemand, 0.3
	return []providers.Offer{offer, steady}, nil
}

func (w *world) Launch(_ context.Context, _ providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests[request.Token] = append(w.requests[request.Token], request)
	if w.rented[request.Token] == nil {
		for i := range request.Count {
			w.boot(fmt.Sprintf("i-%s-%d", request.Token, i), request)
		}
	}
	var result providers.LaunchResult
	for _, id := range w.rented[request.Token] {
		result.Instances = append(result.Instances, w.instances[id].Instance)
	}
	return result, nil
}

func (w *world) boot(id string, request providers.LaunchRequest) {
	ctx, cancel := context.WithCancel(w.ctx)
	w.instances[id] = &machine{
		Instance: providers.Instance{ID: id, Offer: request.Offers[0], State: providers.StateRunning, Tags: request.Tags},
		end:      cancel,
	}
	w.rented[request.Token] = append(w.rented[request.Token], id)
	a := &agent{world: w, run: request.Bootstrap.Run, id: id, running: map[job.AttemptID]time.Time{}}
	w.all.Go(func() { a.live(ctx) })
}

func (w *world) List(_ context.Context, _ providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []providers.Instance
	for _, m := range w.instances {
		ours := true
		for name, value := range tags {
			ours = ours && m.Tags[name] == value
		}
		if ours {
			found = append(found, m.Instance)
		}
	}
	return found, nil
}

func (w *world) Terminate(_ context.Context, _ providers.Fleet, ids []string) error {
	for _, id := range ids {
		w.kill(id, providers.EndByUs)
	}
	return nil
}

func (w *world) kill(id string, cause providers.EndCause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.instances[id]; m != nil && m.State != providers.StateTerminated {
		m.State, m.cause = providers.StateTerminated, cause
		m.end()
	}
}

func (w *world) Evidence(_ context.Context, _ providers.Fleet, ids []string) ([]providers.Evidence, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	evidence := make([]providers.Evidence, len(ids))
	for i, id := range ids {
		evidence[i] = providers.Evidence{ID: id, Cause: providers.EndUnknown}
		if m := w.instances[id]; m != nil {
			evidence[i] = providers.Evidence{ID: id, State: m.State, Cause: m.cause}
			if m.State == providers.StateRunning {
				evidence[i].Cause = providers.EndRunning
			}
		}
	}
	return evidence, nil
}

// alive is the ids of the instances that have not ended.
func (w *world) alive() (ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, m := range w.instances {
		if m.State != providers.StateTerminated {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// launches is how many launch calls were made.
func (w *world) launches() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, calls := range w.requests {
		n += len(calls)
	}
	return n
}

// agent does what the real one promises of its two documents.
type agent struct {
	world    *world
	run, id  string
	status   job.Status
	running  map[job.AttemptID]time.Time // till when
	ended    map[job.AttemptID]bool
	lastBeat time.Time
}

func (a *agent) live(ctx context.Context) {
	a.status = job.Status{Run: a.run, Instance: a.id, Boot: "b-" + a.id, Phase: job.PhaseReady}
	a.ended = map[job.AttemptID]bool{}
	changed := true
	for ctx.Err() == nil {
		changed = a.step(ctx) || changed
		if changed || time.Since(a.lastBeat) > 100*time.Millisecond {
			a.status.Beat++
			if _, err := store.WriteStatus(ctx, a.world.b, a.status, ""); err == nil {
				changed, a.lastBeat = false, time.Now()
			}
		}
		sleep(ctx, 3*time.Millisecond)
	}
}

func (a *agent) step(ctx context.Context) (changed bool) {
	desired, _, err := store.ReadDesired(ctx, a.world.b, a.run, a.id)
	now := time.Now()
	if err == nil && (desired.Epoch > a.status.Epoch || desired.Epoch == a.status.Epoch && desired.Sequence > a.status.Sequence) {
		a.status.Epoch, a.status.Sequence = desired.Epoch, desired.Sequence
		for _, assigned := range desired.Attempts {
			if _, known := a.running[assigned.AttemptID]; !known && !a.ended[assigned.AttemptID] {
				a.running[assigned.AttemptID] = now.Add(a.world.work(assigned.AttemptID))
			}
			if assigned.Cancel && !a.ended[assigned.AttemptID] {
				a.finish(job.AttemptEnd{AttemptID: assigned.AttemptID, Exited: true, Signal: "SIGTERM", SignalSent: true, Cancelled: true})
			}
		}
		a.status.Ended = slices.DeleteFunc(a.status.Ended, func(e job.AttemptEnd) bool {
			return slices.Contains(desired.Acknowledged, e.AttemptID)
		})
		changed = true
	}
	for id, until := range a.running {
		if now.After(until) {
			a.finish(job.AttemptEnd{AttemptID: id, Exited: true, Committed: true, Step: job.StepCommitting})
			changed = true
		}
	}
	a.status.Running = nil
	for id := range a.running {
		a.status.Running = append(a.status.Running, job.AttemptStatus{AttemptID: id, Step: job.StepRunning})
	}
	return changed
}

func (a *agent) finish(end job.AttemptEnd) {
	delete(a.running, end.AttemptID)
	a.ended[end.AttemptID] = true
	a.status.Ended = append(a.status.Ended, end)
}

// submitted is a run of two tasks, the second an array after the first.
func (w *world) submitted(count int) string {
	w.t.Helper()
	retries := job.Retries{Attempts: 5, OnDemandAttempts: 1, Backoff: job.Backoff{Initial: job.Duration(time.Millisecond), Factor: 2, Max: job.Duration(10 * time.Millisecond)}, CapacityWait: job.Duration(time.Minute)}
	execution := job.Execution{Command: []string{"true"}, Signal: "SIGTERM", KillAfter: job.Duration(time.Second)}
	run, err := job.NewRunID(time.Now(), rand.NewChaCha8([32]byte{byte(count)}))
	if err != nil {
		w.t.Fatal(err)
	}
	spec := &job.Spec{
		Run: run, Job: "test", Seed: 1, MaxInstances: 4,
		Fleets: []job.Fleet{{Name: "here", Provider: "world"}},
		Tasks: []job.Task{
			{Name: "first", Count: 1, Execution: execution, Fleets: []string{"here"}, Slots: 1, Retries: retries},
			{Name: "many", Count: count, Array: true, DependsOn: []string{"first"}, Execution: execution, Fleets: []string{"here"}, Slots: 1, Retries: retries},
		},
		Agent: map[string]job.Program{"linux-amd64": {Key: "agents/x", SHA256: "00"}},
		Timing: job.Timing{
			Heartbeat: job.Duration(100 * time.Millisecond), Silence: job.Duration(10 * time.Second), BootTimeout: job.Duration(20 * time.Second),
			IdleTimeout: job.Duration(100 * time.Millisecond), Poll: job.Duration(5 * time.Millisecond), Lease: job.Duration(w.lease),
		},
	}
	if err := store.WriteSpec(w.t.Context(), w.b, spec); err != nil {
		w.t.Fatal(err)
	}
	return run
}

func (w *world) load(run string) (*plan.State, store.Position) {
	w.t.Helper()
	state, at, err := store.LoadRun(context.Background(), w.b, run)
	if err != nil {
		w.t.Fatal(err)
	}
	return state, at
}

// checkOver holds a run that ended to what was promised: closed, nothing
// alive, one sequence of entries, every index succeeded once, every token used
// with one request, and nothing rented that no token asked for.
func (w *world) checkOver(run string) {
	w.t.Helper()
	state, at := w.load(run)
	if !state.Closed || state.Outcome != plan.OutcomeSucceeded || state.Unknown != 0 {
		w.t.Errorf("the run is %s, outcome %q (%s), closed %v", state.Run(), state.Outcome, state.Reason, state.Closed)
	}
	if alive := w.alive(); len(alive) > 0 {
		w.t.Errorf("instances are left: %v", alive)
	}
	succeeded, opened := map[string]int{}, map[string]bool{}
	fresh, entries, epoch := plan.New(state.Spec), int64(0), int64(0)
	for entry, err := range store.ReadJournal(context.Background(), w.b, run, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if entries++; entry.Seq != entries || entry.Epoch < epoch {
			w.t.Errorf("entry %d of epoch %d after epoch %d", entry.Seq, entry.Epoch, epoch)
		}
		epoch = entry.Epoch
		for _, event := range entry.Events {
			fresh.Apply(event)
			if e := event.LaunchOpened; e != nil {
				opened[e.Token] = true
			}
			if e := event.AttemptEnded; e != nil && e.Class == job.Succeeded {
				succeeded[fmt.Sprint(e.Task, e.Index)]++
			}
		}
	}
	if entries != at.Seq {
		w.t.Errorf("%d entries, the snapshot is of %d", entries, at.Seq)
	}
	for _, task := range state.Spec.Tasks {
		for i := range task.Count {
			if n := succeeded[fmt.Sprint(task.Name, i)]; n != 1 {
				w.t.Errorf("%s[%d] succeeded %d times", task.Name, i, n)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for token, calls := range w.requests {
		if !opened[token] {
			w.t.Errorf("token %s was used and is not in the journal", token)
		}
		w.t.Logf("token %s: %d calls, %d rented", token, len(calls), len(w.rented[token]))
		for _, call := range calls[1:] {
			if !reflect.DeepEqual(call, calls[0]) {
				w.t.Errorf("token %s was used with another request:\n%+v\n%+v", token, calls[0], call)
			}
		}
		if len(w.rented[token]) > calls[0].Count {
			w.t.Errorf("token %s rented %d of %d", token, len(w.rented[token]), calls[0].Count)
		}
	}
}

// eventually waits for a condition, looking every few milliseconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("in 20 s it did not come about: %s", what)
		}
	}
}
