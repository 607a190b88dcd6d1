package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// unused methods are those that nobody calls in a test.
type unused = providers.Provider

// scripted is a provider that answers as told, and counts.
type scripted struct {
	unused
	mu        sync.Mutex
	evidence  func(ids []string) ([]providers.Evidence, error)
	terminate func(ids []string) error
	calls     [][]string
}

func (s *scripted) Provider(context.Context, string) (providers.Provider, error) { return s, nil }

func (s *scripted) Describe(context.Context) (providers.Description, error) {
	return providers.Description{Pace: time.Second, TokenWindow: time.Hour}, nil
}

func (s *scripted) note(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, slices.Clone(ids))
}

func (s *scripted) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

func (s *scripted) Evidence(_ context.Context, _ providers.Fleet, ids []string) ([]providers.Evidence, error) {
	s.note(ids)
	return s.evidence(ids)
}

func (s *scripted) Terminate(_ context.Context, _ providers.Fleet, ids []string) error {
	s.note(ids)
	return s.terminate(ids)
}

func applierOf(ctx context.Context, b bucket.Bucket, p Providers) *applier {
	inbox, log := newInbox(), slog.New(slog.DiscardHandler)
	f := newFleet(job.Fleet{Name: "here", Provider: "p"}, p, nil, startClock(0), inbox, log)
	return &applier{
		ctx: ctx, b: b, run: leasedRun, fleets: map[string]*fleet{"here": f}, inbox: inbox, log: log,
		efforts: map[string]*effort{}, documents: map[string]*document{},
		calls: make(chan struct{}, 4), writes: make(chan struct{}, 4),
	}
}

// answers waits for facts and takes them.
func answers(t *testing.T, a *applier) plan.Facts {
	t.Helper()
	select {
	case <-a.inbox.full:
	case <-t.Context().Done():
		t.Fatal("no answer")
	}
	facts, _ := a.inbox.take(nil)
	return facts
}

// TestFindPassesOverDamaged: a checkpoint that lacks a chunk is passed over and
// named, one that is excluded is not looked at.
func TestFindPassesOverDamaged(t *testing.T) {
	b := openFolder(t)
	engine := checkpointing.Open(b)
	var keys []string
	for attempt := 1; attempt <= 4; attempt++ {
		id := checkpointing.ID{Attempt: attempt, Sequence: 1}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "model"), fmt.Appendf(nil, "epoch %d", attempt), 0o644); err != nil {
			t.Fatal(err)
		}
		before := chunks(t, b)
		key := store.CheckpointKey(leasedRun, "train", 2, 0, id)
		if _, err := engine.Save(t.Context(), dir, checkpointing.SaveOptions{Key: key, ID: id}); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
		if attempt == 3 { // its chunks are lost
			for chunk := range chunks(t, b) {
				if !before[chunk] {
					b.Delete(t.Context(), chunk)
				}
			}
		}
	}
	a := applierOf(t.Context(), b, nil)
	a.do(plan.Action{Find: &plan.ActionFind{Task: "train", Index: 2, Attempt: 4, Exclude: keys[3:]}}, stamp{})
	found := answers(t, a).Found[0]
	if found.Checkpoint == nil || found.Checkpoint.Key != keys[1] || found.Checkpoint.Attempt != 2 || found.Checkpoint.Digest == "" || found.Attempt != 4 {
		t.Errorf("found %+v", found.Checkpoint)
	}
	if !slices.Equal(found.Damaged, keys[2:3]) {
		t.Errorf("damaged %v", found.Damaged)
	}
	a.do(plan.Action{Find: &plan.ActionFind{Task: "train", Index: 0}}, stamp{})
	if none := answers(t, a).Found[0]; none.Checkpoint != nil || none.Damaged != nil {
		t.Errorf("found %+v where there is none", none)
	}
}

func chunks(t *testing.T, b bucket.Bucket) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for object, err := range b.List(t.Context(), "data/", "") {
		if err != nil {
			t.Fatal(err)
		}
		found[object.Key] = true
	}
	return found
}

// TestEndIsBounded: a provider that knows nothing is asked again a few times,
// one that is away until it answers; then the last status is read.
func TestEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := openFolder(t)
		if _, err := store.WriteStatus(ctx, b, job.Status{Run: leasedRun, Instance: "i-1", Beat: 9}, ""); err != nil {
			t.Fatal(err)
		}
		away := 3
		p := &scripted{evidence: func(ids []string) ([]providers.Evidence, error) {
			if away--; away >= 0 {
				return nil, &providers.Error{Code: providers.CodeUnavailable, Op: "evidence", After: time.Minute}
			}
			return []providers.Evidence{{ID: ids[0], Cause: providers.EndUnknown}}, nil
		}}
		a := applierOf(ctx, b, p)
		began := time.Now()
		a.do(plan.Action{End: &plan.ActionEnd{Fleet: "here", Instance: "i-1", Fence: true}}, stamp{})
		end := answers(t, a).Ends[0]
		if end.Evidence.Cause != providers.EndUnknown || end.Status == nil || end.Status.Beat != 9 || !end.Fence {
			t.Errorf("%+v", end)
		}
		if len(p.calls) != 3+1+rereads {
			t.Errorf("%d calls", len(p.calls))
		}
		if waited := time.Since(began); waited < 3*time.Minute {
			t.Errorf("it did not wait as it was asked to: %s", waited)
		}
		before := len(p.calls)
		a.do(plan.Action{End: &plan.ActionEnd{Fleet: "here", Instance: "i-1", Whether: true}}, stamp{})
		if answers(t, a); len(p.calls) != before+1 {
			t.Errorf("whether it is gone was asked %d times", len(p.calls)-before)
		}
		cancel()
		a.wait()
	})
}

// TestOneBadInstanceHarmsNoOther: a call for several that one of them spoils
// is made for each.
func TestOneBadInstanceHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var mu sync.Mutex
		ended := map[string]bool{}
		p := &scripted{terminate: func(ids []string) error {
			if slices.Contains(ids, "bad") {
				return &providers.Error{Code: providers.CodeNotOurs, Op: "terminate"}
			}
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids {
				ended[id] = true
			}
			return nil
		}}
		a := applierOf(ctx, openFolder(t), p)
		f := a.fleets["here"]
		for _, id := range []string{"a", "bad", "c"} {
			a.do(plan.Action{Terminate: &plan.ActionTerminate{Fleet: "here", Instance: id}}, stamp{})
		}
		a.all.Go(func() { f.terminating.work(ctx) })
		synctest.Wait()
		mu.Lock()
		if n := p.count(); !ended["a"] || !ended["c"] || n != 4 {
			t.Errorf("ended %v by %d calls", ended, n)
		}
		mu.Unlock()
		// Asked for again, until a listing shows that they are gone.
		time.Sleep(terminateAgain + time.Second) // the bubble's time
		if p.count() <= 4 {
			t.Error("it was not asked for again")
		}
		f.terminating.listed(time.Now(), nil)
		f.terminating.settle(func(id string) bool { return id == "c" })
		f.terminating.mu.Lock()
		left := len(f.terminating.pending)
		f.terminating.mu.Unlock()
		if left != 2 { // the bad one, and the one that the planner still counts
			t.Errorf("%d left", left)
		}
		cancel()
		a.wait()
	})
}

// TestNewestDesiredWins: of several decisions for an instance while the bucket
// is away, the newest is written.
func TestNewestDesiredWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := openFolder(t)
		l := &lifeline{cut: func(string) (bool, bool) { return false, false }}
		a := applierOf(ctx, through{b, l}, nil)
		l.dead.Store(true)
		for sequence := range int64(5) {
			a.do(plan.Action{Desired: &plan.ActionDesired{Instance: "i-1", Leave: sequence == 4}}, stamp{1, sequence + 1})
			time.Sleep(100 * time.Millisecond) // the bubble's time
		}
		if _, _, err := store.ReadDesired(ctx, b, leasedRun, "i-1"); !errors.Is(err, bucket.ErrNotFound) {
			t.Fatalf("%v", err)
		}
		l.dead.Store(false)
		time.Sleep(retryMax) // the bubble's time
		synctest.Wait()
		there, _, err := store.ReadDesired(ctx, b, leasedRun, "i-1")
		if err != nil || there.Sequence != 5 || !there.Leave {
			t.Errorf("%+v %v", there, err)
		}
		cancel()
		a.wait()
	})
}
