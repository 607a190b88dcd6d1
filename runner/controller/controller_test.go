package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// shortLease is for tests in which a lease runs out.
const shortLease = 400 * time.Millisecond

func bounded(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestRunToItsEnd(t *testing.T) {
	w := newWorld(t)
	run := w.submitted(12)
	ticks := 0
	opts := Options{Bucket: w.b, Run: run, Providers: w, Observe: func(*plan.State) { ticks++ }}
	if err := Run(bounded(t, 30*time.Second), opts); err != nil {
		t.Fatal(err)
	}
	w.checkOver(run)
	lease, _, err := store.ReadLease(t.Context(), w.b, run)
	if err != nil || !lease.Released || lease.Epoch != 1 {
		t.Errorf("the lease is %+v (%v)", lease, err)
	}
	if _, at := w.load(run); at.Snapshot != at.Seq {
		t.Errorf("the last snapshot is of entry %d of %d", at.Snapshot, at.Seq)
	}
	_, before := w.load(run)
	// Once more: there is nothing to do, and nothing is touched.
	if err := Run(bounded(t, 10*time.Second), opts); err != nil {
		t.Fatal(err)
	}
	if _, after := w.load(run); after.Seq != before.Seq {
		t.Errorf("a closed run's journal grew from %d to %d", before.Seq, after.Seq)
	}
}

// TestQuietRunWritesNothing: ticks without news leave the journal alone, and
// there are not many of them.
func TestQuietRunWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.work = func(job.AttemptID) time.Duration { return time.Hour }
	run := w.submitted(0)
	ctx, stop := context.WithCancel(bounded(t, 30*time.Second))
	var mu sync.Mutex
	ticks, running := 0, false
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Bucket: w.b, Run: run, Providers: w, Observe: func(s *plan.State) {
			mu.Lock()
			defer mu.Unlock()
			ticks++
			running = s.Index("first", 0).Phase == plan.IndexRunning
		}})
	}()
	eventually(t, "the task runs", func() bool { mu.Lock(); defer mu.Unlock(); return running })
	_, before := w.load(run)
	instance := w.alive()[0]
	beat := func() int64 {
		status, _, err := store.ReadStatus(t.Context(), w.b, run, instance)
		if err != nil {
			t.Fatal(err)
		}
		return status.Beat
	}
	since := beat()
	mu.Lock()
	first := ticks
	mu.Unlock()
	eventually(t, "five heartbeats", func() bool { return beat() >= since+5 })
	mu.Lock()
	// Half a second with a listing every 10 ms, and the heartbeats.
	if grown := ticks - first; grown < 5 || grown > 500 {
		t.Errorf("%d ticks", grown)
	}
	mu.Unlock()
	if _, after := w.load(run); after.Seq != before.Seq {
		t.Errorf("the journal grew from %d to %d", before.Seq, after.Seq)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	lease, _, err := store.ReadLease(t.Context(), w.b, run)
	if err != nil || !lease.Released {
		t.Errorf("the lease was not released: %+v %v", lease, err)
	}
	if len(w.alive()) != 1 {
		t.Errorf("the run was not left as it is: %v", w.alive())
	}
}

// TestKilledAnywhere ends controllers before and after writes and calls at
// random, and lets the next one go on, until the run is over.
func TestKilledAnywhere(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			killedAnywhere(t, seed)
		})
	}
}

func killedAnywhere(t *testing.T, seed uint64) {
	w := newWorld(t)
	w.lease = shortLease
	run := w.submitted(10)
	chance := rand.New(rand.NewPCG(seed, 7))
	ctx := bounded(t, 90*time.Second)
	kills := 0
	for {
		var mu sync.Mutex
		left := 1 + chance.IntN(8)
		after := chance.IntN(3) > 0
		l := &lifeline{cut: func(what string) (bool, bool) {
			// Most kills hit the seam between the journal and the act.
			if kills >= 6 || !strings.Contains(what, "/journal/") && what != "launch" && what != "terminate" {
				return false, false
			}
			mu.Lock()
			defer mu.Unlock()
			left--
			return left == 0 && !after, left == 0 && after
		}}
		life, die := context.WithCancel(ctx)
		go func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for !l.dead.Load() && life.Err() == nil {
				select {
				case <-tick.C:
				case <-life.Done():
				}
			}
			die()
		}()
		err := Run(life, Options{Bucket: through{w.b, l}, Run: run, Providers: cloud{w, l}})
		killed := l.dead.Load()
		die()
		if err == nil {
			break
		}
		if !killed || ctx.Err() != nil {
			t.Fatalf("after %d kills: %v", kills, err)
		}
		kills++
	}
	if kills < 3 {
		t.Errorf("only %d kills: the test shows little", kills)
	}
	w.checkOver(run)
}

// TestPreemptedInstances: what a reclaimed instance ran is run elsewhere.
func TestPreemptedInstances(t *testing.T) {
	w := newWorld(t)
	w.work = func(id job.AttemptID) time.Duration {
		if id.Attempt == 1 && id.Task == "many" {
			return time.Hour
		}
		return 5 * time.Millisecond
	}
	run := w.submitted(3)
	done := make(chan error, 1)
	go func() { done <- Run(bounded(t, 30*time.Second), Options{Bucket: w.b, Run: run, Providers: w}) }()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			w.checkOver(run)
			state, _ := w.load(run)
			first := state.Index("many", 0).Attempts[0]
			if first.Verdict.Class != job.Preempted || first.Verdict.Cause != job.CauseReclaimed {
				t.Errorf("the first attempt was %+v", first.Verdict)
			}
			return
		default:
		}
		state, _ := w.load(run)
		for _, a := range state.Running() {
			if a.Task == "many" && a.Attempt == 1 && a.Accepted > 0 {
				w.kill(a.Instance, providers.EndReclaimed)
			}
		}
	}
}

func TestCancelRequest(t *testing.T) {
	w := newWorld(t)
	w.work = func(job.AttemptID) time.Duration { return time.Hour }
	run := w.submitted(2)
	done := make(chan error, 1)
	go func() { done <- Run(bounded(t, 30*time.Second), Options{Bucket: w.b, Run: run, Providers: w}) }()
	eventually(t, "an instance", func() bool { return len(w.alive()) > 0 })
	if _, err := store.PutRequest(t.Context(), w.b, run, plan.Request{Kind: plan.RequestCancel, By: "ann"}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	state, at := w.load(run)
	if state.Outcome != plan.OutcomeCancelled || len(w.alive()) != 0 {
		t.Errorf("outcome %s, alive %v", state.Outcome, w.alive())
	}
	if len(at.Taken) != 1 {
		t.Errorf("the request is not in the journal: %v", at.Taken)
	}
}

// TestAnotherWriterStopsIt: a controller that loses the race for an entry
// stops, and does nothing after.
func TestAnotherWriterStopsIt(t *testing.T) {
	w := newWorld(t)
	w.work = func(job.AttemptID) time.Duration { return time.Hour }
	run := w.submitted(2)
	done := make(chan error, 1)
	go func() { done <- Run(bounded(t, 30*time.Second), Options{Bucket: w.b, Run: run, Providers: w}) }()
	eventually(t, "a running task", func() bool { s, _ := w.load(run); return len(s.Running()) > 0 && s.Running()[0].Accepted > 0 })
	for {
		_, at := w.load(run)
		_, err := store.OpenJournal(w.b, run, at, 9, store.Holder{Name: "other"}).Append(t.Context(), store.Entry{Now: at.Now})
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrLost) {
			t.Fatal(err)
		}
	}
	// Its next decision is to rent again.
	launches := w.launches()
	w.kill(w.alive()[0], providers.EndReclaimed)
	if err := <-done; !errors.Is(err, store.ErrLost) {
		t.Fatalf("it ended with %v", err)
	}
	if w.launches() != launches {
		t.Error("it acted on a decision that the journal refused")
	}
}

// TestBucketOutage: a bucket that is away for longer than the lease costs
// time, and nothing else: no agent is held to be silent for it.
func TestBucketOutage(t *testing.T) {
	w := newWorld(t)
	w.lease = shortLease
	w.work = func(id job.AttemptID) time.Duration { return 300 * time.Millisecond }
	run := w.submitted(4)
	l := &lifeline{cut: func(string) (bool, bool) { return false, false }}
	done := make(chan error, 1)
	go func() {
		done <- Run(bounded(t, 60*time.Second), Options{Bucket: through{w.b, l}, Run: run, Providers: w})
	}()
	eventually(t, "a running task", func() bool { s, _ := w.load(run); return len(s.Running()) > 0 })
	l.dead.Store(true)
	lease, _, err := store.ReadLease(t.Context(), w.b, run)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * lease.Duration.D())
	l.dead.Store(false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.checkOver(run)
	if lease, _, _ := store.ReadLease(t.Context(), w.b, run); lease.Epoch < 2 {
		t.Errorf("the lease was never lost: epoch %d", lease.Epoch)
	}
}

// TestTokenWindow: a token is not used past its window, also when the time
// passed while no controller lived.
func TestTokenWindow(t *testing.T) {
	w := newWorld(t)
	run := w.submitted(1)
	spec, err := store.ReadSpec(t.Context(), w.b, run)
	if err != nil {
		t.Fatal(err)
	}
	inbox := newInbox()
	f := newFleet(spec.Fleets[0], w, nil, startClock(0), inbox, slog.New(slog.DiscardHandler))
	offers, _ := w.Offers(t.Context(), providers.Fleet{}, providers.Need{})
	for _, row := range []struct {
		name    string
		now     plan.Time
		gaps    []store.Gap
		expired bool
	}{
		{"young", plan.Time(10 * time.Minute), nil, false},
		{"old", plan.Time(56 * time.Minute), nil, true},
		{"a day's pause", plan.Time(time.Minute), []store.Gap{{At: plan.Time(time.Second), Length: 24 * time.Hour}}, true},
		{"a pause before it", plan.Time(time.Minute), []store.Gap{{At: 0, Length: 24 * time.Hour}}, false},
	} {
		launcher := launcher{b: w.b, spec: spec, bucketID: "id", clock: startClock(row.now), origin: store.Position{Gaps: row.gaps}}
		before := w.launches()
		answer := launcher.launch(t.Context(), f, &plan.ActionLaunch{
			LaunchOpened: plan.LaunchOpened{Token: strings.ReplaceAll(row.name, " ", "-"), Fleet: "here", Offers: offers[:1], Count: 1, Slots: 1},
			Opened:       plan.Time(time.Millisecond),
		})
		if answer.Expired != row.expired || answer.Err != nil {
			t.Errorf("%s: %+v", row.name, answer)
		}
		if called := w.launches() != before; called == row.expired {
			t.Errorf("%s: called %v", row.name, called)
		}
	}
}

// outrun is a bucket in which another controller writes the entry that would
// journal a launch, just before this one does.
type outrun struct {
	bucket.Bucket
	run  string
	once sync.Once
}

func (o *outrun) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return bucket.Object{}, err
	}
	if strings.HasPrefix(key, store.JournalPrefix(o.run)) && bytes.Contains(data, []byte("launch_opened")) {
		o.once.Do(func() {
			<-time.After(100 * time.Millisecond) // time for a launch call that does not wait
			entry, _ := store.DecodeEntry(key, data)
			entry.Nonce, entry.Epoch, entry.Events = "another", entry.Epoch+1, nil
			theirs, _ := store.EncodeEntry(entry)
			_, err = o.Bucket.Put(ctx, key, bytes.NewReader(theirs), cond)
		})
		if err != nil {
			return bucket.Object{}, err
		}
	}
	return o.Bucket.Put(ctx, key, bytes.NewReader(data), cond)
}

// TestNothingBeforeTheJournal: what the journal refuses is never done.
func TestNothingBeforeTheJournal(t *testing.T) {
	w := newWorld(t)
	run := w.submitted(2)
	err := Run(bounded(t, 30*time.Second), Options{Bucket: &outrun{Bucket: w.b, run: run}, Run: run, Providers: w})
	if !errors.Is(err, store.ErrLost) {
		t.Fatalf("it ended with %v", err)
	}
	if n := w.launches(); n != 0 {
		t.Errorf("%d launch calls", n)
	}
}
