package aws

import (
	"context"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// instanceID: nothing else can be an instance of EC2.
var instanceID = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// instanceStates are EC2's, in the words of the contract ("InstanceState").
var instanceStates = map[types.InstanceStateName]providers.InstanceState{
	types.InstanceStateNamePending:      providers.StatePending,
	types.InstanceStateNameRunning:      providers.StateRunning,
	types.InstanceStateNameShuttingDown: providers.StateStopping,
	types.InstanceStateNameStopping:     providers.StateStopping,
	types.InstanceStateNameStopped:      providers.StateStopped,
	types.InstanceStateNameTerminated:   providers.StateTerminated,
}

// List implements providers.Provider: every page, or an error.
func (p *Provider) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	const op = "list"
	c, s, err := p.begin(ctx, op, fleet)
	if err != nil {
		return nil, err
	}
	filters := []types.Filter{filter("tag-key", providers.TagBucket)}
	for _, key := range sortedKeys(tags) {
		if key != providers.TagBucket {
			filters = append(filters, filter("tag:"+key, escape(tags[key])))
		} else {
			filters[0] = filter("tag:"+key, escape(tags[key]))
		}
	}
	var zones []string
	if subnets, ok := s.networks.peek(networkKey(c)); ok {
		zones = zonesOf(subnets)
	}
	var instances []providers.Instance
	seen := map[string]bool{}
	err = s.eachInstance(ctx, op, filters, func(found *types.Instance) {
		instance := s.instanceOf(found)
		instance.Offer.Price = s.knownPrice(c, zones, instance.Offer.Pool())
		if !seen[instance.ID] && bears(instance.Tags, tags) {
			seen[instance.ID] = true
			instances = append(instances, instance)
		}
	})
	if err != nil {
		return nil, wrap(op, err)
	}
	return instances, nil
}

// bears reports whether all of the tags are there.
func bears(have, tags map[string]string) bool {
	for key, text := range tags {
		if value, ok := have[key]; !ok || value != text {
			return false
		}
	}
	return true
}

// wild are the characters that mean something else in a filter's value.
var wild = regexp.MustCompile(`[*?\\]`)

// escape makes a filter's value stand for itself.
func escape(text string) string { return wild.ReplaceAllString(text, `\$0`) }

// eachInstance goes through all pages of a listing.
func (s *session) eachInstance(ctx context.Context, op string, filters []types.Filter, f func(*types.Instance)) error {
	in := &ec2.DescribeInstancesInput{Filters: filters, MaxResults: aws.Int32(1000)}
	for {
		out, err := ask(ctx, s, call{op, "ec2:DescribeInstances"}, s.ec2.DescribeInstances, in)
		if err != nil {
			return err
		}
		for i := range out.Reservations {
			for j := range out.Reservations[i].Instances {
				f(&out.Reservations[i].Instances[j])
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return nil
		}
	}
}

// describe finds instances by their ids. It asks by filter, so that one which
// is not there is missing in the answer and no error.
func (s *session) describe(ctx context.Context, op string, ids []string) (map[string]*types.Instance, error) {
	found := map[string]*types.Instance{}
	for batch := range slices.Chunk(ids, filterMost) {
		err := s.eachInstance(ctx, op, []types.Filter{filter("instance-id", batch...)}, func(i *types.Instance) {
			found[aws.ToString(i.InstanceId)] = i
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// instanceOf is an instance in the words of the contract.
func (s *session) instanceOf(found *types.Instance) providers.Instance {
	id := aws.ToString(found.InstanceId)
	return providers.Instance{
		ID: id, Offer: offerOf(found), State: stateOf(found), Tags: tagsOf(found.Tags),
		Launched: aws.ToTime(found.LaunchTime).UTC(), Where: where(s.region, id),
	}
}

func stateOf(found *types.Instance) providers.InstanceState {
	if found.State == nil {
		return providers.StatePending
	}
	if state, ok := instanceStates[found.State.Name]; ok {
		return state
	}
	return providers.StateStopping // a state that is not known here is on its way somewhere
}

// offerOf is what an instance says of its offer; it names no price and no
// memory.
func offerOf(found *types.Instance) providers.Offer {
	offer := providers.Offer{
		InstanceType: string(found.InstanceType), Capacity: providers.OnDemand,
		Arch: archOf(string(found.Architecture)), OS: "linux",
	}
	if found.InstanceLifecycle == types.InstanceLifecycleTypeSpot {
		offer.Capacity = providers.Spot
	}
	if found.Placement != nil {
		offer.Zone = aws.ToString(found.Placement.AvailabilityZone)
	}
	if cpu := found.CpuOptions; cpu != nil {
		offer.CPUs = float64(aws.ToInt32(cpu.CoreCount) * aws.ToInt32(cpu.ThreadsPerCore))
	}
	return offer
}

func tagsOf(list []types.Tag) map[string]string {
	tags := make(map[string]string, len(list))
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}
