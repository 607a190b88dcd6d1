package sim

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
	"github.com/spotrelay/spotrelay/runner/controller"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	// leaseTime of the simulated runs.
	leaseTime = 15 * time.Second
	// stormy is how long faults happen at most; then the world is perfect, and
	// the run must end.
	stormy = 8 * time.Hour
	// calm is how long the run may take from then on.
	calm = 3 * 24 * time.Hour
)

// World is one run with everything around it.
type World struct {
	seed    Seed
	skew    time.Duration // how far the cloud's clock is ahead
	spec    *job.Spec
	bucket  *memory.Bucket
	cloud   *cloud
	witness *witness
	home    string // the folder of all machines
	began   time.Time
	listLag time.Duration
	// agent is what machines run.
	agent func(ctx context.Context, m *machine)

	ctx  context.Context
	end  context.CancelFunc
	work sync.WaitGroup

	weather atomic.Pointer[Faults] // of this moment
	flights flights
	writing sync.Mutex // held while something is written and witnessed

	mu          sync.Mutex
	history     []line
	first       string // the first violation
	controllers int
}

// line of the history. It is made a text only when it is read.
type line struct {
	at     time.Duration
	format string
	args   []any
}

func (l line) String() string {
	return fmt.Sprintf("%10s  ", l.at.Round(time.Millisecond)) + fmt.Sprintf(l.format, l.args...)
}

// newWorld makes a world on virtual time; home is an empty folder.
func newWorld(ctx context.Context, seed Seed, spec *job.Spec, rates Faults, home string) *World {
	w := &World{seed: seed, skew: rates.Skew, spec: spec, bucket: memory.New("sim"), home: home, began: time.Now(), listLag: rates.ListLag}
	w.weather.Store(&rates)
	w.ctx, w.end = context.WithCancel(ctx)
	w.cloud = newCloud(w)
	w.witness = newWitness(w)
	w.agent = w.runAgent
	w.cloud.boot = func(ctx context.Context, m *machine) { w.agent(ctx, m) }
	return w
}

// faults are the rates of this moment, not to be changed.
func (w *World) faults() *Faults { return w.weather.Load() }

// slot is the ten minutes that it is now.
func (w *World) slot() time.Duration { return time.Since(w.began) / (10 * time.Minute) }

// tell adds a line to the history. Its arguments must not change afterwards.
func (w *World) tell(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, line{time.Since(w.began), format, args})
}

// violated notes that a promise was broken.
func (w *World) violated(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.tell("BROKEN: %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == "" {
		w.first = text
	}
}

// broken is the first promise that was broken, "" for none.
func (w *World) broken() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first
}

// wait waits, and is false when ctx ended first.
func (w *World) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// later does something after a while, whoever wanted it may be gone by then.
func (w *World) later(after time.Duration, do func()) {
	w.work.Go(func() {
		if w.wait(w.ctx, after) {
			do()
		}
	})
}

// submit writes what a submission writes.
func (w *World) submit() error {
	if _, err := bucket.Identify(w.ctx, w.bucket); err != nil {
		return err
	}
	if err := store.MarkLive(w.ctx, w.bucket, w.spec.Run); err != nil {
		return err
	}
	return store.WriteSpec(w.ctx, w.bucket, w.spec)
}

// run carries the run to its end, by as many controllers as it takes, and then
// looks whether every promise was kept.
func (w *World) run() error {
	defer w.close()
	if err := w.submit(); err != nil {
		return err
	}
	w.work.Go(func() {
		if w.wait(w.ctx, w.seed.span(time.Hour, stormy, "storm")) {
			w.weather.Store(&Faults{})
			w.tell("the storm is over")
		}
	})
	done := make(chan struct{})
	w.work.Go(func() { w.keepControlled(done) })
	w.work.Go(w.startOthers)
	w.work.Go(w.attend)
	w.work.Go(w.mayCancel)
	select {
	case <-done:
	case <-time.After(stormy + calm):
		w.violated("the run has not ended %s after the last fault", calm)
		return nil
	}
	w.afterwards()
	return nil
}

// close ends all that lives.
func (w *World) close() {
	w.end()
	w.work.Wait()
}

// keepControlled starts a controller whenever the one before is gone, until the
// run is closed.
func (w *World) keepControlled(done chan<- struct{}) {
	defer close(done)
	for n := 1; w.ctx.Err() == nil; n++ {
		if w.control(w.ctx) {
			return
		}
		if !w.wait(w.ctx, w.seed.span(0, w.faults().Absence+time.Minute, "absence", n)) {
			return
		}
	}
}

// startOthers starts further controllers beside, as several attaches do.
func (w *World) startOthers() {
	for n := 1; ; n++ {
		rate := w.faults().SecondOne
		if rate == 0 || !w.wait(w.ctx, w.seed.wait(rate, "second", n)) {
			return
		}
		w.startOther(0, w.seed.span(time.Minute, 2*time.Hour, "second for", n))
	}
}

// startOther starts a controller beside, after a while and for a time.
func (w *World) startOther(after, lasts time.Duration) {
	w.later(after, func() {
		ctx, cancel := context.WithTimeout(w.ctx, lasts)
		defer cancel()
		w.control(ctx)
	})
}

// mayCancel is the user who cancels the run.
func (w *World) mayCancel() {
	after := w.seed.wait(w.faults().Cancel, "cancel")
	if after > stormy || !w.wait(w.ctx, after) {
		return
	}
	if _, err := store.PutRequest(w.ctx, w.bucket, w.spec.Run, plan.Request{Kind: plan.RequestCancel, By: "user"}); err == nil {
		w.tell("the user cancels the run")
	}
}

// attend is the user who looks in now and then, and lets a run go on that is
// held since somebody else ended an instance.
func (w *World) attend() {
	for n := 1; w.wait(w.ctx, w.seed.span(10*time.Minute, time.Hour, "look", n)); n++ {
		if held := w.witness.held(); held == "" {
			continue
		}
		if _, err := store.PutRequest(w.ctx, w.bucket, w.spec.Run, plan.Request{Kind: plan.RequestResume, By: "attendant"}); err == nil {
			w.tell("the user resumes the run")
		}
	}
}

// control is one controller's life; it is true when the run is closed.
func (w *World) control(ctx context.Context) (closed bool) {
	w.mu.Lock()
	w.controllers++
	name := fmt.Sprintf("controller-%d", w.controllers)
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := newActor(w, controllerKind, name, cancel)
	w.tell("%s begins", name)
	err := controller.Run(ctx, controller.Options{
		Bucket: &storage{actor: a, under: w.bucket}, Run: w.spec.Run, Providers: &api{actor: a, cloud: w.cloud},
		Log: w.logger(name), Name: name, Wait: true,
		Begins:   a.begins,
		Observe:  func(state *plan.State) { w.witness.observed(a, state) },
		Happened: func(events []plan.Event) { w.witness.happened(a, events) },
	})
	w.tell("%s ends: %v", name, err)
	return err == nil
}

// logger writes warnings into the history.
func (w *World) logger(name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(&teller{w: w, name: name}, &slog.HandlerOptions{
		Level: slog.LevelError,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && (attr.Key == slog.TimeKey || attr.Key == "run") {
				return slog.Attr{}
			}
			return attr
		},
	}))
}

// teller is a writer to the history.
type teller struct {
	w    *World
	name string
}

func (t *teller) Write(line []byte) (int, error) {
	t.w.tell("%s says %s", t.name, string(bytes.TrimSpace(line)))
	return len(line), nil
}

// story is the history, shortened in the middle.
func (w *World) story(most int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := make([]string, len(w.history))
	for i, line := range w.history {
		lines[i] = line.String()
	}
	if len(lines) > most {
		cut := fmt.Sprintf("            ... %d lines ...", len(lines)-most)
		lines = append(append(append([]string{}, lines[:most/4]...), cut), lines[len(lines)-most*3/4:]...)
	}
	return strings.Join(lines, "\n")
}

// afterwards waits until what must follow the end of a run has, and looks at
// what is left.
func (w *World) afterwards() {
	// What was on its way when the run closed arrives, and is ended by the
	// next sweep; agents that nobody controls end themselves.
	deadline := time.Now().Add(2*time.Hour + w.spec.Timing.OrphanGrace.D())
	for len(w.cloud.alive()) > 0 && time.Now().Before(deadline) {
		if !w.wait(w.ctx, time.Minute) {
			return
		}
		w.sweep()
	}
	if left := w.cloud.alive(); len(left) > 0 {
		w.violated("instances are left behind: %v", left)
	}
	w.witness.finally()
}

func (w *World) tempHome(m *machine) (string, error) {
	home := fmt.Sprintf("%s/%s", w.home, m.ID)
	return home, os.MkdirAll(home, 0o755)
}
