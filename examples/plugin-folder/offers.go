package main

import (
	"context"
	"runtime"

	"github.com/spotrelay/spotrelay/providers"
)

// market is all that there is: a zone with one instance type.
func market(c config) []providers.Offer {
	spot := providers.Offer{
		Zone: "here", InstanceType: "process", Capacity: providers.Spot, Price: 0.01,
		CPUs: float64(runtime.NumCPU()), Memory: 1 << 30, Arch: runtime.GOARCH, OS: runtime.GOOS, FleetLimit: c.Most,
	}
	onDemand := spot
	onDemand.Capacity, onDemand.Price = providers.OnDemand, 0.03
	return []providers.Offer{spot, onDemand}
}

// Offers lists what could be rented for the need.
func (p *provider) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	c, err := parse("offers", fleet)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, failed(providers.CodeUnavailable, "offers", "%v", err)
	}
	var offers []providers.Offer
	for _, o := range market(c) {
		if o.CPUs >= need.CPUs && o.Memory >= need.Memory && need.GPUs == 0 && (need.Arch == "" || need.Arch == o.Arch) {
			offers = append(offers, o)
		}
	}
	return offers, nil
}
