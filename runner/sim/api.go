package sim

import (
	"context"
	"errors"
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

func (p *api) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) (found []providers.Offer, err error) {
	err = p.do(ctx, "offers", fleet.Name, false, func() error {
		found = p.cloud.offers(need)
		return nil
	})
	return found, err
}

func (p *api) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (result providers.LaunchResult, err error) {
	made := time.Now()
	err = p.do(ctx, "launch", request.Token, true, func() (err error) {
		w := p.cloud.world
		if w.seed.happens(w.faults().Quota, "quota", fleet.Name, w.slot()) {
			return &providers.Error{Code: providers.CodeQuota, Op: "launch", Message: "the quota is used up"}
		}
		result, err = p.cloud.launch(request, made)
		return err
	})
	if err != nil {
		return providers.LaunchResult{}, err
	}
	return result, nil
}

func (p *api) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) (found []providers.Instance, err error) {
	err = p.do(ctx, "list", fleet.Name, false, func() error {
		found = p.cloud.list(tags)
		return nil
	})
	if err == nil {
		p.actor.saw(fleet.Name, found)
	}
	return found, err
}

func (p *api) Terminate(ctx context.Context, _ providers.Fleet, ids []string) error {
	return p.do(ctx, "terminate", strings.Join(ids, " "), true, func() error {
		p.cloud.world.witness.terminates(p.actor, ids)
		p.cloud.terminate(ids)
		return nil
	})
}

func (p *api) Evidence(ctx context.Context, _ providers.Fleet, ids []string) (found []providers.Evidence, err error) {
	err = p.do(ctx, "evidence", strings.Join(ids, " "), false, func() error {
		found = p.cloud.evidence(ids)
		return nil
	})
	if err == nil && len(found) != len(ids) {
		err = errors.New("no evidence")
	}
	return found, err
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
