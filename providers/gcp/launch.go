package gcp

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	// inBulk is how many instances one bulk insert makes at most
	// (https://cloud.google.com/compute/docs/instances/multiple/about-bulk-creation).
	inBulk = 1000
	// shortestLife and longestLife bound maxRunDuration
	// (https://cloud.google.com/compute/docs/instances/limit-vm-runtime).
	shortestLife = 30 * time.Second
	longestLife  = 120 * 24 * time.Hour
)

var tokenForm = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// checkRequest refuses what no repetition could make right.
func checkRequest(request providers.LaunchRequest) error {
	wrong := func(message, hint string) error {
		return fault("launch", providers.CodeConfiguration, message, hint)
	}
	switch {
	case !tokenForm.MatchString(request.Token):
		return wrong(fmt.Sprintf("%q is no launch token", request.Token), "a token has 1 to 64 letters, digits and hyphens")
	case request.Count < 1:
		return wrong(fmt.Sprintf("%d instances cannot be launched", request.Count), "ask for one at least")
	case len(request.Offers) == 0:
		return wrong("the request has no offers", "name the pools to launch in")
	}
	for _, offer := range request.Offers {
		if offer.Capacity != request.Offers[0].Capacity {
			return wrong("the offers mix spot and on-demand", "make a launch for each")
		}
		if offer.Capacity != providers.Spot && offer.Capacity != providers.OnDemand {
			return wrong(fmt.Sprintf("there is no capacity type %q", offer.Capacity), "it is spot or on-demand")
		}
	}
	return nil
}

// Launch implements providers.Provider. Offers that one bulk insert can stand
// for go together (see wavesOf); where it gives fewer than asked for, the next
// follows. Names and request ids are made from the token, so a repetition is
// answered with the operations of the first time, and once those are forgotten
// it meets its own instances; their digest label tells whether it is the same
// request.
func (p *Provider) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	const op = "launch"
	var none providers.LaunchResult
	if err := checkRequest(request); err != nil {
		return none, err
	}
	config, err := requireConfig(op, fleet)
	if err != nil {
		return none, err
	}
	digest, err := digestOf(request)
	if err != nil {
		return none, fault(op, providers.CodeConfiguration, err.Error(), "")
	}
	c, err := p.cloud(ctx, op, config)
	if err != nil {
		return none, err
	}
	region, err := c.readPlace(ctx, op)
	if err != nil {
		return none, err
	}
	l := &launch{c: c, config: config, request: request, region: region, digest: digest, zones: map[string]bool{}, failed: map[uint64]bool{}}
	waves, err := l.waves(ctx)
	if err != nil {
		return none, err
	}
	if err := l.run(ctx, waves); err != nil {
		return none, err
	}
	return l.result(ctx)
}

// launch is one call of Launch.
type launch struct {
	c       *cloud
	config  config
	request providers.LaunchRequest
	region  place
	digest  string

	made     int             // by bulk inserts so far
	bulks    int             // made so far
	zones    map[string]bool // where instances may be
	failed   map[uint64]bool // numbers of instances whose insert failed
	failures []providers.Failure
	final    *providers.Error // why no repetition can help
}

// waves sorts the offers, and puts those aside that there are not.
func (l *launch) waves(ctx context.Context) ([]wave, error) {
	rentable := l.region.rentable(l.config)
	zones := map[string]bool{}
	for _, offer := range l.request.Offers {
		if slices.Contains(rentable, offer.Zone) {
			zones[offer.Zone] = true
		}
	}
	byZone, err := l.c.machinesOf(ctx, "launch", keysOf(zones))
	if err != nil {
		return nil, err
	}
	var good []rental
	for _, offer := range l.request.Offers {
		if !zones[offer.Zone] {
			l.fail(offer, providers.CodeUnsupported, fmt.Sprintf("the fleet does not rent in zone %s", offer.Zone))
			continue
		}
		m, ok := machineByName(byZone[offer.Zone], offer.InstanceType)
		if !ok {
			l.fail(offer, providers.CodeUnsupported, fmt.Sprintf("zone %s has no machine type %s", offer.Zone, offer.InstanceType))
			continue
		}
		good = append(good, rental{offer, m})
	}
	return wavesOf(good, l.config), nil
}

func (l *launch) fail(offer providers.Offer, code providers.Code, message string) {
	pool := offer.Pool()
	if slices.ContainsFunc(l.failures, func(f providers.Failure) bool { return f.Pool == pool && f.Code == code }) {
		return
	}
	l.failures = append(l.failures, providers.Failure{Pool: pool, Code: code, Message: message})
}

// run makes bulk inserts until there are as many instances as asked for.
func (l *launch) run(ctx context.Context, waves []wave) error {
	for _, w := range waves {
		for wanted := l.request.Count - l.made; wanted > 0; wanted -= inBulk {
			count := min(wanted, inBulk)
			made, err := l.bulk(ctx, w, count)
			if err != nil {
				return err
			}
			l.made += made
			if made < count {
				break
			}
		}
		if l.over() {
			break
		}
	}
	return nil
}

// over reports whether nothing more is to be asked for.
func (l *launch) over() bool { return l.final != nil || l.made >= l.request.Count }

// result is what the launch rented, as a listing has it: so it is the same for
// a repetition, and instances of another request under the token show.
func (l *launch) result(ctx context.Context) (providers.LaunchResult, error) {
	const op = "launch"
	result := providers.LaunchResult{Failures: l.failures}
	if l.made == 0 && l.final != nil {
		return providers.LaunchResult{}, l.final
	}
	found, err := l.c.list(ctx, op, keysOf(l.zones), map[string]string{providers.TagIntent: l.request.Token})
	if err != nil {
		return result, err
	}
	for _, f := range found {
		if f.digest != l.digest {
			return providers.LaunchResult{}, otherRequest(l.request.Token)
		}
		if l.failed[f.id.number] {
			continue // it is listed until its failure has been cleared away
		}
		i := slices.IndexFunc(l.request.Offers, func(o providers.Offer) bool { return o.Pool() == f.instance.Offer.Pool() })
		if i >= 0 {
			f.instance.Offer = l.request.Offers[i]
		}
		result.Instances = append(result.Instances, f.instance)
	}
	if missing := l.request.Count - len(result.Instances); missing > 0 && len(result.Failures) == 0 {
		result.Failures = append(result.Failures, providers.Failure{
			Pool: l.request.Offers[0].Pool(), Code: providers.CodeCapacity,
			Message: fmt.Sprintf("%d of %d instances were not made, or are gone already", missing, l.request.Count),
		})
	}
	return result, nil
}

// keysOf gives the keys in order.
func keysOf[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
