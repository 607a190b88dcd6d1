package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

const (
	// defaultPace is for a provider that names none.
	defaultPace = time.Second
	// idlePace is the time between two listings of a fleet that nothing is
	// rented in, at least.
	idlePace = 15 * time.Second
	// callLimit bounds a provider call, and launchLimit a launch.
	callLimit   = 2 * time.Minute
	launchLimit = 10 * time.Minute

	retryFirst = 200 * time.Millisecond
	retryMax   = 30 * time.Second
)

// fleet is one fleet of the run with its provider.
type fleet struct {
	spec      job.Fleet
	providers Providers
	tags      map[string]string // that its instances in this run bear
	clock     *clock
	inbox     *inbox
	log       *slog.Logger

	terminating *terminator
	evidence    *evidenceDesk

	soon chan struct{} // asks for a listing

	mu          sync.Mutex
	description *providers.Description
	active      bool // something is rented there, or about to be
}

func newFleet(spec job.Fleet, from Providers, tags map[string]string, clock *clock, inbox *inbox, log *slog.Logger) *fleet {
	f := &fleet{
		spec: spec, providers: from, clock: clock, inbox: inbox,
		tags: map[string]string{providers.TagFleet: spec.Name},
		log:  log.With("fleet", spec.Name),
		soon: make(chan struct{}, 1), active: true,
	}
	for name, value := range tags {
		f.tags[name] = value
	}
	f.terminating = newTerminator(f)
	f.evidence = &evidenceDesk{fleet: f}
	return f
}

// is is the fleet as its provider's methods take it.
func (f *fleet) is() providers.Fleet {
	return providers.Fleet{Name: f.spec.Name, Config: f.spec.Config}
}

// provider is the provider and what it says of itself, which is asked once.
func (f *fleet) provider(ctx context.Context) (providers.Provider, providers.Description, error) {
	p, err := f.providers.Provider(ctx, f.spec.Provider)
	if err != nil {
		return nil, providers.Description{}, err
	}
	f.mu.Lock()
	known := f.description
	f.mu.Unlock()
	if known != nil {
		return p, *known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	description, err := p.Describe(ctx)
	if err != nil {
		return nil, description, err
	}
	f.mu.Lock()
	f.description = &description
	f.mu.Unlock()
	return p, description, nil
}

// pace is the shortest time between two listings.
func (f *fleet) pace() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.description == nil || f.description.Pace <= 0 {
		return defaultPace
	}
	return f.description.Pace
}

// settle learns from the state, after a tick, whether the fleet is in use, and
// which instances need no more ending.
func (f *fleet) settle(state *plan.State) {
	active := false
	for _, launch := range state.Launches {
		active = active || launch.Fleet == f.spec.Name
	}
	if !active {
		for _, instance := range state.Instances {
			if instance.Fleet == f.spec.Name {
				active = true
				break
			}
		}
	}
	f.mu.Lock()
	woken := active && !f.active
	f.active = active
	f.mu.Unlock()
	if woken {
		f.listSoon()
	}
	f.terminating.settle(func(id string) bool { return state.Instances[id] != nil })
}

// listSoon asks for a listing, as soon as the provider's pace allows.
func (f *fleet) listSoon() {
	select {
	case f.soon <- struct{}{}:
	default:
	}
}

// watch lists the fleet's instances at the provider's pace, until ctx ends. A
// fleet that is not in use is looked at now and then, for what turns up late.
func (f *fleet) watch(ctx context.Context) {
	delay := retryFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := f.list(ctx)
		pace := f.pace()
		switch {
		case err == nil:
			delay = retryFirst
			f.rest(ctx, pace)
			continue
		case ctx.Err() != nil:
			return
		}
		f.log.Warn("the fleet cannot be listed for now", "error", err)
		if fault := asError("list", err); fault.Code.Final() {
			f.inbox.putFault(plan.FleetFault{Fleet: f.spec.Name, Err: fault})
		}
		delay = min(2*delay, retryMax)
		if sleep(ctx, max(delay, pace-time.Since(began), asked(err))) != nil {
			return
		}
	}
}

// rest waits for the time of the next listing.
func (f *fleet) rest(ctx context.Context, pace time.Duration) {
	if sleep(ctx, pace) != nil {
		return
	}
	f.mu.Lock()
	active := f.active
	f.mu.Unlock()
	if active {
		return
	}
	timer := time.NewTimer(max(0, idlePace-pace))
	defer timer.Stop()
	select {
	case <-f.soon:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (f *fleet) list(ctx context.Context) error {
	p, description, err := f.provider(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	begun, asked := f.clock.now(), time.Now()
	instances, err := p.List(ctx, f.is(), f.tags)
	if err != nil {
		return err
	}
	f.terminating.listed(asked, instances)
	f.inbox.putListing(plan.Listing{Fleet: f.spec.Name, Instances: instances, Begun: begun, Lag: description.ListLag})
	return nil
}

// asError is err as a provider's error; one that is none may pass.
func asError(op string, err error) *providers.Error {
	if err == nil {
		return nil
	}
	var e *providers.Error
	if errors.As(err, &e) {
		return e
	}
	return &providers.Error{Code: providers.CodeUnavailable, Op: op, Message: err.Error()}
}

// asked is how long an error asks to wait.
func asked(err error) time.Duration {
	var e *providers.Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}
