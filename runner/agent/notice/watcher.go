// Package notice watches an instance's metadata service for interruption
// notices, as a providers.NoticeProbe describes it in data.
package notice

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

const (
	// defaultInterval between two looks where the probe names none.
	defaultInterval = 5 * time.Second
	// shortestInterval keeps a bad probe from flooding the metadata service.
	shortestInterval = 20 * time.Millisecond
	// longestPause after errors that go on; never so long that a notice of
	// thirty seconds is missed.
	longestPause = 10 * time.Second
)

// Event is a change in what a source says.
type Event struct {
	Source string
	Kind   job.NoticeKind
	// Notice is what it says now; nil: it says nothing any more, the notice
	// may have been withdrawn.
	Notice *job.Notice
}

// Watcher follows the sources of a probe.
type Watcher struct {
	client *client
	probe  providers.NoticeProbe
	log    *slog.Logger
	now    func() time.Time
}

// New makes a watcher. metadata, when it is not empty, overrides the probe's
// base address.
func New(probe providers.NoticeProbe, metadata string, log *slog.Logger) *Watcher {
	if metadata == "" {
		metadata = probe.Metadata
	}
	return &Watcher{client: newClient(metadata, probe.Token), probe: probe, log: log, now: time.Now}
}

// Run watches until ctx ends. emit is called from one goroutine at a time, at
// each change and not for an answer that repeats the one before. Errors of the
// metadata service are logged and the source is asked again.
func (w *Watcher) Run(ctx context.Context, emit func(Event)) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, source := range w.probe.Sources {
		wg.Go(func() {
			w.follow(ctx, source, func(e Event) {
				mu.Lock()
				defer mu.Unlock()
				emit(e)
			})
		})
	}
	wg.Wait()
	w.client.close()
}

// follow asks one source for ever.
func (w *Watcher) follow(ctx context.Context, source providers.NoticeSource, emit func(Event)) {
	interval := source.Interval
	if interval <= 0 {
		interval = defaultInterval
	}
	interval = max(interval, shortestInterval)
	var last *job.Notice
	etag, looked, failures := "", false, 0
	for ctx.Err() == nil {
		seen, tag, err := w.look(ctx, source, etag, looked)
		pause := interval
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errNothingNew):
			pause = 0
		case err != nil:
			failures++
			w.report(source, failures, err)
			pause = backoff(interval, failures)
			looked = false // ask anew, without waiting for a change
		default:
			failures, etag, looked = 0, tag, true
			if changed(last, seen) {
				emit(Event{Source: source.Name, Kind: job.NoticeKind(source.Kind), Notice: seen})
			}
			last = seen
			if source.Hang && tag != "" {
				pause = shortestInterval
			}
		}
		if !wait(ctx, pause) {
			return
		}
	}
}

// look asks a source once.
func (w *Watcher) look(ctx context.Context, source providers.NoticeSource, etag string, looked bool) (*job.Notice, string, error) {
	answer, err := w.client.get(ctx, source, etag, source.Hang && looked)
	if err != nil || answer.absent {
		return nil, answer.etag, err
	}
	n, err := Read(answer.body, source.Match, w.now())
	if n != nil {
		n.Kind = job.NoticeKind(source.Kind)
		n.Source = source.Name
	}
	return n, answer.etag, err
}

// report logs the first failures of a row and then ever fewer.
func (w *Watcher) report(source providers.NoticeSource, failures int, err error) {
	if failures&(failures-1) != 0 {
		return
	}
	w.log.Warn("the metadata service gave no answer that can be used", "source", source.Name, "failures", failures, "error", err)
}

// backoff doubles the interval with each failure, with jitter, up to
// longestPause.
func backoff(interval time.Duration, failures int) time.Duration {
	pause := min(interval<<min(failures-1, 8), max(longestPause, interval))
	return pause/2 + rand.N(pause/2+1)
}

func changed(before, after *job.Notice) bool {
	if before == nil || after == nil {
		return before != after
	}
	return before.Text != after.Text
}

func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
