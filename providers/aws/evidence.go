package aws

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// Evidence implements providers.Provider: two calls for 200 instances.
func (p *Provider) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	const op = "evidence"
	_, s, err := p.begin(ctx, op, fleet)
	if err != nil {
		return nil, err
	}
	real := realIDs(ids)
	instances, err := s.describe(ctx, op, real)
	if err != nil {
		return nil, wrap(op, err)
	}
	requests, err := s.spotRequests(ctx, op, spotIDs(real, instances))
	if err != nil {
		return nil, wrap(op, err)
	}
	found := make([]providers.Evidence, len(ids))
	for i, id := range ids {
		_, endedByUs := p.ended.get(s.region + " " + id)
		found[i] = p.recall(s, evidenceOf(id, sight{instances[id], requests[id], endedByUs}))
	}
	return found, nil
}

// recall prefers what was known of an end before our own call, which may have
// overwritten it.
func (p *Provider) recall(s *session, now providers.Evidence) providers.Evidence {
	before, ok := p.known.get(s.region + " " + now.ID)
	if !ok || now.Cause == providers.EndReclaimed {
		return now
	}
	if now.State != "" {
		before.State = now.State
	}
	if before.Cause == providers.EndNoticed && now.State != providers.StateRunning && now.State != providers.StatePending {
		before.Cause = providers.EndReclaimed
	}
	return before
}

// realIDs are those that can be instances at all, each once.
func realIDs(ids []string) []string {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !instanceID.MatchString(id) })
	slices.Sort(ids)
	return slices.Compact(ids)
}

// spotIDs are those that may have a spot request: spot instances, and what EC2
// has forgotten.
func spotIDs(ids []string, instances map[string]*types.Instance) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		found := instances[id]
		return found != nil && found.InstanceLifecycle != types.InstanceLifecycleTypeSpot
	})
}

// spotRequests finds the spot requests of instances. They stay visible for four
// hours, longer than the instances.
func (s *session) spotRequests(ctx context.Context, op string, ids []string) (map[string]*types.SpotInstanceRequest, error) {
	found := map[string]*types.SpotInstanceRequest{}
	for batch := range slices.Chunk(ids, filterMost) {
		in := &ec2.DescribeSpotInstanceRequestsInput{Filters: []types.Filter{filter("instance-id", batch...)}, MaxResults: aws.Int32(1000)}
		for {
			out, err := ask(ctx, s, call{op, "ec2:DescribeSpotInstanceRequests"}, s.ec2.DescribeSpotInstanceRequests, in)
			if err != nil {
				return nil, err
			}
			for i := range out.SpotInstanceRequests {
				found[aws.ToString(out.SpotInstanceRequests[i].InstanceId)] = &out.SpotInstanceRequests[i]
			}
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				break
			}
		}
	}
	return found, nil
}
