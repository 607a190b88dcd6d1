package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

var validToken = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// launch is a token that was used.
type launch struct {
	request []byte // the frozen request, as JSON
	ids     []string
	failed  []providers.Failure
}

// Launch implements providers.Provider.
func (p *Provider) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	defer p.mu.Unlock()
	if err := p.begin(ctx, Call{Op: "launch", Fleet: fleet.Name, Request: &request}); err != nil {
		return providers.LaunchResult{}, err
	}
	if err := checkRequest(request); err != nil {
		return providers.LaunchResult{}, err
	}
	frozen, err := json.Marshal(request)
	if err != nil {
		return providers.LaunchResult{}, fault(providers.CodeConfiguration, "launch", "%v", err)
	}
	key := fleet.Name + "/" + request.Token
	former, used := p.launches[key]
	switch {
	case !used:
		former = p.rent(fleet.Name, request)
		former.request = frozen
		if p.launches == nil {
			p.launches = map[string]*launch{}
		}
		p.launches[key] = former
	case !bytes.Equal(former.request, frozen):
		return providers.LaunchResult{}, fault(providers.CodeTokenMismatch, "launch",
			"the token %q was used with another request", request.Token)
	}
	result := providers.LaunchResult{Failures: former.failed}
	for _, id := range former.ids {
		result.Instances = append(result.Instances, p.instances[id].view())
	}
	return result, nil
}

func checkRequest(request providers.LaunchRequest) error {
	wrong := func(format string, args ...any) error {
		return fault(providers.CodeConfiguration, "launch", format, args...)
	}
	switch {
	case !validToken.MatchString(request.Token):
		return wrong("the token %q is not 1 to 64 letters, digits and '-'", request.Token)
	case request.Count < 1:
		return wrong("count is %d", request.Count)
	case len(request.Offers) == 0:
		return wrong("there are no offers to launch in")
	}
	for _, offer := range request.Offers {
		if offer.Capacity != request.Offers[0].Capacity {
			return wrong("the offers are of different capacity types")
		}
	}
	return nil
}

// rent fills the request from its offers in their order.
func (p *Provider) rent(fleet string, request providers.LaunchRequest) *launch {
	result := &launch{}
	for _, asked := range request.Offers {
		if len(result.ids) == request.Count {
			break
		}
		offer, there := p.offer(asked.Pool())
		if !there {
			result.failed = append(result.failed, providers.Failure{
				Pool: asked.Pool(), Code: providers.CodeUnsupported, Message: "there is no such pool",
			})
			continue
		}
		living := p.living(offer.Pool())
		for len(result.ids) < request.Count && (offer.Limit == 0 || living < offer.Limit) {
			result.ids = append(result.ids, p.create(fleet, offer, request))
			living++
		}
		if len(result.ids) < request.Count {
			result.failed = append(result.failed, providers.Failure{
				Pool: offer.Pool(), Code: providers.CodeCapacity, Message: fmt.Sprintf("all %d are taken", offer.Limit),
			})
		}
	}
	return result
}

func (p *Provider) offer(pool providers.Pool) (providers.Offer, bool) {
	for _, offer := range p.market() {
		if offer.Pool() == pool {
			return offer, true
		}
	}
	return providers.Offer{}, false
}

func (p *Provider) living(pool providers.Pool) int {
	n := 0
	for _, i := range p.instances {
		if i.offer.Pool() == pool && i.cause == "" {
			n++
		}
	}
	return n
}

func (p *Provider) create(fleet string, offer providers.Offer, request providers.LaunchRequest) string {
	p.next++
	i := &instance{
		id: fmt.Sprintf("mem-%06d", p.next), fleet: fleet, offer: offer,
		tags: maps.Clone(request.Tags), launched: p.now(), maxLife: request.MaxLife,
	}
	if p.instances == nil {
		p.instances = map[string]*instance{}
	}
	p.instances[i.id] = i
	return i.id
}

// Foreign makes an instance that does not bear spotrelay's tags, as somebody
// else's would not. It returns its id.
func (p *Provider) Foreign(fleet string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.create(fleet, p.market()[0], providers.LaunchRequest{Tags: map[string]string{"owner": "somebody"}, MaxLife: time.Hour})
}

// Living are the ids of a fleet's instances that have not ended, whatever their
// tags, in order.
func (p *Provider) Living(fleet string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance()
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(p.instances)) {
		if i := p.instances[id]; i.fleet == fleet && i.cause == "" {
			ids = append(ids, id)
		}
	}
	return ids
}
