package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// version of the plugin.
const version = "1.0.0"

// provider implements providers.Provider and providers.Console.
type provider struct {
	mu    sync.Mutex
	hosts map[hostKey]*host
}

// hostKey tells hosts apart: another fleet may reach the same one otherwise.
type hostKey struct {
	hostConfig

	login     login
	downAfter time.Duration
}

var (
	_ providers.Provider = (*provider)(nil)
	_ providers.Console  = (*provider)(nil)
)

func newProvider() *provider { return &provider{hosts: map[hostKey]*host{}} }

// Describe implements providers.Provider.
func (p *provider) Describe(context.Context) (providers.Description, error) {
	return providers.Description{
		Name: "static", Version: version,
		Capabilities: []providers.Capability{providers.CapabilityConsole, providers.CapabilityOnDemand},
		Schema:       schema(),
		// The hosts keep what has ended for a day.
		TokenWindow: 12 * time.Hour,
		// One's own machine tells nobody that it goes; and the agent's end is the
		// instance's, since the keeper on the host ends what it left.
		Leave:       providers.Leave{Means: providers.LeaveExit},
		BootTimeout: 2 * time.Minute,
		Pace:        2 * time.Second,
	}, nil
}

// Check implements providers.Provider. It logs in to every host.
func (p *provider) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	c, faults := parseConfig(fleet)
	if len(faults) > 0 {
		return faults, nil
	}
	hosts := p.of(c)
	errs := onEach(hosts, func(h *host) error {
		_, err := h.learn(ctx)
		return err
	})
	if err := ctx.Err(); err != nil {
		return nil, callError("check", err)
	}
	for i, err := range errs {
		if err == nil {
			continue
		}
		var e *providers.Error
		fault := providers.Fault{Severity: providers.SeverityError, Path: []string{"host", fmt.Sprint(i), "address"}, Summary: err.Error()}
		switch {
		case errors.Is(err, errUnreachable), errors.Is(err, errDown):
			fault.Severity, fault.Detail = providers.SeverityWarning, "Nothing is rented there while it is away."
		case errors.As(err, &e):
			fault.Summary, fault.Detail = e.Message, e.Hint
		}
		faults = append(faults, fault)
	}
	return faults, nil
}

// Offers implements providers.Provider: each host is a pool, as spot and as
// on-demand, since nobody takes one's own machine away. A host that is out of
// reach is not offered.
func (p *provider) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	c, err := requireConfig("offers", fleet)
	if err != nil {
		return nil, err
	}
	hosts := p.of(c)
	total := 0
	for _, h := range hosts {
		total += h.Slots
	}
	offers := make([][]providers.Offer, len(hosts))
	errs := onEach(hosts, func(h *host) error {
		is, err := h.learn(ctx)
		if err == nil {
			offers[slices.Index(hosts, h)] = h.offers(is, need, total)
		}
		return err
	})
	if err := ctx.Err(); err != nil {
		return nil, callError("offers", err)
	}
	for _, err := range errs {
		if err != nil && !errors.Is(err, errUnreachable) && !errors.Is(err, errDown) {
			return nil, callError("offers", err)
		}
	}
	return slices.Concat(offers...), nil
}

func (h *host) offers(is facts, need providers.Need, total int) []providers.Offer {
	offer := providers.Offer{
		Zone: h.Zone, InstanceType: h.Name, Price: h.Price,
		CPUs: is.cpus / float64(h.Slots), Memory: is.memory / int64(h.Slots),
		GPUs: h.GPUs / h.Slots, Arch: is.arch, OS: is.os, Limit: h.Slots, FleetLimit: total,
	}
	if offer.GPUs > 0 {
		offer.GPUType = h.GPUType
	}
	if offer.CPUs < need.CPUs || offer.Memory < need.Memory || offer.GPUs < need.GPUs ||
		(need.GPUs > 0 && need.GPUType != "" && !strings.EqualFold(need.GPUType, offer.GPUType)) || (need.Arch != "" && need.Arch != offer.Arch) {
		return nil
	}
	spot, onDemand := offer, offer
	spot.Capacity, onDemand.Capacity = providers.Spot, providers.OnDemand
	return []providers.Offer{spot, onDemand}
}

// of are the hosts of a fleet, in its order.
func (p *provider) of(c config) []*host {
	p.mu.Lock()
	defer p.mu.Unlock()
	hosts := make([]*host, len(c.Hosts))
	for i, each := range c.Hosts {
		key := hostKey{each, login{c.Key, c.KnownHosts}, c.downAfter}
		if p.hosts[key] == nil {
			p.hosts[key] = &host{hostConfig: each, link: newLink(each, key.login), downAfter: c.downAfter}
		}
		hosts[i] = p.hosts[key]
	}
	return hosts
}

// onEach calls f for all hosts at the same time and gives their errors in
// place.
func onEach(hosts []*host, f func(*host) error) []error {
	errs := make([]error, len(hosts))
	var all sync.WaitGroup
	for i, h := range hosts {
		all.Go(func() { errs[i] = f(h) })
	}
	all.Wait()
	return errs
}

// callError makes err one that crosses the plugin boundary with its code.
func callError(op string, err error) error {
	var e *providers.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		whole := *e
		whole.Op = op
		return &whole
	case errors.Is(err, errUnreachable), errors.Is(err, errDown):
		return &providers.Error{Code: providers.CodeUnavailable, Op: op, Message: err.Error(), Hint: "is the machine on, and sshd running?"}
	}
	return &providers.Error{Code: providers.CodeUnavailable, Op: op, Message: err.Error()}
}
