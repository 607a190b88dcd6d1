//go:build linux

package relaytest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
	"github.com/spotrelay/spotrelay/runner/agent/notice"
	"github.com/spotrelay/spotrelay/runner/job"
)

// watched is an instance whose metadata server the agent's own watcher follows,
// by the probe that the provider describes.
func watched(t *testing.T) (*rig, computetest.Instance, <-chan notice.Event) {
	t.Helper()
	r := newRig(t, computetest.Options{SoftOff: time.Hour}, nil)
	_, in := r.one("t1")
	description, err := r.provider.Describe(t.Context())
	if err != nil || description.Notice == nil {
		t.Fatalf("%+v, %v", description, err)
	}
	events := make(chan notice.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	watcher := notice.New(*description.Notice, r.MetadataURL(in.ID), slog.New(slog.DiscardHandler))
	go func() {
		defer close(done)
		watcher.Run(ctx, func(e notice.Event) { events <- e })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r, in, events
}

const preempted = "instance/preempted"

func next(t *testing.T, events <-chan notice.Event) notice.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("no event came")
		return notice.Event{}
	}
}

// hanging waits until the plain look and the hanging one were asked.
func hanging(t *testing.T, r *rig, in computetest.Instance, path string) {
	t.Helper()
	reached(t.Context(), t, "the hanging request", func() bool { return r.MetadataAsked(in.ID, path) >= 2 })
}

func TestNoticeOfPreemption(t *testing.T) {
	r, in, events := watched(t)
	hanging(t, r, in, preempted)
	r.Preempt(in.ID)
	e := next(t, events)
	took := time.Since(r.MetadataChanged(in.ID, "preempted"))
	if e.Notice == nil || e.Notice.Kind != job.NoticeInterruption || e.Notice.Lead.D() != 30*time.Second {
		t.Errorf("the event is %+v, %+v", e, e.Notice)
	}
	t.Logf("seen %s after it was given", took.Round(time.Millisecond))
	if n := r.MetadataAsked(in.ID, preempted); n > 4 {
		t.Errorf("the metadata server was asked %d times", n)
	}
}

// An instance that is marked before its agent starts is seen at the first look.
func TestNoticeAtStart(t *testing.T) {
	r := newRig(t, computetest.Options{SoftOff: time.Hour}, nil)
	_, in := r.one("t1")
	address := r.MetadataURL(in.ID)
	r.Preempt(in.ID)
	description, err := r.provider.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := false
	notice.New(*description.Notice, address, slog.New(slog.DiscardHandler)).Run(ctx, func(e notice.Event) {
		seen = seen || e.Notice != nil && e.Source == preempted
		cancel()
	})
	if !seen {
		t.Error("the notice that was there was not seen")
	}
}

func TestNoticeAfter503(t *testing.T) {
	r := newRig(t, computetest.Options{SoftOff: time.Hour}, nil)
	_, in := r.one("t1")
	address := r.MetadataURL(in.ID)
	r.BreakMetadata(in.ID, 4)
	r.Preempt(in.ID)
	description, err := r.provider.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	notice.New(*description.Notice, address, slog.New(slog.DiscardHandler)).Run(ctx, func(e notice.Event) {
		if e.Notice != nil {
			cancel()
		}
	})
	if t.Context().Err() != nil || ctx.Err() != context.Canceled {
		t.Error("no notice came")
	}
	t.Logf("seen %s after its start, with 4 answers of 503 between both sources", time.Since(began).Round(time.Millisecond))
}

// A notice that is taken back is told too.
func TestNoticeWithdrawn(t *testing.T) {
	r, in, events := watched(t)
	hanging(t, r, in, preempted)
	r.Preempt(in.ID)
	if e := next(t, events); e.Notice == nil {
		t.Fatalf("the event is %+v", e)
	}
	r.Withdraw(in.ID)
	if e := next(t, events); e.Notice != nil || e.Source != preempted {
		t.Errorf("the event is %+v", e)
	}
}

// A migration is no notice, an end at maintenance is one.
func TestNoticeOfMaintenance(t *testing.T) {
	r, in, events := watched(t)
	hanging(t, r, in, "instance/maintenance-event")
	r.Maintenance(in.ID, "MIGRATE_ON_HOST_MAINTENANCE")
	reached(t.Context(), t, "the next hanging request", func() bool { return r.MetadataAsked(in.ID, "instance/maintenance-event") >= 3 })
	r.Maintenance(in.ID, "TERMINATE_ON_HOST_MAINTENANCE")
	e := next(t, events)
	if e.Notice == nil || e.Notice.Kind != job.NoticeMaintenance || e.Source != "instance/maintenance-event" {
		t.Errorf("the event is %+v, %+v", e, e.Notice)
	}
}
