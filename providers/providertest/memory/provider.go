// Package memory is a provider whose cloud is a map: for tests of whatever
// calls a provider, and as an example of one that is complete. Its instances
// run nothing. They live as long as the Provider value, and so not longer than a
// plugin process; otherwise it keeps the contract.
package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// Provider is a cloud in memory. Set Market and Clock before its first use; the
// rest may be used at any time, from any goroutine.
type Provider struct {
	// Market is what can be rented; nil is DefaultMarket. An offer's Limit
	// counts: what is above it fails with CodeCapacity.
	Market []providers.Offer
	// Clock is the cloud's; nil is time.Now.
	Clock func() time.Time

	mu        sync.Mutex
	instances map[string]*instance
	launches  map[string]*launch
	faults    map[string][]error
	calls     []Call
	next      int
}

// Call is a call that was made, for tests to look at.
type Call struct {
	Op      string // "launch", "list", ...
	Fleet   string // its name
	IDs     []string
	Request *providers.LaunchRequest // of a launch
}

var (
	_ providers.Provider  = (*Provider)(nil)
	_ providers.Console   = (*Provider)(nil)
	_ providers.Preempter = (*Provider)(nil)
)

// New makes a cloud with the default market.
func New() *Provider { return &Provider{} }

// DefaultMarket has two zones with two instance types, spot and on-demand.
func DefaultMarket() []providers.Offer {
	var market []providers.Offer
	for zone, factor := range map[string]float64{"m1": 1, "m2": 1.1} {
		for _, size := range []struct {
			name  string
			cpus  float64
			price float64
		}{{"small", 2, 0.1}, {"large", 8, 0.4}} {
			for capacity, discount := range map[providers.CapacityType]float64{providers.Spot: 0.3, providers.OnDemand: 1} {
				market = append(market, providers.Offer{
					Zone: zone, InstanceType: size.name, Capacity: capacity,
					Price: size.price * factor * discount,
					CPUs:  size.cpus, Memory: int64(size.cpus) * 4 << 30,
					Arch: "amd64", OS: "linux",
				})
			}
		}
	}
	return market
}

// Fail makes the next call of op ("launch", "list", ...) return err and do
// nothing; several errors are returned one after the other.
func (p *Provider) Fail(op string, errs ...error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults == nil {
		p.faults = map[string][]error{}
	}
	p.faults[op] = append(p.faults[op], errs...)
}

// Calls made so far, in order.
func (p *Provider) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// begin locks the provider for a call, records it and gives its scripted error.
// The caller unlocks in any case.
func (p *Provider) begin(ctx context.Context, call Call) error {
	p.mu.Lock()
	p.calls = append(p.calls, call)
	if err := ctx.Err(); err != nil {
		return fault(providers.CodeUnavailable, call.Op, "%v", err)
	}
	if errs := p.faults[call.Op]; len(errs) > 0 {
		p.faults[call.Op] = errs[1:]
		return errs[0]
	}
	p.advance()
	return nil
}

func fault(code providers.Code, op, format string, args ...any) error {
	return &providers.Error{Code: code, Op: op, Message: fmt.Sprintf(format, args...)}
}

// config is the fleet's config block.
type config struct {
	Zones []string `json:"zones"`
}

func parseConfig(fleet providers.Fleet) (config, error) {
	var c config
	if len(fleet.Config) == 0 {
		return c, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(fleet.Config))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&c)
	return c, err
}

// Describe implements providers.Provider.
func (p *Provider) Describe(ctx context.Context) (providers.Description, error) {
	defer p.mu.Unlock()
	if err := p.begin(ctx, Call{Op: "describe"}); err != nil {
		return providers.Description{}, err
	}
	return providers.Description{
		Name:    "memory",
		Version: "1.0.0",
		Capabilities: []providers.Capability{
			providers.CapabilityConsole, providers.CapabilityOnDemand, providers.CapabilityPreempt,
		},
		Schema: providers.Schema{Attributes: []providers.Attribute{{
			Name: "zones", Type: "list(string)", Description: "Zones to rent in; all of them by default.", Example: `["m1"]`,
		}}},
		TokenWindow: time.Hour,
		Leave:       providers.Leave{Means: providers.LeaveNone},
	}, nil
}

// Check implements providers.Provider.
func (p *Provider) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	defer p.mu.Unlock()
	if err := p.begin(ctx, Call{Op: "check", Fleet: fleet.Name}); err != nil {
		return nil, err
	}
	c, err := parseConfig(fleet)
	if err != nil {
		return []providers.Fault{{Severity: providers.SeverityError, Summary: "The config block is not understood", Detail: err.Error()}}, nil
	}
	zones := map[string]bool{}
	for _, offer := range p.market() {
		zones[offer.Zone] = true
	}
	var faults []providers.Fault
	for i, zone := range c.Zones {
		if !zones[zone] {
			faults = append(faults, providers.Fault{
				Severity: providers.SeverityError,
				Path:     []string{"zones", fmt.Sprint(i)},
				Summary:  fmt.Sprintf("There is no zone %q", zone),
				Detail:   "The zones are " + strings.Join(slices.Sorted(maps.Keys(zones)), ", ") + ".",
			})
		}
	}
	return faults, nil
}

func (p *Provider) market() []providers.Offer {
	if p.Market == nil {
		p.Market = DefaultMarket()
	}
	return p.Market
}

// Offers implements providers.Provider.
func (p *Provider) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	defer p.mu.Unlock()
	if err := p.begin(ctx, Call{Op: "offers", Fleet: fleet.Name}); err != nil {
		return nil, err
	}
	c, err := parseConfig(fleet)
	if err != nil {
		return nil, fault(providers.CodeConfiguration, "offers", "%v", err)
	}
	var offers []providers.Offer
	for _, offer := range p.market() {
		if (len(c.Zones) == 0 || slices.Contains(c.Zones, offer.Zone)) && serves(offer, need) {
			offers = append(offers, offer)
		}
	}
	return offers, nil
}

func serves(offer providers.Offer, need providers.Need) bool {
	return offer.CPUs >= need.CPUs && offer.Memory >= need.Memory && offer.GPUs >= need.GPUs &&
		(need.GPUType == "" || need.GPUType == offer.GPUType) &&
		(need.Arch == "" || need.Arch == offer.Arch)
}

func (p *Provider) now() time.Time {
	if p.Clock != nil {
		return p.Clock()
	}
	return time.Now()
}
