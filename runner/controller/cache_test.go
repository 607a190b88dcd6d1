package controller

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// submittedCached is a run whose tasks are cached. Runs by another number have
// another id.
func (w *world) submittedCached(number byte, count int, serialize bool) string {
	w.t.Helper()
	first := w.submitted(count)
	spec, err := store.ReadSpec(w.t.Context(), w.b, first)
	if err != nil {
		w.t.Fatal(err)
	}
	if spec.Run, err = job.NewRunID(time.Now(), rand.NewChaCha8([32]byte{number, 1})); err != nil {
		w.t.Fatal(err)
	}
	for i := range spec.Tasks {
		spec.Tasks[i].Cache = &job.Cache{Version: "1", Serialize: serialize}
	}
	if err := store.WriteSpec(w.t.Context(), w.b, spec); err != nil {
		w.t.Fatal(err)
	}
	return spec.Run
}

// computed is how many indexes of a run had an attempt, and how many came from
// the cache.
func (w *world) computed(run string) (attempts, hits int) {
	w.t.Helper()
	state, _ := w.load(run)
	for i := range state.Tasks {
		for j := range state.Tasks[i].Indexes {
			x := &state.Tasks[i].Indexes[j]
			attempts += len(x.Attempts)
			if x.Cached != nil {
				hits++
			}
			if x.Phase != plan.IndexSucceeded {
				w.t.Errorf("%s[%d] is %s", state.Spec.Tasks[i].Name, j, x.Phase)
			}
		}
	}
	return attempts, hits
}

func (w *world) carry(ctx context.Context, b bucket.Bucket, run string) {
	w.t.Helper()
	if err := Run(ctx, Options{Bucket: b, Run: run, Providers: w}); err != nil {
		w.t.Fatal(err)
	}
}

func TestCachedRun(t *testing.T) {
	w := newWorld(t)
	ctx := bounded(t, time.Minute)
	first, second := w.submittedCached(1, 30, false), w.submittedCached(2, 30, false)
	w.carry(ctx, w.b, first)
	before := w.launches()
	w.carry(ctx, w.b, second)
	if attempts, hits := w.computed(first); attempts < 31 || hits != 0 {
		t.Errorf("the first run had %d attempts and %d hits", attempts, hits)
	}
	if attempts, hits := w.computed(second); attempts != 0 || hits != 31 || w.launches() != before {
		t.Errorf("the second run had %d attempts, %d hits and %d launches", attempts, hits, w.launches()-before)
	}
}

// faulty is a bucket that misbehaves below the cache.
type faulty struct {
	bucket.Bucket
	get func(key string) error
	put func(key string) error
}

func (f *faulty) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	if f.get != nil && strings.HasPrefix(key, store.CachePrefix) {
		if err := f.get(key); err != nil {
			return nil, bucket.Object{}, err
		}
	}
	return f.Bucket.Get(ctx, key, offset, length)
}

func (f *faulty) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if f.put != nil && strings.HasPrefix(key, store.CachePrefix) {
		if err := f.put(key); err != nil {
			return bucket.Object{}, err
		}
	}
	return f.Bucket.Put(ctx, key, body, cond)
}

// A cache that cannot be read, or not be written, costs the run nothing but the
// computing: it is told, and the run goes on.
func TestCacheOutOfReach(t *testing.T) {
	for name, code := range map[string]bucket.Code{"unavailable": bucket.CodeUnavailable, "forbidden": bucket.CodeDenied} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			fails := func(key string) error {
				return &bucket.Error{Code: code, Op: "get", Key: key, Err: errors.New("no way")}
			}
			run := w.submittedCached(1, 2, false)
			w.carry(bounded(t, 3*time.Minute), &faulty{Bucket: w.b, get: fails, put: fails}, run)
			if attempts, _ := w.computed(run); attempts < 3 {
				t.Errorf("%d attempts", attempts)
			}
			state, _ := w.load(run)
			if x := state.Index("first", 0); x.Missed == nil || !strings.Contains(x.Missed.Reason, "could not be read") || x.Missed.Damaged || !x.Kept {
				t.Errorf("first is %+v", x)
			}
		})
	}
}

// A damaged entry is a miss, and the one that is computed then takes its place.
func TestDamagedEntryIsReplaced(t *testing.T) {
	w := newWorld(t)
	ctx := bounded(t, time.Minute)
	first, second, third := w.submittedCached(1, 3, false), w.submittedCached(2, 3, false), w.submittedCached(3, 3, false)
	w.carry(ctx, w.b, first)
	for entry, err := range store.ListCache(ctx, w.b, "many/1-") {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.b.Put(ctx, entry.Object.Key, strings.NewReader(`{"version":1,"key":"x"}`), bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	w.carry(ctx, w.b, second)
	state, _ := w.load(second)
	if _, hits := w.computed(second); hits != 3 {
		t.Errorf("%d hits", hits)
	}
	if x := state.Index("many", 1); x.Missed == nil || !x.Missed.Damaged || len(x.Attempts) == 0 {
		t.Errorf("many[1] is %+v", x)
	}
	w.carry(ctx, w.b, third)
	if attempts, hits := w.computed(third); attempts != 0 || hits != 4 {
		t.Errorf("after that %d attempts and %d hits", attempts, hits)
	}
}

// Of two runs at once one computes, and the other takes what it made.
func TestOneComputes(t *testing.T) {
	w := newWorld(t)
	ctx := bounded(t, 2*time.Minute)
	w.work = func(job.AttemptID) time.Duration { return 200 * time.Millisecond }
	w.lease = 2 * time.Second
	runs := []string{w.submittedCached(1, 5, true), w.submittedCached(2, 5, true)}
	var all sync.WaitGroup
	for _, run := range runs {
		all.Go(func() { w.carryQuietly(ctx, run) })
	}
	all.Wait()
	sum := 0
	for _, run := range runs {
		attempts, hits := w.computed(run)
		if attempts+hits != 6 {
			t.Errorf("%d attempts and %d hits", attempts, hits)
		}
		sum += attempts
	}
	if sum != 6 {
		t.Errorf("%d attempts of both, for 6 results", sum)
	}
	for object, err := range w.b.List(ctx, store.CacheClaimsPrefix, "") {
		t.Errorf("a claim is left: %s (%v)", object.Key, err)
	}
}

func (w *world) carryQuietly(ctx context.Context, run string) {
	if err := Run(ctx, Options{Bucket: w.b, Run: run, Providers: w}); err != nil {
		w.t.Error(err)
	}
}

// cutOff is a bucket that is not reached any more once it is cut.
type cutOff struct {
	bucket.Bucket
	gone context.Context
}

func (c *cutOff) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if c.gone.Err() != nil {
		return bucket.Object{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key, Err: errors.New("cut off")}
	}
	return c.Bucket.Put(ctx, key, body, cond)
}

// When the controller that computes falls silent the other waits for the
// lease's time, by its own clock, and computes by itself.
func TestTakesOverFromASilentRun(t *testing.T) {
	w := newWorld(t)
	ctx := bounded(t, 2*time.Minute)
	w.lease = shortLease
	var quick atomic.Bool
	w.work = func(job.AttemptID) time.Duration {
		if quick.Load() {
			return time.Millisecond
		}
		return time.Hour
	}
	first, second := w.submittedCached(1, 0, true), w.submittedCached(2, 0, true)
	gone, cut := context.WithCancel(context.Background())
	firstCtx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() {
		_ = Run(firstCtx, Options{Bucket: &cutOff{w.b, gone}, Run: first, Providers: w})
	})
	eventually(t, "the first computes", func() bool { state, _ := w.load(first); return state.Index("first", 0).Phase == plan.IndexRunning })
	done := make(chan struct{})
	all.Go(func() { defer close(done); w.carryQuietly(ctx, second) })
	eventually(t, "the second waits", func() bool {
		state, _ := w.load(second)
		by := state.Index("first", 0).Waits
		return by != nil && by.Run == first
	})
	quick.Store(true)
	cut()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("the second still waits")
	}
	if attempts, hits := w.computed(second); attempts != 1 || hits != 0 {
		t.Errorf("%d attempts and %d hits", attempts, hits)
	}
}

// A lookup that waits is ended when the run is cancelled.
func TestCancelledWhileItWaits(t *testing.T) {
	w := newWorld(t)
	ctx := bounded(t, time.Minute)
	first, second := w.submittedCached(1, 0, true), w.submittedCached(2, 0, true)
	state, _ := w.load(second)
	parts, ok := state.CacheParts("first", 0)
	if !ok {
		t.Fatal("no parts")
	}
	// Somebody who lives holds it.
	lease := store.Lease{Epoch: 1, Duration: job.Duration(time.Hour), Holder: store.Holder{Host: "elsewhere"}}
	if _, err := store.SwapLease(ctx, w.b, first, lease, ""); err != nil {
		t.Fatal(err)
	}
	if err := store.TakeCacheClaim(ctx, w.b, job.CacheKey(parts), job.CacheClaim{Run: first, Task: "first"}, ""); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Run(ctx, Options{Bucket: w.b, Run: second, Providers: w}) }()
	eventually(t, "it waits", func() bool { state, _ := w.load(second); return state.Index("first", 0).Waits != nil })
	if _, err := store.PutRequest(ctx, w.b, second, plan.Request{Kind: plan.RequestCancel}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if state, _ := w.load(second); state.Outcome != plan.OutcomeCancelled || w.launches() > 0 {
		t.Errorf("it %s, %d launches", state.Outcome, w.launches())
	}
	claim, _, err := store.ReadCacheClaim(ctx, w.b, job.CacheKey(parts))
	if err != nil || claim.Run != first {
		t.Errorf("the claim is %+v (%v)", claim, err)
	}
}

// A controller that dies between the journal and the cache leaves the entry to
// the next one.
func TestKeptByTheNextController(t *testing.T) {
	w := newWorld(t)
	ctx := bounded(t, time.Minute)
	run := w.submittedCached(1, 4, false)
	dying, die := context.WithCancel(ctx)
	b := &faulty{Bucket: w.b, put: func(key string) error {
		die()
		return &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key, Err: errors.New("dying")}
	}}
	if err := Run(dying, Options{Bucket: b, Run: run, Providers: w}); !errors.Is(err, context.Canceled) {
		t.Fatalf("it ended with %v", err)
	}
	w.carry(ctx, w.b, run)
	var kept []string
	for entry, err := range store.ListCache(ctx, w.b, "") {
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, entry.Key[:strings.Index(entry.Key, "-")])
	}
	if want := []string{"first/0", "many/0", "many/1", "many/2", "many/3"}; !slices.Equal(kept, want) {
		t.Errorf("kept are %v", kept)
	}
}
