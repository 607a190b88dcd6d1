package controller

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

const leasedRun = "01hzy3k8w9v5t2q6n4m7c0d1ef"

func openFolder(t *testing.T) bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), "file://"+t.TempDir()+"?sync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func leaserOf(b bucket.Bucket, name string) *leaser {
	return &leaser{b: b, run: leasedRun, duration: 10 * time.Second, holder: store.Holder{Host: name, PID: 7, Name: name}, log: slog.New(slog.DiscardHandler)}
}

// foreign writes a lease of a holder elsewhere.
func foreign(t *testing.T, b bucket.Bucket, epoch, counter int64) {
	t.Helper()
	version := ""
	if _, object, err := store.ReadLease(t.Context(), b, leasedRun); err == nil {
		version = object.Version
	}
	lease := store.Lease{Epoch: epoch, Counter: counter, Duration: job.Duration(10 * time.Second), Holder: store.Holder{ID: "f", Host: "elsewhere", PID: 42, Name: "bob"}}
	if _, err := store.SwapLease(t.Context(), b, leasedRun, lease, version); err != nil {
		t.Fatal(err)
	}
}

// TestTakeover: a lease that stands still is taken over after its duration, by
// the observer's own clock, with the next epoch.
func TestTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openFolder(t)
		foreign(t, b, 4, 17)
		began := time.Now()
		held, err := leaserOf(b, "a").acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 10*time.Second || waited > 12*time.Second {
			t.Errorf("it waited for %s", waited)
		}
		if held.epoch != 5 || held.trusted() != nil {
			t.Errorf("epoch %d, trusted %v", held.epoch, held.trusted())
		}
		held.end(t.Context(), slog.New(slog.DiscardHandler))
		// Released: the next one has it at once, and the epoch goes on rising.
		began = time.Now()
		next, err := leaserOf(b, "b").acquire(t.Context())
		if err != nil || next.epoch != 6 || time.Since(began) > 0 {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		next.end(t.Context(), slog.New(slog.DiscardHandler))
	})
}

// TestHeld: a lease that moves is held, and the error says by whom.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openFolder(t)
		foreign(t, b, 4, 17)
		go func() {
			time.Sleep(3 * time.Second) // the bubble's time
			foreign(t, b, 4, 18)
		}()
		_, err := leaserOf(b, "a").acquire(t.Context())
		var held *HeldError
		if !errors.Is(err, ErrHeld) || !errors.As(err, &held) || held.Holder.Name != "bob" {
			t.Fatalf("got %v", err)
		}
	})
}

// TestWaitForTheLease: with Wait it goes on until the other stands still.
func TestWaitForTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openFolder(t)
		foreign(t, b, 4, 0)
		go func() {
			for counter := range int64(5) {
				time.Sleep(3 * time.Second) // the bubble's time
				foreign(t, b, 4, counter+1)
			}
		}()
		l := leaserOf(b, "a")
		l.wait = true
		began := time.Now()
		held, err := l.acquire(t.Context())
		if err != nil || held.epoch != 5 {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 25*time.Second || waited > 27*time.Second {
			t.Errorf("it waited for %s", waited)
		}
		held.end(t.Context(), slog.New(slog.DiscardHandler))
	})
}

// TestRenewal: a held lease is trusted for hours, and no more once the bucket
// is away for longer than its duration; an observer that saw the last renewal
// is not earlier.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openFolder(t)
		l := &lifeline{cut: func(string) (bool, bool) { return false, false }}
		held, err := leaserOf(through{b, l}, "a").acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour) // the bubble's time
		if err := held.trusted(); err != nil {
			t.Fatal(err)
		}
		l.dead.Store(true)
		outage := time.Now()
		other := make(chan time.Time, 1)
		go func() {
			o := leaserOf(b, "b")
			o.wait = true
			next, err := o.acquire(t.Context())
			if err != nil {
				t.Error(err)
			}
			other <- time.Now()
			next.end(t.Context(), slog.New(slog.DiscardHandler))
		}()
		<-held.ctx.Done()
		ended := time.Now()
		if !errors.Is(context.Cause(held.ctx), errExpired) || ended.Sub(outage) > 10*time.Second {
			t.Errorf("%v after %s", context.Cause(held.ctx), ended.Sub(outage))
		}
		if taken := <-other; !taken.After(ended) {
			t.Errorf("it was taken over %s before its holder stopped trusting it", ended.Sub(taken))
		}
		held.end(t.Context(), slog.New(slog.DiscardHandler))
	})
}

// TestRenewalOfUnknownOutcome: a renewal that took place though its answer was
// lost is no loss of the lease.
func TestRenewalOfUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openFolder(t)
		l := &lifeline{cut: func(string) (bool, bool) { return false, false }}
		f := &forgetful{through: through{b, l}}
		held, err := leaserOf(f, "a").acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.lose.Store(3)
		time.Sleep(time.Minute) // the bubble's time
		if err := held.trusted(); err != nil || f.lose.Load() != 0 {
			t.Fatalf("%v, %d answers left to lose", err, f.lose.Load())
		}
		held.end(t.Context(), slog.New(slog.DiscardHandler))
	})
}

// TestReleaseAfterUnknownOutcome: also a lease whose last renewal had no answer
// is released.
func TestReleaseAfterUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openFolder(t)
		l := &lifeline{cut: func(string) (bool, bool) { return false, false }}
		f := &forgetful{through: through{b, l}}
		held, err := leaserOf(f, "a").acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.lose.Store(1)
		time.Sleep(10*time.Second/3 + time.Millisecond) // the bubble's time
		synctest.Wait()
		held.end(t.Context(), slog.New(slog.DiscardHandler))
		if lease, _, _ := store.ReadLease(t.Context(), b, leasedRun); !lease.Released || lease.Counter != 2 {
			t.Errorf("%+v", lease)
		}
	})
}

// TestTakenOver: a holder that another replaced learns it at its next renewal.
func TestTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openFolder(t)
		held, err := leaserOf(b, "a").acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		foreign(t, b, 2, 1)
		<-held.ctx.Done()
		if !errors.Is(context.Cause(held.ctx), store.ErrLost) {
			t.Errorf("%v", context.Cause(held.ctx))
		}
		held.end(t.Context(), slog.New(slog.DiscardHandler))
		if lease, _, _ := store.ReadLease(t.Context(), b, leasedRun); lease.Released || lease.Epoch != 2 {
			t.Errorf("it touched the other's lease: %+v", lease)
		}
	})
}

// TestDeadHolder: a holder on this host whose process is gone is replaced at
// once; one that lives, or of which less is known, is not.
func TestDeadHolder(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells boots and starts of processes apart")
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	me := self("me")
	holder := me
	holder.PID = child.Process.Pid
	holder.Start, _ = processStart(holder.PID)
	if holder.Start == "" || dead(holder, me) {
		t.Fatalf("a living process is held to be dead: %+v", holder)
	}
	reused := holder
	reused.Start = "1"
	if !dead(reused, me) {
		t.Error("a process with the number of another is held to be the same")
	}
	child.Process.Kill()
	child.Wait()
	if !dead(holder, me) {
		t.Error("a dead process is held to be alive")
	}
	for name, unknown := range map[string]func(*store.Holder){
		"another boot":      func(h *store.Holder) { h.Boot = "other" },
		"no boot":           func(h *store.Holder) { h.Boot = "" },
		"another namespace": func(h *store.Holder) { h.Namespace = "pid:[1]" },
		"no start":          func(h *store.Holder) { h.Start = "" },
	} {
		h := holder
		unknown(&h)
		if dead(h, me) {
			t.Errorf("%s proves nothing", name)
		}
	}
	b := openFolder(t)
	lease := store.Lease{Epoch: 8, Counter: 3, Duration: job.Duration(time.Hour), Holder: holder}
	if _, err := store.SwapLease(t.Context(), b, leasedRun, lease, ""); err != nil {
		t.Fatal(err)
	}
	l := leaserOf(b, "me")
	l.holder = me
	held, err := l.acquire(t.Context())
	if err != nil || held.epoch != 9 {
		t.Fatalf("%v", err)
	}
	held.end(t.Context(), slog.New(slog.DiscardHandler))
}
