package aws

import (
	"context"
	"slices"

	"github.com/spotrelay/spotrelay/providers"
)

// Offers implements providers.Provider. Answers are cached: types for an hour,
// spot prices for minutes, on-demand prices for a day.
func (p *Provider) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	const op = "offers"
	c, s, err := p.begin(ctx, op, fleet)
	if err != nil {
		return nil, err
	}
	offers, err := p.offers(ctx, s, op, c, need)
	return offers, wrap(op, err)
}

func (p *Provider) offers(ctx context.Context, s *session, op string, c config, need providers.Need) ([]providers.Offer, error) {
	if volumeSize(c, need, 0) > maxVolume>>30 {
		return nil, nil
	}
	archs, err := s.archsOf(ctx, op, c, need)
	if err != nil {
		return nil, err
	}
	machines, err := s.catalogue(ctx, op, c)
	if err != nil {
		return nil, err
	}
	fits := slices.DeleteFunc(slices.Clone(machines), func(m machine) bool {
		return !m.allowed(c, need) || !m.serves(need) || len(archs) > 0 && !slices.Contains(archs, m.arch)
	})
	if len(fits) == 0 {
		return nil, nil
	}
	m, err := p.market(ctx, s, op, c)
	if err != nil {
		return nil, err
	}
	var offers []providers.Offer
	for _, machine := range fits {
		offers = append(offers, m.offers(machine, c, need)...)
	}
	return offers, nil
}

// market is what all offers of a fleet draw on.
type market struct {
	zones  map[string][]string // by instance type
	spot   map[zoneType]float64
	list   priceList
	quotas quotaTable
}

func (p *Provider) market(ctx context.Context, s *session, op string, c config) (market, error) {
	var m market
	subnets, err := s.network(ctx, op, c)
	if err != nil {
		return m, err
	}
	zones := zonesOf(subnets)
	if m.zones, err = s.zonesOf(ctx, op, c, zones); err != nil {
		return m, err
	}
	if m.spot, err = s.spotPrices(ctx, op, c, zones); err != nil {
		return m, err
	}
	if m.list, err = p.onDemandPrices(ctx, s, op); err != nil {
		return m, err
	}
	m.quotas, err = p.quotaTable(ctx, s, op)
	return m, err
}

// offers of a machine in each zone that has it. What has no price or no quota
// is left out.
func (m market) offers(machine machine, c config, need providers.Need) []providers.Offer {
	var offers []providers.Offer
	base := machine.offer(need)
	base.FleetLimit = int(c.MaxInstances)
	for _, zone := range m.zones[machine.name] {
		offer := base
		offer.Zone = zone
		if price, ok := m.spot[zoneType{zone, machine.name}]; ok && machine.spot && (c.MaxPrice == nil || price <= *c.MaxPrice) {
			offer.Price = price
			offers = m.quotas.within(offers, offer, machine, providers.Spot)
		}
		if price, ok := m.list.price(machine.name); ok && machine.onDemand {
			offer.Price = price
			offers = m.quotas.within(offers, offer, machine, providers.OnDemand)
		}
	}
	return offers
}

// within appends the offer with the limit that the quota sets it, unless that
// leaves no room for even one.
func (q quotaTable) within(offers []providers.Offer, offer providers.Offer, m machine, capacity providers.CapacityType) []providers.Offer {
	limit, known := q.limit(m, capacity)
	if known && limit == 0 {
		return offers
	}
	offer.Capacity, offer.Limit = capacity, limit
	return append(offers, offer)
}

// knownPrice is the price of a pool as far as it was asked for before, else 0.
func (s *session) knownPrice(c config, zones []string, pool providers.Pool) float64 {
	if pool.Capacity == providers.Spot {
		prices, _ := s.spot.peek(spotKey(c, zones))
		return prices[zoneType{pool.Zone, pool.InstanceType}]
	}
	list, ok := s.onDemand.peek(s.priceSource())
	if !ok {
		return 0
	}
	price, _ := list.price(pool.InstanceType)
	return price
}
