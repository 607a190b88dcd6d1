package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// remembered is how long an instance that ended is listed.
const remembered = time.Hour

type instance struct {
	id, fleet string
	offer     providers.Offer
	tags      map[string]string
	launched  time.Time
	maxLife   time.Duration
	takenAt   time.Time          // when a preemption comes true; zero: none
	cause     providers.EndCause // of its end; "" while it lives
	endedAt   time.Time
}

func (i *instance) state() providers.InstanceState {
	if i.cause == "" {
		return providers.StateRunning
	}
	return providers.StateTerminated
}

func (i *instance) view() providers.Instance {
	return providers.Instance{
		ID: i.id, Offer: i.offer, State: i.state(), Tags: maps.Clone(i.tags), Launched: i.launched,
		Where: "memory:" + i.id, Isolation: "it runs nothing",
	}
}

func (i *instance) end(cause providers.EndCause, at time.Time) {
	i.cause, i.endedAt = cause, at
}

// advance makes true what the time has brought.
func (p *Provider) advance() {
	now := p.now()
	for _, i := range p.instances {
		if i.cause != "" {
			continue
		}
		switch {
		case !i.takenAt.IsZero() && !now.Before(i.takenAt):
			i.end(providers.EndReclaimed, i.takenAt)
		case i.maxLife > 0 && now.Sub(i.launched) >= i.maxLife:
			i.end(providers.EndMaxLife, i.launched.Add(i.maxLife))
		}
	}
}

// find is an instance of the fleet that is still remembered, or nil.
func (p *Provider) find(fleet providers.Fleet, id string) *instance {
	i := p.instances[id]
	if i == nil || i.fleet != fleet.Name || (i.cause != "" && p.now().Sub(i.endedAt) > remembered) {
		return nil
	}
	return i
}

// List implements providers.Provider.
func (p *Provider) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	defer p.mu.Unlock()
	if err := p.begin(ctx, Call{Op: "list", Fleet: fleet.Name}); err != nil {
		return nil, err
	}
	var listed []providers.Instance
	for _, id := range slices.Sorted(maps.Keys(p.instances)) {
		if i := p.find(fleet, id); i != nil && ours(i) && bears(i, tags) {
			listed = append(listed, i.view())
		}
	}
	return listed, nil
}

func bears(i *instance, tags map[string]string) bool {
	for key, value := range tags {
		if have, there := i.tags[key]; !there || have != value {
			return false
		}
	}
	return true
}

func ours(i *instance) bool { return i.tags[providers.TagBucket] != "" }

// Terminate implements providers.Provider.
func (p *Provider) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	defer p.mu.Unlock()
	if err := p.begin(ctx, Call{Op: "terminate", Fleet: fleet.Name, IDs: ids}); err != nil {
		return err
	}
	for _, id := range ids {
		if i := p.find(fleet, id); i != nil && !ours(i) {
			return fault(providers.CodeNotOurs, "terminate", "%s does not bear the tag %s", id, providers.TagBucket)
		}
	}
	for _, id := range ids {
		if i := p.find(fleet, id); i != nil && i.cause == "" {
			i.end(providers.EndByUs, p.now())
		}
	}
	return nil
}

// Evidence implements providers.Provider.
func (p *Provider) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	defer p.mu.Unlock()
	if err := p.begin(ctx, Call{Op: "evidence", Fleet: fleet.Name, IDs: ids}); err != nil {
		return nil, err
	}
	evidence := make([]providers.Evidence, len(ids))
	for n, id := range ids {
		evidence[n] = p.evidence(fleet, id)
	}
	return evidence, nil
}

func (p *Provider) evidence(fleet providers.Fleet, id string) providers.Evidence {
	i := p.find(fleet, id)
	switch {
	case i == nil:
		return providers.Evidence{ID: id, Cause: providers.EndUnknown}
	case i.cause != "":
		return providers.Evidence{ID: id, Cause: i.cause, State: i.state(), At: i.endedAt}
	case !i.takenAt.IsZero():
		return providers.Evidence{ID: id, Cause: providers.EndNoticed, State: i.state(), At: i.takenAt}
	}
	return providers.Evidence{ID: id, Cause: providers.EndRunning, State: i.state()}
}

// Console implements providers.Console.
func (p *Provider) Console(ctx context.Context, fleet providers.Fleet, id string) (string, error) {
	defer p.mu.Unlock()
	if err := p.begin(ctx, Call{Op: "console", Fleet: fleet.Name, IDs: []string{id}}); err != nil {
		return "", err
	}
	i := p.find(fleet, id)
	if i == nil {
		return "", fault(providers.CodeNotFound, "console", "there is no instance %s", id)
	}
	return fmt.Sprintf("%s booted\n", i.id), nil
}

// Preempt implements providers.Preempter.
func (p *Provider) Preempt(ctx context.Context, fleet providers.Fleet, id string, notice time.Duration) error {
	defer p.mu.Unlock()
	if err := p.begin(ctx, Call{Op: "preempt", Fleet: fleet.Name, IDs: []string{id}}); err != nil {
		return err
	}
	i := p.find(fleet, id)
	switch {
	case i == nil:
		return fault(providers.CodeNotFound, "preempt", "there is no instance %s", id)
	case !ours(i):
		return fault(providers.CodeNotOurs, "preempt", "%s does not bear the tag %s", id, providers.TagBucket)
	case i.offer.Capacity != providers.Spot:
		return fault(providers.CodeUnsupported, "preempt", "%s is no spot instance", id)
	}
	i.takenAt = p.now().Add(notice)
	p.advance()
	return nil
}
