package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
	"github.com/spotrelay/spotrelay/providers"
	cloud "github.com/spotrelay/spotrelay/providers/providertest/memory"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

const lease = 15 * time.Second

// cutOff is a bucket that a machine which was lost reaches no more.
type cutOff struct {
	bucket.Bucket
	lost atomic.Bool
}

var errLostMachine = &bucket.Error{Code: bucket.CodeUnavailable, Op: "call", Err: errors.New("no route to host")}

func (b *cutOff) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	if b.lost.Load() {
		return nil, bucket.Object{}, errLostMachine
	}
	return b.Bucket.Get(ctx, key, offset, length)
}

func (b *cutOff) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if b.lost.Load() {
		return bucket.Object{}, errLostMachine
	}
	return b.Bucket.Put(ctx, key, body, cond)
}

func (b *cutOff) Delete(ctx context.Context, key string) error {
	if b.lost.Load() {
		return errLostMachine
	}
	return b.Bucket.Delete(ctx, key)
}

func (b *cutOff) List(ctx context.Context, prefix, after string) iter.Seq2[bucket.Object, error] {
	if b.lost.Load() {
		return func(yield func(bucket.Object, error) bool) { yield(bucket.Object{}, errLostMachine) }
	}
	return b.Bucket.List(ctx, prefix, after)
}

// site is a bucket with controllers on it, on virtual time.
type site struct {
	t     *testing.T
	b     *memory.Bucket
	cloud *cloud.Provider
	ends  []func()
}

func newSite(t *testing.T) *site {
	return &site{t: t, b: memory.New("site"), cloud: cloud.New()}
}

func (s *site) Provider(context.Context, string) (providers.Provider, error) { return s.cloud, nil }

// serving is a controller of a site; lose cuts it off from the bucket as the
// loss of its machine does, end ends it in order.
type serving struct {
	*Server
	b    *cutOff
	end  func()
	lose func()
}

func (s *site) serve(most int) *serving {
	b := &cutOff{Bucket: s.b}
	server := New(Options{Bucket: b, Providers: s, Most: most})
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	ended := false
	end := func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Serve: %v", err)
		}
	}
	s.ends = append(s.ends, end)
	return &serving{Server: server, b: b, end: end, lose: func() { b.lost.Store(true) }}
}

// close ends every controller; a bubble of virtual time wants nothing left.
func (s *site) close() {
	for _, end := range s.ends {
		end()
	}
}

// submit makes runs whose instances never report: they stay as they are until
// they are cancelled.
func (s *site) submit(n int) []string {
	s.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		id, err := job.NewRunID(time.Now().Add(time.Duration(i)*time.Millisecond), rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}))
		if err != nil {
			s.t.Fatal(err)
		}
		execution := job.Execution{Command: []string{"true"}}
		spec := &job.Spec{
			Run: id, Job: "test", Seed: uint64(i),
			Fleets: []job.Fleet{{Name: "here", Provider: "memory"}},
			Tasks: []job.Task{{Name: "only", Count: 1, Execution: execution, Fleets: []string{"here"}, Slots: 1,
				Retries: job.Retries{Attempts: 1}}},
			Agent: map[string]job.Program{"linux-amd64": {Key: "agents/x", SHA256: "00"}},
			Timing: job.Timing{
				Heartbeat: job.Duration(10 * time.Second), Silence: job.Duration(time.Hour), BootTimeout: job.Duration(24 * time.Hour),
				IdleTimeout: job.Duration(time.Minute), Poll: job.Duration(time.Second), Lease: job.Duration(lease),
			},
		}
		if err := errors.Join(store.MarkLive(s.t.Context(), s.b, id), store.WriteSpec(s.t.Context(), s.b, spec)); err != nil {
			s.t.Fatal(err)
		}
		ids[i] = id
	}
	return ids
}

// holders is how many runs each controller holds a lease of, by the bucket.
func (s *site) holders(runs []string) map[string]int {
	s.t.Helper()
	held := map[string]int{}
	for _, run := range runs {
		found, _, err := store.ReadLease(s.t.Context(), s.b, run)
		switch {
		case errors.Is(err, bucket.ErrNotFound) || found.Released:
			held["nobody"]++
		case err != nil:
			s.t.Fatal(err)
		default:
			held[found.Holder.Controller]++
		}
	}
	return held
}

// within waits until a condition holds, on virtual time.
func (s *site) within(limit time.Duration, what string, holds func() bool) time.Duration {
	s.t.Helper()
	began := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for !holds() {
		if time.Since(began) > limit {
			s.t.Errorf("not within %s: %s", limit, what)
			return time.Since(began)
		}
		<-ticker.C
	}
	return time.Since(began)
}

func (s *site) cancelAll(runs []string) {
	s.t.Helper()
	for _, run := range runs {
		if _, err := store.PutRequest(s.t.Context(), s.b, run, plan.Request{Kind: plan.RequestCancel}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestRunsSpread: three controllers share 300 runs, one is lost, and its runs
// go on within two lease times; then all are cancelled and none is left.
func TestRunsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.close()
		all := []*serving{s.serve(0), s.serve(0), s.serve(0)}
		runs := s.submit(300)
		took := s.within(2*lease, "every run is held", func() bool { return s.holders(runs)["nobody"] == 0 })
		held := s.holders(runs)
		t.Logf("300 runs were taken in %s: %v", took, held)
		for _, c := range all {
			if n := held[c.ID()]; n < 60 || n > 140 {
				t.Errorf("controller %s has %d of 300 runs", c.ID(), n)
			}
		}
		lost := all[0]
		lost.lose()
		took = s.within(2*lease, "the runs of a lost controller go on", func() bool { return s.holders(runs)[lost.ID()] == 0 })
		s.within(lease, "every run is held", func() bool { return s.holders(runs)["nobody"] == 0 })
		held = s.holders(runs)
		t.Logf("one was lost, and its runs went on in %s: %v", took, held)
		if held[all[1].ID()] < 100 || held[all[2].ID()] < 100 {
			t.Errorf("the runs are held by %v", held)
		}
		s.cancelAll(runs)
		s.within(time.Minute, "no run is marked as live", func() bool {
			live, err := store.ListLive(t.Context(), s.b)
			return err == nil && len(live) == 0
		})
		for _, run := range runs {
			state, _, err := store.LoadRun(t.Context(), s.b, run)
			if err != nil || state.Outcome != plan.OutcomeCancelled {
				t.Fatalf("run %s ended as %v, %v", run, state.Outcome, err)
			}
		}
		if got := all[1].View(); got.Controllers != 2 || got.Failing != 0 {
			t.Errorf("a controller sees %+v", got)
		}
	})
}

// TestNewcomer: a controller that comes later gets its share.
func TestNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.close()
		first := s.serve(0)
		runs := s.submit(60)
		s.within(lease, "every run is held", func() bool { return s.holders(runs)[first.ID()] == 60 })
		second := s.serve(0)
		took := s.within(4*time.Minute, "the newcomer has a share", func() bool { return s.holders(runs)[second.ID()] >= 22 })
		t.Logf("the newcomer has its share after %s: %v", took, s.holders(runs))
		second.end()
		took = s.within(lease, "the runs of a controller that ended go on", func() bool { return s.holders(runs)[first.ID()] == 60 })
		t.Logf("it ended, and its runs went on after %s", took)
		if got := len(mustMembers(t, s.b)); got != 1 {
			t.Errorf("%d controllers have documents", got)
		}
	})
}

// TestRoom: a controller takes no more than it may, and others the rest.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.close()
		small := s.serve(5)
		runs := s.submit(20)
		s.within(lease, "five runs are held", func() bool { return s.holders(runs)[small.ID()] == 5 })
		large := s.serve(0)
		s.within(2*lease, "the others are held", func() bool { return s.holders(runs)["nobody"] == 0 })
		if held := s.holders(runs); held[small.ID()] > 5 || held[large.ID()] < 15 {
			t.Errorf("the runs are held by %v", held)
		}
	})
}

// TestForeground: a run that somebody carries before his eyes is left to him,
// and taken up when he is gone.
func TestForeground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.close()
		runs := s.submit(1)
		version := ""
		carry := func(counter int64) {
			object, err := store.SwapLease(t.Context(), s.b, runs[0], store.Lease{
				Epoch: 1, Counter: counter, Duration: job.Duration(lease), Holder: store.Holder{ID: "someone", Host: "elsewhere", PID: 1},
			}, version)
			if err != nil {
				t.Fatal(err)
			}
			version = object.Version
		}
		carry(1)
		server := s.serve(0)
		for i := range 20 {
			<-time.After(lease / 3)
			carry(int64(i + 2))
		}
		if held := s.holders(runs); held[""] != 1 {
			t.Errorf("the run is held by %v", held)
		}
		took := s.within(3*lease, "the run is taken up", func() bool { return s.holders(runs)[server.ID()] == 1 })
		t.Logf("it was taken up %s after the last renewal", took)
	})
}

// TestOddMarks: what is over, broken or was never submitted wholly stops
// nothing else.
func TestOddMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.close()
		runs := s.submit(3)
		if err := s.b.Delete(t.Context(), store.SpecKey(runs[0])); err != nil {
			t.Fatal(err)
		}
		if _, err := s.b.Put(t.Context(), store.JournalKey(runs[1], 1), strings.NewReader("{"), bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
		server := s.serve(0)
		s.within(lease, "the good run is held", func() bool { return s.holders(runs[2:])[server.ID()] == 1 })
		s.within(time.Minute, "the odd ones are told of", func() bool { return server.View().Failing == 2 })
		if err := errors.Join(server.Ready(), server.Healthy()); err != nil {
			t.Error(err)
		}
		s.within(25*time.Hour, "the mark of no run is taken away", func() bool {
			live, err := store.ListLive(t.Context(), s.b)
			return err == nil && len(live) == 2
		})
		server.lose()
		s.within(time.Minute, "a server without its bucket is not ready", func() bool { return server.Ready() != nil })
		if err := server.Healthy(); err != nil {
			t.Errorf("a restart would not help: %v", err)
		}
	})
}

func mustMembers(t *testing.T, b bucket.Bucket) map[string]bucket.Object {
	t.Helper()
	found, err := store.ListMembers(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestChoice(t *testing.T) {
	var living []sighting
	for i := range 5 {
		living = append(living, sighting{id: fmt.Sprint("controller-", i)})
	}
	firsts := map[string]int{}
	for i := range 1000 {
		run := fmt.Sprint("run-", i)
		ranks := map[int]bool{}
		for _, c := range living {
			r := rank(c.id, run, living)
			ranks[r] = true
			if r == 0 {
				firsts[c.id]++
			}
		}
		if len(ranks) != 5 {
			t.Fatalf("%s has ranks %v", run, ranks)
		}
	}
	for id, n := range firsts {
		if n < 140 || n > 260 {
			t.Errorf("%s is meant for %d of 1000 runs", id, n)
		}
	}
	for _, test := range []struct{ own, all, controllers, want int }{
		{10, 10, 1, 0}, {10, 10, 2, 3}, {100, 300, 3, 0}, {119, 300, 3, 0}, {300, 300, 3, 180}, {0, 300, 3, 0}, {3, 3, 2, 0},
	} {
		if got := excess(test.own, test.all, test.controllers); got != test.want {
			t.Errorf("excess(%d, %d, %d) = %d, not %d", test.own, test.all, test.controllers, got, test.want)
		}
	}
}
