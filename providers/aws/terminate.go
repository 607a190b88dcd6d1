package aws

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// terminateMost is how many instances one call ends ("TerminateInstances").
const terminateMost = 1000

// ourTags are what an instance bears that a run has launched.
var ourTags = []string{providers.TagBucket, providers.TagRun, providers.TagFleet, providers.TagIntent}

// Terminate implements providers.Provider. What EC2 knows of the instances is
// read before, and remembered, since the call overwrites it.
func (p *Provider) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	const op = "terminate"
	_, s, err := p.begin(ctx, op, fleet)
	if err != nil {
		return err
	}
	ids = realIDs(ids)
	instances, err := s.describe(ctx, op, ids)
	if err != nil {
		return wrap(op, err)
	}
	var living []string
	for _, id := range ids {
		found := instances[id]
		if found == nil {
			continue // gone, or not visible yet: then a listing will show it
		}
		if tags := tagsOf(found.Tags); slices.ContainsFunc(ourTags, func(key string) bool { return tags[key] == "" }) {
			return refuse(op, providers.CodeNotOurs, fmt.Sprintf("%s does not bear spotrelay's tags; nothing was ended", id), "")
		}
		if stateOf(found) != providers.StateTerminated {
			living = append(living, id)
		}
	}
	p.remember(ctx, s, op, living, instances)
	for batch := range slices.Chunk(living, terminateMost) {
		if err := p.end(ctx, s, op, batch); err != nil {
			return wrap(op, err)
		}
	}
	return nil
}

// remember keeps what is known of ends that are under way. To end instances
// matters more: without the knowledge the call is made all the same.
func (p *Provider) remember(ctx context.Context, s *session, op string, ids []string, instances map[string]*types.Instance) {
	requests, err := s.spotRequests(ctx, op, spotIDs(ids, instances))
	if err != nil {
		p.log.Warn("instances are ended without a look at their spot requests", "instances", len(ids), "error", err)
	}
	for _, id := range ids {
		_, endedByUs := p.ended.get(s.region + " " + id)
		e := evidenceOf(id, sight{instances[id], requests[id], endedByUs})
		switch e.Cause {
		case providers.EndRunning, providers.EndUnknown, providers.EndByUs:
		default:
			p.known.put(s.region+" "+id, e)
		}
	}
}

// namedIDs are instance ids in the words of an error: it names those that EC2
// does not know, and has ended none.
var namedIDs = regexp.MustCompile(`i-[0-9a-f]{8,17}`)

// end ends a batch. What EC2 does not know is dropped, and the rest asked for
// again.
func (p *Provider) end(ctx context.Context, s *session, op string, ids []string) error {
	for len(ids) > 0 {
		_, err := ask(ctx, s, call{op, "ec2:TerminateInstances"}, s.ec2.TerminateInstances, &ec2.TerminateInstancesInput{InstanceIds: ids})
		var refused *fault
		switch {
		case err == nil:
			for _, id := range ids {
				p.ended.put(s.region+" "+id, time.Now())
			}
			return nil
		case !codeIs(err, "InvalidInstanceID.NotFound") || !errors.As(err, &refused):
			return err
		}
		gone := namedIDs.FindAllString(refused.Message, -1)
		left := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(gone, id) })
		if len(left) == len(ids) {
			if len(ids) == 1 {
				return nil
			}
			return errors.Join(p.end(ctx, s, op, ids[:len(ids)/2]), p.end(ctx, s, op, ids[len(ids)/2:]))
		}
		ids = left
	}
	return nil
}
