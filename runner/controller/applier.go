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
	parallelCalls  = 16 // provider calls at once
	parallelWrites = 32 // bucket writes at once
	// offersTries is how often offers are asked for before the error is the
	// answer.
	offersTries = 3
)

// stamp says which decision an action comes from.
type stamp struct {
	epoch    int64
	sequence int64
}

// applier takes the planner's actions. Each runs in a goroutine of its own
// until it is done; of actions with the same key the newest counts.
type applier struct {
	ctx      context.Context
	b        bucket.Bucket
	run      string
	fleets   map[string]*fleet
	inbox    *inbox
	log      *slog.Logger
	launcher launcher
	caching  *caching

	calls  chan struct{} // bounds provider calls
	writes chan struct{} // bounds bucket writes
	all    sync.WaitGroup

	mu        sync.Mutex
	efforts   map[string]*effort
	documents map[string]*document
}

// effort is the work on one key.
type effort struct {
	next       *order // comes after, nil: nothing
	superseded chan struct{}
}

type order struct {
	action plan.Action
	stamp  stamp
}

// document is what is known of a desired document that was written.
type document struct {
	at      store.DesiredAt
	written time.Time
}

// do takes an action, instead of any before it with the same key.
func (a *applier) do(action plan.Action, s stamp) {
	switch {
	case action.Terminate != nil:
		if f := a.fleets[action.Terminate.Fleet]; f != nil {
			f.terminating.end(action.Terminate.Instance)
		}
		return
	case action.List != nil:
		if f := a.fleets[action.List.Fleet]; f != nil {
			f.listSoon()
		}
		return
	}
	key := action.Key()
	a.mu.Lock()
	defer a.mu.Unlock()
	next := &order{action, s}
	if under := a.efforts[key]; under != nil {
		if under.next == nil {
			close(under.superseded)
		}
		under.next = next
		return
	}
	a.efforts[key] = &effort{superseded: make(chan struct{})}
	a.all.Go(func() { a.work(key, next) })
}

// wait is for the end of all work, once the applier's context has ended.
func (a *applier) wait() { a.all.Wait() }

// work carries out an action, and those that supersede it meanwhile.
func (a *applier) work(key string, now *order) {
	for now != nil {
		a.mu.Lock()
		superseded := a.efforts[key].superseded
		a.mu.Unlock()
		a.carryOut(key, now, superseded)
		a.mu.Lock()
		under := a.efforts[key]
		now = under.next
		if now == nil || a.ctx.Err() != nil {
			now = nil
			delete(a.efforts, key)
		} else {
			under.next, under.superseded = nil, make(chan struct{})
		}
		a.mu.Unlock()
	}
}

// carryOut tries an action until it is done, superseded or the tenure ends.
func (a *applier) carryOut(key string, o *order, superseded <-chan struct{}) {
	delay := retryFirst
	for try := 1; ; try++ {
		err := a.try(o, try, superseded)
		if err == nil || a.ctx.Err() != nil {
			return
		}
		if try == 1 || delay == retryMax {
			a.log.Warn("an action is tried again", "action", key, "try", try, "error", err)
		}
		timer := time.NewTimer(max(delay, asked(err)))
		select {
		case <-timer.C:
		case <-superseded:
			timer.Stop()
			return
		case <-a.ctx.Done():
			timer.Stop()
			return
		}
		delay = min(2*delay, retryMax)
	}
}

func (a *applier) try(o *order, try int, superseded <-chan struct{}) error {
	switch action := o.action; {
	case action.Launch != nil:
		return a.launch(action.Launch)
	case action.Desired != nil:
		return a.desired(action.Desired, o.stamp)
	case action.Offers != nil:
		return a.offers(action.Offers, try)
	case action.End != nil:
		return a.end(action.End)
	case action.Find != nil:
		return a.find(action.Find)
	case action.Prune != nil:
		return a.prune(action.Prune)
	case action.CacheLookup != nil:
		return a.cacheLookup(action.CacheLookup, superseded)
	case action.CacheStore != nil:
		return a.cacheStore(action.CacheStore, try)
	case action.CacheRelease != nil:
		return a.cacheRelease(action.CacheRelease, try)
	}
	a.log.Error("the planner asked for an action that this version does not know", "action", o.action.Key())
	return nil
}

// acquire takes a place among the bounded; false when the tenure ended.
func (a *applier) acquire(places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-a.ctx.Done():
		return false
	}
}

// launch makes a launch call, once; its answer, also an error, is a fact.
func (a *applier) launch(action *plan.ActionLaunch) error {
	if !a.acquire(a.calls) {
		return a.ctx.Err()
	}
	defer func() { <-a.calls }()
	answer := a.launcher.launch(a.ctx, a.fleets[action.Fleet], action)
	if a.ctx.Err() != nil {
		return a.ctx.Err() // the next tenure repeats it with the same token
	}
	a.inbox.put(func(i *inbox) { i.facts.Launches = append(i.facts.Launches, answer) })
	if f := a.fleets[action.Fleet]; f != nil {
		f.listSoon()
	}
	return nil
}

func (a *applier) offers(action *plan.ActionOffers, try int) error {
	if !a.acquire(a.calls) {
		return a.ctx.Err()
	}
	defer func() { <-a.calls }()
	answer := plan.OffersAnswer{Fleet: action.Fleet, Group: action.Group}
	answer.Offers, answer.Err = a.askOffers(action)
	if a.ctx.Err() != nil {
		return a.ctx.Err()
	}
	if answer.Err != nil && try < offersTries {
		switch answer.Err.Code {
		case providers.CodeUnavailable, providers.CodeThrottled:
			return answer.Err
		}
	}
	a.inbox.put(func(i *inbox) { i.facts.Offers = append(i.facts.Offers, answer) })
	return nil
}

func (a *applier) askOffers(action *plan.ActionOffers) ([]providers.Offer, *providers.Error) {
	f := a.fleets[action.Fleet]
	if f == nil {
		return nil, noFleet("offers", action.Fleet)
	}
	p, _, err := f.provider(a.ctx)
	if err != nil {
		return nil, asError("offers", err)
	}
	ctx, cancel := context.WithTimeout(a.ctx, callLimit)
	defer cancel()
	offers, err := p.Offers(ctx, f.is(), action.Need)
	return offers, asError("offers", err)
}

func noFleet(op, name string) *providers.Error {
	return &providers.Error{Code: providers.CodeConfiguration, Op: op, Message: fmt.Sprintf("the run has no fleet %q", name)}
}

// end gathers an instance's end: the provider's word first, since a later
// status can only say more.
func (a *applier) end(action *plan.ActionEnd) error {
	f := a.fleets[action.Fleet]
	if f == nil {
		return noFleet("evidence", action.Fleet)
	}
	tries := rereads
	if action.Whether {
		tries = 0
	}
	evidence, err := f.evidence.of(a.ctx, action.Instance, tries)
	if err != nil {
		return err
	}
	status, err := a.lastStatus(action.Instance)
	if err != nil {
		return err
	}
	a.inbox.put(func(i *inbox) {
		i.facts.Ends = append(i.facts.Ends, plan.EndAnswer{Instance: action.Instance, Evidence: evidence, Status: status, Fence: action.Fence})
	})
	return nil
}

func (a *applier) lastStatus(instance string) (*job.Status, error) {
	if !a.acquire(a.writes) {
		return nil, a.ctx.Err()
	}
	defer func() { <-a.writes }()
	status, _, err := store.ReadStatus(a.ctx, a.b, a.run, instance)
	switch {
	case err == nil:
		return &status, nil
	case errors.Is(err, bucket.ErrNotFound):
		return nil, nil
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrVersion):
		a.log.Error("the last status cannot be read; it counts as none", "instance", instance, "error", err)
		return nil, nil
	}
	return nil, err
}

// desired writes an instance's desired document, not faster than the bucket
// takes writes of one object.
func (a *applier) desired(action *plan.ActionDesired, s stamp) error {
	a.mu.Lock()
	known := a.documents[action.Instance]
	if known == nil {
		known = &document{}
		a.documents[action.Instance] = known
	}
	a.mu.Unlock()
	if rest := a.b.Describe().Pace - time.Since(known.written); !known.written.IsZero() && rest > 0 {
		if err := sleep(a.ctx, rest); err != nil {
			return err
		}
	}
	if !a.acquire(a.writes) {
		return a.ctx.Err()
	}
	defer func() { <-a.writes }()
	at, err := store.WriteDesired(a.ctx, a.b, job.Desired{
		Run: a.run, Instance: action.Instance, Epoch: s.epoch, Sequence: s.sequence,
		Attempts: action.Attempts, Acknowledged: action.Acknowledged, Return: action.Return, Leave: action.Leave,
	}, known.at)
	if errors.Is(err, store.ErrStale) {
		a.log.Warn("a newer document is there, this one is dropped", "instance", action.Instance, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	known.at, known.written = at, time.Now() // of one goroutine at a time, as the key is
	return nil
}
