package sim

import (
	"context"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// api is the cloud as one actor reaches it.
type api struct {
	actor *actor
	cloud *cloud
}

var _ providers.Provider = (*api)(nil)

// Provider implements controller.Providers.
func (p *api) Provider(context.Context, string) (providers.Provider, error) { return p, nil }

func (p *api) Describe(context.Context) (providers.Description, error) {
	return providers.Description{
		Name: "sim", TokenWindow: tokenWindow, ListLag: p.cloud.world.listLag, Pace: 10 * time.Second,
		Capabilities: []providers.Capability{providers.CapabilityOnDemand},
		Leave:        providers.Leave{Means: providers.LeaveExit},
	}, nil
}

func (p *api) Check(context.Context, providers.Fleet) ([]providers.Fault, error) { return nil, nil }

// do makes a call with all its faults.
func (p *api) do(ctx context.Context, op, about string, writes bool, effect func() error) error {
	w := p.cloud.world
	lost := func(err error) error {
		return &providers.Error{Code: providers.CodeUnavailable, Op: op, Call: "sim:" + op, Message: err.Error()}
	}
	c := call{service: w.faults().cloudService(), op: op, about: about, kind: op, writes: writes, lost: lost}
	c.effect = func() error {
		p.cloud.mu.Lock()
		p.cloud.calls[op]++
		n := p.cloud.calls[op]
		p.cloud.mu.Unlock()
		if w.seed.happens(w.faults().Throttled, "throttled", op, n) {
			return &providers.Error{Code: providers.CodeThrottled, Op: op, Message: "too many requests"}
		}
		return effect()
	}
	return p.actor.do(ctx, c)
}

func (p *api) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	var found []providers.Offer
	err := p.do(ctx, "offers", fleet.Name, false, func() error {
		found = p.cloud.offers(need)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (p *api) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	made := time.Now()
	var result providers.LaunchResult
	err := p.do(ctx, "launch", request.Token, true, func() error {
		w := p.cloud.world
		f := w.faults()
		if w.seed.happens(f.Quota, "quota", fleet.Name, w.slot()) {
			return &providers.Error{Code: providers.CodeQuota, Op: "launch", Message: "the quota is used up"}
		}
		rented, err := p.cloud.launch(request, made)
		if err == nil && w.seed.happens(f.LostLaunch, "lost launch", request.Token) {
			return &providers.Error{Code: providers.CodeUnavailable, Op: "launch", Message: errLostNet.Error()}
		}
		result = rented
		return err
	})
	if err != nil {
		return providers.LaunchResult{}, err
	}
	return result, nil
}

func (p *api) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	var found []providers.Instance
	err := p.do(ctx, "list", fleet.Name, false, func() error {
		found = p.cloud.list(tags)
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.actor.saw(fleet.Name, found)
	return found, nil
}

func (p *api) Terminate(ctx context.Context, _ providers.Fleet, ids []string) error {
	return p.do(ctx, "terminate", strings.Join(ids, " "), true, func() error {
		p.cloud.world.witness.terminates(p.actor, ids)
		p.cloud.terminate(ids)
		return nil
	})
}

func (p *api) Evidence(ctx context.Context, _ providers.Fleet, ids []string) ([]providers.Evidence, error) {
	var found []providers.Evidence
	err := p.do(ctx, "evidence", strings.Join(ids, " "), false, func() error {
		found = p.cloud.evidence(ids)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
