package controller

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	// lookTries is how often a lookup that fails is tried before it counts as a
	// miss: computing is dear, and waiting for ever is dearer.
	lookTries = 6
	// lookLimit bounds one try.
	lookLimit = 30 * time.Second
	// storeTries is how often a result is tried to be kept before it is not.
	storeTries = 7
	// claimShare is how often those who wait look at a claim during a lease, and
	// claimSpacing is the time between two looks of all that wait here.
	claimShare   = 10
	claimSpacing = 20 * time.Millisecond
)

// caching is what the applier knows of other runs' work while it waits for it.
type caching struct {
	job     string
	self    store.Holder
	lease   time.Duration
	waiting atomic.Int64

	mu      sync.Mutex
	holders map[string]*holding // by run
}

// holding is a run that computes what is waited for here.
type holding struct {
	mu     sync.Mutex
	watch  leaseWatch
	looked time.Time
	gone   bool
}

func newCaching(spec *job.Spec, self store.Holder) *caching {
	return &caching{job: spec.Job, self: self, lease: leaseDuration(spec), holders: map[string]*holding{}}
}

// gone reports whether nobody controls a run any more: its lease was released,
// its holder is provably dead on this host, or it was seen to stand still for
// its duration by this machine's monotonic clock. Those who wait for the same
// run share the looks.
func (c *caching) gone(ctx context.Context, b bucket.Bucket, run string) (bool, error) {
	c.mu.Lock()
	h := c.holders[run]
	if h == nil {
		h = &holding{}
		c.holders[run] = h
	}
	c.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.looked.IsZero() && time.Since(h.looked) < c.pause()/2 {
		return h.gone, nil
	}
	lease, _, err := store.ReadLease(ctx, b, run)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		h.gone = true
	case err != nil:
		return false, err
	default:
		h.gone = lease.Released || dead(lease.Holder, c.self) || h.watch.stood(lease)
	}
	h.looked = time.Now()
	return h.gone, nil
}

// pause is between two looks of one that waits.
func (c *caching) pause() time.Duration {
	return max(c.lease/claimShare, time.Duration(c.waiting.Load())*claimSpacing)
}

// cacheLookup looks for an entry until there is an answer: a hit, or a miss
// with the key claimed where it is to be.
func (a *applier) cacheLookup(action *plan.ActionCacheLookup, superseded <-chan struct{}) error {
	failed, delay := 0, retryFirst
	for waits := false; ; {
		answer, err := a.lookOnce(action)
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		if err != nil {
			if failed++; failed < lookTries && tryAgain(err) {
				if a.rest(delay, superseded) {
					return nil
				}
				delay = min(2*delay, retryMax)
				continue
			}
			a.log.Info("a cache entry cannot be read: the task is run", "task", action.Task, "index", action.Index, "error", err)
			answer = plan.CacheAnswer{Missed: &job.CacheMiss{Key: action.Key, Reason: "the cache could not be read: " + err.Error()}}
		}
		answer.Task, answer.Index, answer.Key = action.Task, action.Index, action.Key
		a.inbox.put(func(i *inbox) { i.facts.Cache = append(i.facts.Cache, answer) })
		if answer.Held == nil {
			return nil
		}
		if !waits {
			waits = true
			a.caching.waiting.Add(1)
			defer a.caching.waiting.Add(-1)
		}
		failed, delay = 0, retryFirst
		if a.rest(a.caching.pause(), superseded) {
			return nil
		}
	}
}

// rest waits, and reports whether that was ended.
func (a *applier) rest(d time.Duration, superseded <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-superseded:
	case <-a.ctx.Done():
	}
	return true
}

// tryAgain: what may be another time when it is asked again.
func tryAgain(err error) bool {
	return passes(err) || errors.Is(err, context.DeadlineExceeded)
}

func (a *applier) lookOnce(action *plan.ActionCacheLookup) (plan.CacheAnswer, error) {
	if !a.acquire(a.writes) {
		return plan.CacheAnswer{}, a.ctx.Err()
	}
	defer func() { <-a.writes }()
	ctx, cancel := context.WithTimeout(a.ctx, lookLimit)
	defer cancel()
	answer, err := a.hit(ctx, action)
	if err != nil || answer.Hit != nil || !action.Claim {
		return answer, err
	}
	held, err := a.claim(ctx, action)
	if err != nil || held != nil {
		return plan.CacheAnswer{Held: held}, err
	}
	// Whoever had it may have been done in between.
	if answer, err = a.hit(ctx, action); err == nil && answer.Hit != nil {
		err = store.GiveUpCacheClaim(ctx, a.b, action.Key, a.claimOf(action.Task, action.Index))
	}
	return answer, err
}

// hit is what is under a key. What is damaged is a miss that says so.
func (a *applier) hit(ctx context.Context, action *plan.ActionCacheLookup) (plan.CacheAnswer, error) {
	damaged := func(err error) plan.CacheAnswer {
		a.log.Info("a cache entry is damaged: the task is run, and replaces it", "task", action.Task, "index", action.Index, "error", err)
		return plan.CacheAnswer{Missed: &job.CacheMiss{Key: action.Key, Damaged: true, Reason: "the entry is damaged: " + err.Error()}}
	}
	entry, err := store.ReadCacheEntry(ctx, a.b, action.Key)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		return plan.CacheAnswer{}, nil
	case errors.Is(err, store.ErrVersion):
		return plan.CacheAnswer{Missed: &job.CacheMiss{Key: action.Key, Reason: "the entry is of a later release: " + err.Error()}}, nil
	case errors.Is(err, store.ErrCorrupt):
		return damaged(err), nil
	case err != nil:
		return plan.CacheAnswer{}, err
	}
	output, err := store.LinkCached(ctx, a.b, entry, a.run, action.Task, action.Index)
	switch {
	case err == nil:
		from := entry.From
		from.Key = action.Key
		return plan.CacheAnswer{Hit: &plan.CacheHit{From: from, Output: output, Result: entry.Result}}, nil
	case errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeMissing}):
		// Or it was replaced, or removed, while it was read.
		again, readErr := store.ReadCacheEntry(ctx, a.b, action.Key)
		if readErr != nil || again.From != entry.From {
			return plan.CacheAnswer{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "get", Key: store.CacheEntryKey(action.Key), Err: err}
		}
		return damaged(err), nil
	case isDamage(err):
		return damaged(err), nil
	}
	return plan.CacheAnswer{}, err
}

func isDamage(err error) bool {
	for _, code := range []checkpointing.Code{checkpointing.CodeCorrupt, checkpointing.CodeUnsafe, checkpointing.CodeVersion} {
		if errors.Is(err, &checkpointing.Error{Code: code}) {
			return true
		}
	}
	return false
}

// claimOf is what this run says of an index that it computes.
func (a *applier) claimOf(task string, index int) job.CacheClaim {
	return job.CacheClaim{Run: a.run, Task: task, Index: index}
}

// claim claims a key, or tells who has it. The claim of a run that nobody
// controls is taken over.
func (a *applier) claim(ctx context.Context, action *plan.ActionCacheLookup) (*job.CacheClaim, error) {
	own := a.claimOf(action.Task, action.Index)
	found, object, err := store.ReadCacheClaim(ctx, a.b, action.Key)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrVersion):
		a.log.Warn("a claim in the cache cannot be read; it is taken over", "task", action.Task, "index", action.Index, "error", err)
	case err != nil:
		return nil, err
	case found == own:
		return nil, nil
	case found.Run != a.run:
		gone, err := a.caching.gone(ctx, a.b, found.Run)
		if err != nil || !gone {
			return &found, err
		}
		a.log.Info("takes over what another run was to compute", "task", action.Task, "index", action.Index, "from", found.Run)
	default:
		return &found, nil
	}
	err = store.TakeCacheClaim(ctx, a.b, action.Key, own, object.Version)
	if errors.Is(err, store.ErrLost) {
		found, _, err = store.ReadCacheClaim(ctx, a.b, action.Key)
		if errors.Is(err, bucket.ErrNotFound) { // and was given up again
			err = &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: store.CacheClaimKey(action.Key), Err: err}
		}
		return &found, err
	}
	return nil, err
}

// cacheStore keeps a result. What the bucket refuses for good is told and not
// tried for ever: the run has what it needs.
func (a *applier) cacheStore(action *plan.ActionCacheStore, try int) error {
	if !a.acquire(a.writes) {
		return a.ctx.Err()
	}
	defer func() { <-a.writes }()
	answer := plan.CacheStored{Task: action.From.Task, Index: action.From.Index}
	err := store.KeepResult(a.ctx, a.b, store.CacheEntry{
		Key: action.Key, Parts: action.Parts, Job: a.caching.job, From: action.From, Output: action.Output,
		Result: action.Result, Elapsed: action.Elapsed, Created: time.Now().UTC(),
	}, action.Overwrite)
	if err == nil && action.Claimed {
		err = store.GiveUpCacheClaim(a.ctx, a.b, action.Key, a.claimOf(action.From.Task, action.From.Index))
	}
	switch {
	case a.ctx.Err() != nil:
		return a.ctx.Err()
	case err != nil && try < storeTries && tryAgain(err):
		return err
	case err != nil:
		a.log.Info("a result could not be kept in the cache", "task", answer.Task, "index", answer.Index, "error", err)
		answer.Fault = err.Error()
	}
	a.inbox.put(func(i *inbox) { i.facts.Stored = append(i.facts.Stored, answer) })
	return nil
}

// cacheRelease gives a claim up.
func (a *applier) cacheRelease(action *plan.ActionCacheRelease, try int) error {
	if !a.acquire(a.writes) {
		return a.ctx.Err()
	}
	defer func() { <-a.writes }()
	err := store.GiveUpCacheClaim(a.ctx, a.b, action.Key, a.claimOf(action.Task, action.Index))
	if err != nil && (!tryAgain(err) || try >= storeTries) {
		a.log.Warn("a claim in the cache could not be given up; it ends with the run", "task", action.Task, "index", action.Index, "error", err)
		return nil
	}
	return err
}
