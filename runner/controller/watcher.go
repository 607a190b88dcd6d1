package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	parallelReads = 16
	// leastRequests is the shortest time between two looks for requests.
	leastRequests = 200 * time.Millisecond
	// freshFor is how old the last whole look at the bucket may be at a tick,
	// at least.
	freshFor = 2 * time.Second
)

// watcher finds documents that changed, from their listing alone, and reads
// only those.
type watcher struct {
	b     bucket.Bucket
	run   string
	poll  time.Duration
	inbox *inbox
	log   *slog.Logger
	told  sync.Map // faults that were logged
	taken sync.Map // keys of requests that were taken up: removed when seen

	seen     map[string]string // status documents' versions, by instance
	requests time.Time         // the last look for them

	mu     sync.Mutex
	passed time.Time     // end of the last whole look
	took   time.Duration // how long it was
	next   chan struct{} // closed by the next one's end
}

func newWatcher(b bucket.Bucket, run string, poll time.Duration, inbox *inbox, log *slog.Logger) *watcher {
	return &watcher{b: b, run: run, poll: poll, inbox: inbox, log: log, seen: map[string]string{}, next: make(chan struct{})}
}

// watch looks again and again until ctx ends; it rests at least as long as a
// look takes.
func (w *watcher) watch(ctx context.Context) {
	failed := false
	for {
		began := time.Now()
		err := w.look(ctx)
		took := time.Since(began)
		switch {
		case err == nil:
			failed = false
			w.pass(took)
		case ctx.Err() == nil && !failed:
			failed = true
			w.log.Warn("the instances' documents cannot be read for now", "error", err)
		}
		if sleep(ctx, max(w.poll, took)) != nil {
			return
		}
	}
}

func (w *watcher) pass(took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed, w.took = time.Now(), took
	close(w.next)
	w.next = make(chan struct{})
}

// fresh waits until a whole look at the documents ended a short while ago.
func (w *watcher) fresh(ctx context.Context) error {
	for {
		w.mu.Lock()
		passed, next := w.passed, w.next
		limit := max(freshFor, 4*(w.poll+w.took))
		w.mu.Unlock()
		if !passed.IsZero() && time.Since(passed) <= limit {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *watcher) look(ctx context.Context) error {
	var changed []store.Document
	for document, err := range store.ListDocuments(ctx, w.b, w.run) {
		if err != nil {
			return err
		}
		if document.Name == store.StatusName && w.seen[document.Instance] != document.Object.Version {
			changed = append(changed, document)
		}
	}
	err := w.read(ctx, changed)
	if err != nil || time.Since(w.requests) < leastRequests {
		return err
	}
	w.requests = time.Now()
	return w.lookForRequests(ctx)
}

// read fetches changed statuses in parallel. One that cannot be understood is
// logged and passed over until it changes: to the planner its agent is silent.
func (w *watcher) read(ctx context.Context, changed []store.Document) error {
	statuses := make([]job.Status, len(changed))
	whole := make([]bool, len(changed))
	var group errgroup.Group
	group.SetLimit(parallelReads)
	for i, document := range changed {
		group.Go(func() error {
			status, _, err := store.ReadStatus(ctx, w.b, w.run, document.Instance)
			switch {
			case err == nil:
				statuses[i], whole[i] = status, true
			case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrVersion):
				w.log.Error("a status cannot be read", "instance", document.Instance, "error", err)
			default:
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var read []job.Status
	for i, document := range changed {
		w.seen[document.Instance] = document.Object.Version
		if whole[i] {
			read = append(read, statuses[i])
		}
	}
	w.inbox.putStatuses(read)
	return nil
}

// lookForRequests finds new requests and removes those that are journalled.
func (w *watcher) lookForRequests(ctx context.Context) error {
	requests, faults, err := store.ListRequests(ctx, w.b, w.run)
	if err != nil {
		return err
	}
	for _, fault := range faults {
		if _, told := w.told.LoadOrStore(fault.Error(), true); !told {
			w.log.Error("a request cannot be read", "error", fault)
		}
	}
	var fresh []store.StoredRequest
	for _, request := range requests {
		if _, taken := w.taken.Load(request.Key); !taken {
			fresh = append(fresh, request)
		} else if err := w.b.Delete(ctx, request.Key); err != nil {
			return err
		}
	}
	w.inbox.putRequests(fresh)
	return nil
}
