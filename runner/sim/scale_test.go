package sim

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/controller"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

var scaleSizes = flag.String("scale", "1000", "the numbers of tasks of TestScale, with commas between")

// TestScale runs arrays of any size to their ends, over up to 5,000 instances of
// which 5 % are preempted in an hour, and prints what that costs. The controller,
// planner and store are the real ones; agents and cloud are simulated at their
// interfaces.
func TestScale(t *testing.T) {
	for text := range strings.SplitSeq(*scaleSizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(text, func(t *testing.T) {
			result := runScale(t, n)
			if result.succeeded != n {
				t.Errorf("%d of %d tasks succeeded", result.succeeded, n)
			}
			if result.left > 0 {
				t.Errorf("%d instances are left", result.left)
			}
			result.print(os.Stdout)
		})
	}
}

// scale is what a run of so many tasks took.
type scale struct {
	tasks, instances, preempted, succeeded, left int
	virtual                                      time.Duration
	wall                                         time.Duration // of this machine, with all the agents
	ticks                                        []time.Duration
	ticking                                      time.Duration // sum of ticks
	heap                                         uint64        // most, with bucket and agents
	live                                         uint64        // of it at the end, after a collection of garbage
	share                                        int64         // most that the controller held of it
	content                                      int64         // of the bucket at the end
	entries                                      int64
	controller, agents                           *requests
	attach                                       time.Duration
	snapshot                                     time.Duration // between two ticks, at the end
}

func (s *scale) print(w io.Writer) {
	slices.Sort(s.ticks)
	at := func(part float64) time.Duration { return s.ticks[int(part*float64(len(s.ticks)-1))] }
	per := func(n int64) float64 { return float64(n) / float64(s.tasks) }
	fmt.Fprintf(w, `%d tasks on %d instances at most, %d preempted, %s of the run's time in %s here
  ticks       %d: median %s, 99th percentile %s, worst %s; %.0f µs a task
  memory      %d MiB held by the controller at most; the process, with the bucket, the cloud and all agents in it, %d MiB of heap with its garbage, at the end %d MiB live, %d of them the bucket's content
  controller  %.1f requests a task (%.2f puts, %.2f gets, %.2f pages of listings), %d journal entries, $%.2f in all
  agents      %.1f requests a task (%.2f puts, %.2f gets, %.2f listings), $%.2f in all
  price       $%.6f a task
  attach      %s to load the run half way through; %s to take a snapshot at the end, between two ticks
`, s.tasks, s.instances, s.preempted, s.virtual.Round(time.Second), s.wall.Round(time.Second),
		len(s.ticks), at(0.5).Round(10*time.Microsecond), at(0.99).Round(10*time.Microsecond), at(1).Round(time.Millisecond), float64(s.ticking.Microseconds())/float64(s.tasks),
		s.share>>20, s.heap>>20, s.live>>20, s.content>>20,
		per(s.controller.all()), per(s.controller.puts.Load()), per(s.controller.gets.Load()), per(s.controller.lists.Load()), s.entries, s.controller.dollars(),
		per(s.agents.all()), per(s.agents.puts.Load()), per(s.agents.gets.Load()), per(s.agents.lists.Load()), s.agents.dollars(),
		(s.controller.dollars()+s.agents.dollars())/float64(s.tasks), s.attach.Round(time.Millisecond), s.snapshot.Round(time.Millisecond))
}

// realTime is this machine's monotonic clock, also where time is virtual.
func realTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return time.Duration(now.Nano())
}

func scaleSpec(n int) *job.Spec {
	return &job.Spec{
		Version: job.SpecVersion, Run: "01k9zzzzzzzzzzzzzzzzzzzzzz", Job: "scale", Seed: 1,
		Fleets: []job.Fleet{{Name: "first", Provider: "sim"}}, MaxInstances: min(5000, max(n/20, 20)),
		Agent: map[string]job.Program{"linux-amd64": {Key: "agents/sim", SHA256: "00"}},
		Tasks: []job.Task{{
			Name: "many", Count: n, Array: n > 1, Fleets: []string{"first"}, Slots: 1,
			Execution: job.Execution{Command: []string{"true"}, Signal: "SIGTERM", KillAfter: job.Duration(10 * time.Second)},
			Retries: job.Retries{Attempts: 5, OnDemandAttempts: 1, CapacityWait: job.Duration(time.Hour),
				Backoff: job.Backoff{Initial: job.Duration(10 * time.Second), Factor: 2, Max: job.Duration(time.Minute)}},
		}},
		Timing: job.Timing{
			Heartbeat: job.Duration(30 * time.Second), Silence: job.Duration(3 * time.Minute), BootTimeout: job.Duration(10 * time.Minute),
			IdleTimeout: job.Duration(time.Minute), Poll: job.Duration(2 * time.Second), Lease: job.Duration(leaseTime), OrphanGrace: job.Duration(time.Hour),
		},
	}
}

func runScale(t *testing.T, n int) *scale {
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // as the controller has it
	result := &scale{tasks: n, controller: &requests{}, agents: &requests{}}
	began := realTime()
	synctest.Test(t, func(t *testing.T) {
		spec := scaleSpec(n)
		w := newWorld(t.Context(), 1, spec, Faults{Preempt: 0.05, Unannounced: 1}, "")
		defer w.close()
		w.witness.away = true
		if err := w.submit(); err != nil {
			t.Fatal(err)
		}
		bells := &doorbells{bells: map[string]chan struct{}{}}
		w.agent = func(ctx context.Context, m *machine) {
			config, err := bootstrap.Decode(m.request.Bootstrap.Environment[bootstrap.VarConfig])
			if err != nil {
				t.Error(err)
				return
			}
			k := &worker{b: w.bucket, m: m, config: config, count: result.agents, woken: bells.of(m.ID),
				duration: func(id job.AttemptID) time.Duration { return Seed(1).span(5*time.Minute, 25*time.Minute, id) }}
			k.work(ctx, w.cloud.endsItself(m))
			bells.forget(m.ID)
		}
		var tick time.Duration
		half := false
		err := controller.Run(t.Context(), controller.Options{
			Bucket: &counted{Bucket: w.bucket, count: result.controller, bells: bells, run: spec.Run}, Run: spec.Run,
			Providers: &api{actor: newActor(w, agentKind, "controller", func() {}), cloud: w.cloud}, Name: "controller",
			Begins: func() { tick = realTime() },
			Observe: func(s *plan.State) {
				took := realTime() - tick
				result.ticks = append(result.ticks, took)
				result.ticking += took
				result.instances = max(result.instances, len(s.Instances))
				if len(result.ticks)%500 == 0 {
					result.measureHeap()
				}
				if !half && time.Since(w.began) > time.Hour {
					half = true
					from := realTime()
					if _, _, err := store.LoadRun(t.Context(), w.bucket, spec.Run); err != nil {
						t.Error(err)
					}
					result.attach = realTime() - from
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		result.measureHeap()
		result.content = w.bucket.Size()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		result.live = m.HeapAlloc
		result.virtual = time.Since(w.began)
		result.left = len(w.cloud.alive())
		state, at, err := store.LoadRun(t.Context(), w.bucket, spec.Run)
		if err != nil {
			t.Fatal(err)
		}
		result.entries = at.Seq
		from := realTime()
		if _, err := store.TakeSnapshot(state, at); err != nil {
			t.Error(err)
		}
		result.snapshot = realTime() - from
		for i := range state.Tasks[0].Indexes {
			x := &state.Tasks[0].Indexes[i]
			if x.Phase == plan.IndexSucceeded {
				result.succeeded++
			}
			result.preempted += x.Preempted
		}
		if text := w.broken(); text != "" {
			t.Error(text)
		}
	})
	result.wall = realTime() - began
	return result
}

func (s *scale) measureHeap() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.heap = max(s.heap, m.HeapInuse)
	s.share = max(s.share, share())
}

// doorbells wake the workers whose desired document was written.
type doorbells struct {
	mu    sync.Mutex
	bells map[string]chan struct{}
}

func (d *doorbells) of(instance string) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	bell := d.bells[instance]
	if bell == nil {
		bell = make(chan struct{}, 1)
		d.bells[instance] = bell
	}
	return bell
}

func (d *doorbells) forget(instance string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.bells, instance)
}

// counted counts the controller's requests and rings for what it writes.
type counted struct {
	bucket.Bucket
	count *requests
	bells *doorbells
	run   string
}

func (c *counted) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	c.count.gets.Add(1)
	return c.Bucket.Get(ctx, key, offset, length)
}

func (c *counted) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	c.count.puts.Add(1)
	object, err := c.Bucket.Put(ctx, key, body, cond)
	if instance, document, ok := store.InstanceOf(c.run, key); ok && err == nil && document == store.DesiredName {
		select {
		case c.bells.of(instance) <- struct{}{}:
		default:
		}
	}
	return object, err
}

func (c *counted) List(ctx context.Context, prefix, after string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		n := int64(0)
		for object, err := range c.Bucket.List(ctx, prefix, after) {
			n++
			if !yield(object, err) {
				break
			}
		}
		c.count.lists.Add(max(1, (n+999)/1000))
	}
}
