package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	// snapshotEvery is how many entries are journalled between two snapshots.
	snapshotEvery = 256
	// snapshotShare bounds the time that folding snapshots takes of all time,
	// as a divisor: the state of a large run is large.
	snapshotShare = 20
	// leastWake is the shortest wait for a time that the planner named: one
	// that is over already is no reason to spin.
	leastWake = 5 * time.Millisecond
)

// tenure is one controller's hold of a run, from its lease to the loss or the
// release of it.
type tenure struct {
	opts  Options
	b     bucket.Bucket
	runID string
	spec  *job.Spec
	log   *slog.Logger
	held  *tenancy

	state   *plan.State
	at      store.Position
	journal *store.Journal
	clock   *clock
	inbox   *inbox
	watch   *watcher
	fleets  map[string]*fleet
	apply   *applier

	stamped  map[string]int64 // by instance: sequence of the entry its desired document was last decided in
	snapshot sync.WaitGroup
	notUntil time.Time // the next snapshot
	bucketID string
}

func newTenure(opts Options, spec *job.Spec, bucketID string, held *tenancy) *tenure {
	return &tenure{
		opts: opts, b: opts.Bucket, runID: opts.Run, spec: spec, held: held, bucketID: bucketID,
		log:     opts.Log.With("epoch", held.epoch),
		inbox:   newInbox(),
		fleets:  map[string]*fleet{},
		stamped: map[string]int64{},
	}
}

// run is the tenure's whole life. It returns nil when the run is closed,
// errExpired or store.ErrLost when the lease went, or ctx's error.
func (t *tenure) run(ctx context.Context) (err error) {
	defer func() {
		// The lease's end shows as a cancelled call: its cause is what counts.
		if lost := context.Cause(t.held.ctx); err != nil && lost != nil {
			err = lost
			if ctx.Err() != nil {
				err = ctx.Err()
			}
		}
	}()
	if err := t.claim(); err != nil {
		return err
	}
	stop := t.start()
	err = t.loop(ctx)
	stop()
	if err == nil {
		t.keepLast(ctx)
	}
	return err
}

// claim loads the run and journals the first entry of this tenure, which ends
// whatever tenure was before: its writer finds the next entry taken.
func (t *tenure) claim() error {
	ctx := t.held.ctx
	state, at, err := t.load(ctx)
	if err != nil {
		return err
	}
	t.journal = store.OpenJournal(t.b, t.runID, at, t.held.epoch, t.held.holder())
	for {
		if at.Epoch > t.held.epoch {
			return &store.Error{Code: store.CodeLost, Op: "append", Key: store.JournalPrefix(t.runID), Err: fmt.Errorf("epoch %d was claimed", at.Epoch)}
		}
		gap, err := t.gap(ctx, at)
		if err != nil {
			return err
		}
		first := store.Entry{Now: at.Now, Gap: gap}
		if gap > 0 && len(state.Instances) > 0 {
			first.Events = []plan.Event{{At: at.Now, Unattended: &plan.Unattended{Length: gap}}}
		}
		entry, err := t.journal.Append(ctx, first)
		if err == nil {
			at.Fold(state, entry)
			break
		}
		if !errors.Is(err, store.ErrLost) {
			return err
		}
		// The holder before was still at it: its entry counts, ours comes next.
		if _, err := store.CatchUp(ctx, t.b, t.runID, state, &at); err != nil {
			return err
		}
		t.journal.Moved(at)
	}
	t.state, t.at, t.clock = state, at, startClock(at.Now)
	if state.Unknown > 0 {
		t.log.Warn("the journal has events of a later version", "events", state.Unknown)
	}
	t.log.Info("controls the run", "entry", at.Seq, "now", at.Now)
	return nil
}

// load is the run as it is by now, read on from where it was read before.
func (t *tenure) load(ctx context.Context) (*plan.State, store.Position, error) {
	if t.state == nil {
		return store.LoadRun(ctx, t.b, t.runID)
	}
	_, err := store.CatchUp(ctx, t.b, t.runID, t.state, &t.at)
	return t.state, t.at, err
}

// claimed reports whether the tenure got as far as controlling the run.
func (t *tenure) claimed() bool { return t.clock != nil }

// gap is how long ago the last entry was written, by the store's time.
func (t *tenure) gap(ctx context.Context, at store.Position) (time.Duration, error) {
	if at.Seq == 0 {
		return 0, nil
	}
	written, err := store.EntryWritten(ctx, t.b, t.runID, at.Seq)
	return max(0, t.held.taken.Modified.Sub(written)), err
}

// start makes everything that runs beside the loop; the result stops it and
// waits for it.
func (t *tenure) start() (stop func()) {
	ctx, cancel := context.WithCancel(t.held.ctx)
	poll := t.spec.Timing.Poll.D()
	if poll <= 0 {
		poll = t.b.Describe().Poll
	}
	if poll <= 0 {
		poll = time.Second
	}
	t.watch = newWatcher(t.b, t.runID, poll, t.inbox, t.log)
	for key := range t.at.Taken {
		t.watch.taken.Store(key, true)
	}
	var all sync.WaitGroup
	all.Go(func() { t.watch.watch(ctx) })
	for _, spec := range t.spec.Fleets {
		f := newFleet(spec, t.opts.Providers, map[string]string{providers.TagBucket: t.bucketID, providers.TagRun: t.runID}, t.clock, t.inbox, t.log)
		t.fleets[spec.Name] = f
		all.Go(func() { f.watch(ctx) })
		all.Go(func() { f.terminating.work(ctx) })
	}
	t.apply = &applier{
		ctx: ctx, b: t.b, run: t.runID, fleets: t.fleets, inbox: t.inbox, log: t.log,
		launcher: launcher{b: t.b, spec: t.spec, bucketID: t.bucketID, clock: t.clock, origin: t.at},
		efforts:  map[string]*effort{}, documents: map[string]*document{},
		caching: newCaching(t.spec, t.held.holder()),
		calls:   make(chan struct{}, parallelCalls), writes: make(chan struct{}, parallelWrites),
	}
	return func() {
		cancel()
		t.apply.wait()
		all.Wait()
		t.snapshot.Wait()
	}
}

// loop ticks whenever there is something to decide on.
func (t *tenure) loop(ctx context.Context) error {
	if err := t.watch.fresh(t.held.ctx); err != nil {
		return err
	}
	first, wake := true, plan.Time(0)
	for {
		if !first {
			if err := t.rest(ctx, wake); err != nil {
				return err
			}
		}
		// Nobody is held to be silent for a bucket that could not be read.
		if err := t.watch.fresh(t.held.ctx); err != nil {
			return err
		}
		decision, err := t.tick(first)
		if err != nil {
			return err
		}
		if t.state.Closed {
			return nil
		}
		if t.state.Run() == plan.RunResting {
			if left, err := t.leavePaused(); left || err != nil {
				return err
			}
		}
		first, wake = false, decision.Wake
	}
}

// rest waits for facts, or for the run's time to reach wake.
func (t *tenure) rest(ctx context.Context, wake plan.Time) error {
	var due <-chan time.Time
	if wake > 0 {
		timer := time.NewTimer(max(leastWake, wake-t.clock.now()))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-t.inbox.full:
	case <-due:
	case <-ctx.Done():
		return ctx.Err()
	case <-t.held.ctx.Done():
		return context.Cause(t.held.ctx)
	}
	return nil
}

// tick plans, journals, and only then acts.
func (t *tenure) tick(first bool) (plan.Decision, error) {
	if t.opts.Begins != nil {
		t.opts.Begins()
	}
	facts, requests := t.inbox.take(t.at.Taken)
	facts.Tenure = first
	now := t.clock.now()
	decision := t.state.Plan(facts, now)
	if len(decision.Events) > 0 || len(requests) > 0 || t.needsStamp(decision.Actions) {
		if err := t.append(store.Entry{Now: now, Events: decision.Events, Requests: requests}); err != nil {
			return decision, err
		}
	}
	if err := t.held.trusted(); err != nil {
		return decision, err
	}
	t.act(decision.Actions)
	for _, f := range t.fleets {
		f.settle(t.state)
	}
	if t.opts.Observe != nil {
		t.opts.Observe(t.state)
	}
	t.keepSnapshot()
	return decision, nil
}

// append journals an entry while the lease is trusted.
func (t *tenure) append(entry store.Entry) error {
	if err := t.held.trusted(); err != nil {
		return err
	}
	written, err := t.journal.Append(t.held.ctx, entry)
	if err != nil {
		if errors.Is(err, store.ErrLost) {
			t.held.cancel(err)
		}
		return err
	}
	t.at.Pass(written)
	if t.opts.Happened != nil {
		t.opts.Happened(written.Events)
	}
	for _, key := range written.Requests {
		t.watch.taken.Store(key, true)
	}
	return nil
}

// needsStamp reports whether a desired document would bear the same epoch and
// sequence as the one before it, which agents would ignore: an entry, though
// empty, sets them apart.
func (t *tenure) needsStamp(actions []plan.Action) bool {
	for _, action := range actions {
		if d := action.Desired; d != nil && t.stamped[d.Instance] == t.at.Seq {
			return true
		}
	}
	return false
}

func (t *tenure) act(actions []plan.Action) {
	for _, action := range actions {
		if d := action.Desired; d != nil {
			t.stamped[d.Instance] = t.at.Seq
		}
		t.apply.do(action, stamp{t.held.epoch, t.at.Seq})
	}
}

// keepSnapshot writes a snapshot beside the loop when the journal has grown
// enough since the last one.
func (t *tenure) keepSnapshot() {
	began := time.Now()
	if t.at.Seq-t.at.Snapshot < snapshotEvery || began.Before(t.notUntil) {
		return
	}
	snapshot, err := store.TakeSnapshot(t.state, t.at)
	t.notUntil = time.Now().Add(snapshotShare * time.Since(began))
	if err != nil {
		t.log.Warn("no snapshot was taken", "error", err)
		return
	}
	t.at.Snapshot = t.at.Seq
	t.snapshot.Go(func() {
		if err := store.WriteSnapshot(t.held.ctx, t.b, t.runID, snapshot); err != nil && t.held.ctx.Err() == nil {
			t.log.Warn("a snapshot could not be written", "error", err)
		}
	})
}

// keepLast writes the snapshot of a closed run, by which it is read from then
// on, and takes its mark away, so that nobody looks for it any more.
func (t *tenure) keepLast(ctx context.Context) {
	snapshot, err := store.TakeSnapshot(t.state, t.at)
	if err == nil {
		err = store.WriteSnapshot(ctx, t.b, t.runID, snapshot)
	}
	if err != nil {
		t.log.Warn("the last snapshot could not be written", "error", err)
	}
	if err := store.UnmarkLive(ctx, t.b, t.runID); err != nil {
		t.log.Warn("the mark of a run that is over could not be taken away", "error", err)
	}
}
