package aws

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// overridesMost is how many overrides a fleet request takes over all of its
// templates ("EC2 Fleet quotas").
const overridesMost = 300

var validToken = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// frozen is a launch with the request that its token stands for. A repetition
// sends the same bytes, whatever has changed since.
type frozen struct {
	digest    [32]byte // of the launch request and the fleet's config
	in        *ec2.CreateFleetInput
	templates []template
	offers    map[providers.Pool]providers.Offer
	zones     map[string]string // by subnet
	failures  []providers.Failure
	capacity  providers.CapacityType
	region    string
}

// Launch implements providers.Provider. All pools go into one call of
// CreateFleet, which carries the token; AWS chooses among them.
func (p *Provider) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	const op = "launch"
	c, s, err := p.begin(ctx, op, fleet)
	if err != nil {
		return providers.LaunchResult{}, err
	}
	if err := checkRequest(op, request); err != nil {
		return providers.LaunchResult{}, err
	}
	f, err := p.freeze(ctx, s, op, c, fleet, request)
	if err != nil {
		return providers.LaunchResult{}, wrap(op, err)
	}
	if f.in == nil {
		return providers.LaunchResult{Failures: f.failures}, nil
	}
	out, err := s.createFleet(ctx, op, f)
	if err != nil {
		return providers.LaunchResult{}, wrap(op, err)
	}
	result, err := s.readFleet(ctx, op, f, out, request)
	p.removeOldTemplates(ctx, s, op, request.Tags[providers.TagBucket])
	return result, wrap(op, err)
}

// checkRequest refuses what cannot be meant.
func checkRequest(op string, r providers.LaunchRequest) error {
	wrong := ""
	switch {
	case !validToken.MatchString(r.Token):
		wrong = fmt.Sprintf("the token %q is not 1 to 64 letters, digits and '-'", r.Token)
	case r.Count < 1:
		wrong = fmt.Sprintf("%d instances cannot be launched", r.Count)
	case len(r.Offers) == 0:
		wrong = "the launch names no offers"
	case slices.ContainsFunc(r.Offers, func(o providers.Offer) bool { return o.Capacity != r.Offers[0].Capacity }):
		wrong = "the launch mixes spot and on-demand offers"
	case r.Tags[providers.TagBucket] == "":
		wrong = "the launch has no tag " + providers.TagBucket
	}
	if wrong == "" {
		return nil
	}
	return refuse(op, providers.CodeConfiguration, wrong, "")
}

// freeze makes the request for a token, or finds the one it stood for before.
func (p *Provider) freeze(ctx context.Context, s *session, op string, c config, fleet providers.Fleet, request providers.LaunchRequest) (*frozen, error) {
	content, err := json.Marshal([]any{request, fleet})
	if err != nil {
		return nil, err
	}
	digest, key := sha256.Sum256(content), s.region+" "+request.Token
	if f, ok := p.frozen.get(key); ok {
		if f.digest != digest {
			return nil, refuse(op, providers.CodeTokenMismatch, "the token "+request.Token+" stands for another request", "")
		}
		return f, nil
	}
	f, err := s.makeRequest(ctx, op, c, request)
	if err != nil {
		return nil, err
	}
	f.digest = digest
	p.frozen.put(key, f)
	return f, nil
}

// makeRequest makes the call of a launch. Its in is nil when no offer is left
// that could be asked for.
func (s *session) makeRequest(ctx context.Context, op string, c config, r providers.LaunchRequest) (*frozen, error) {
	subnets, err := s.network(ctx, op, c)
	if err != nil {
		return nil, err
	}
	f := &frozen{
		offers: map[providers.Pool]providers.Offer{}, zones: map[string]string{},
		capacity: r.Offers[0].Capacity, region: s.region,
	}
	chosen := s.subnetFor(subnets, r.Token)
	for _, n := range subnets {
		f.zones[n.id] = n.zone
	}
	overrides := f.overrides(c, r, chosen)
	if len(overrides) == 0 {
		return f, nil
	}
	var configs []types.FleetLaunchTemplateConfigRequest
	for _, arch := range sortedKeys(overrides) {
		t, err := s.templateFor(ctx, op, c, r, arch)
		if err != nil {
			return nil, err
		}
		f.templates = append(f.templates, t)
		configs = append(configs, types.FleetLaunchTemplateConfigRequest{
			LaunchTemplateSpecification: &types.FleetLaunchTemplateSpecificationRequest{
				LaunchTemplateName: aws.String(t.name), Version: aws.String(templateVersion),
			},
			Overrides: overrides[arch],
		})
	}
	f.in = fleetRequest(c, r, configs)
	return f, nil
}

// overrides are the pools to ask for, by architecture. A pool that this fleet
// cannot have is a failure right away.
func (f *frozen) overrides(c config, r providers.LaunchRequest, chosen map[string]subnet) map[string][]types.FleetLaunchTemplateOverridesRequest {
	found, n := map[string][]types.FleetLaunchTemplateOverridesRequest{}, 0
	for i, offer := range r.Offers {
		if _, again := f.offers[offer.Pool()]; again || n == overridesMost {
			continue
		}
		subnet, ok := chosen[offer.Zone]
		switch {
		case !ok:
			f.fail(offer.Pool(), providers.CodeUnsupported, "the fleet has no subnet in "+offer.Zone)
			continue
		case len(r.Bootstrap.Agents) > 0 && r.Bootstrap.Agents["linux-"+offer.Arch] == (providers.AgentProgram{}):
			f.fail(offer.Pool(), providers.CodeUnsupported, "the run has no agent for linux-"+offer.Arch)
			continue
		}
		override := types.FleetLaunchTemplateOverridesRequest{
			InstanceType: types.InstanceType(offer.InstanceType), SubnetId: aws.String(subnet.id), Priority: aws.Float64(float64(i)),
		}
		if offer.Capacity == providers.Spot && c.MaxPrice != nil {
			override.MaxPrice = aws.String(strconv.FormatFloat(*c.MaxPrice, 'f', -1, 64))
		}
		f.offers[offer.Pool()] = offer
		found[offer.Arch] = append(found[offer.Arch], override)
		n++
	}
	return found
}

func (f *frozen) fail(pool providers.Pool, code providers.Code, message string) {
	f.failures = append(f.failures, providers.Failure{Pool: pool, Code: code, Message: message})
}

// fleetRequest is the call itself. Spot requests are tagged by the template.
func fleetRequest(c config, r providers.LaunchRequest, configs []types.FleetLaunchTemplateConfigRequest) *ec2.CreateFleetInput {
	in := &ec2.CreateFleetInput{
		Type: types.FleetTypeInstant, ClientToken: aws.String(r.Token), LaunchTemplateConfigs: configs,
		TargetCapacitySpecification: &types.TargetCapacitySpecificationRequest{TotalTargetCapacity: aws.Int32(int32(r.Count))},
		TagSpecifications:           tagAtCreation(c, r.Tags),
	}
	if r.Offers[0].Capacity == providers.Spot {
		in.TargetCapacitySpecification.DefaultTargetCapacityType = types.DefaultTargetCapacityTypeSpot
		in.SpotOptions = &types.SpotOptionsRequest{
			AllocationStrategy:           types.SpotAllocationStrategy(c.SpotAllocation),
			InstanceInterruptionBehavior: types.SpotInstanceInterruptionBehaviorTerminate,
		}
		return in
	}
	in.TargetCapacitySpecification.DefaultTargetCapacityType = types.DefaultTargetCapacityTypeOnDemand
	in.OnDemandOptions = &types.OnDemandOptionsRequest{AllocationStrategy: types.FleetOnDemandAllocationStrategy(c.OnDemandAlloc)}
	return in
}

// tagAtCreation tags everything that a launch makes.
func tagAtCreation(c config, tags map[string]string) []types.TagSpecification {
	all := map[string]string{"Name": "spotrelay " + tags[providers.TagRun]}
	maps.Copy(all, c.Tags)
	maps.Copy(all, tags)
	list := tagList(all)
	return []types.TagSpecification{
		{ResourceType: types.ResourceTypeFleet, Tags: list},
		{ResourceType: types.ResourceTypeInstance, Tags: list},
		{ResourceType: types.ResourceTypeVolume, Tags: list},
	}
}

// createFleet makes the call, with its templates there. One that is not there
// (it was removed, or AWS does not see it yet) is made again.
func (s *session) createFleet(ctx context.Context, op string, f *frozen) (*ec2.CreateFleetOutput, error) {
	for try, pause := 1, s.pause; ; try, pause = try+1, 2*pause {
		for _, t := range f.templates {
			if err := s.ensure(ctx, op, t); err != nil {
				return nil, err
			}
		}
		out, err := ask(ctx, s, call{op, "ec2:CreateFleet"}, s.ec2.CreateFleet, f.in)
		if err == nil || !isTemplateGone(codeOf(err)) || try == tries {
			return out, err
		}
		s.forgetTemplates(f)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *session) forgetTemplates(f *frozen) {
	for _, t := range f.templates {
		s.templates.set(t.name, false)
	}
}

func isTemplateGone(code string) bool {
	return code == "InvalidLaunchTemplateName.NotFoundException" || code == "InvalidLaunchTemplateId.NotFound" ||
		code == "InvalidLaunchTemplateId.VersionNotFound"
}
