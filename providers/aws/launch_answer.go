package aws

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// readFleet reads CreateFleet's answer: instances, and why they are fewer than
// asked for. When there are none and AWS names a reason that nothing can pass
// by, the whole call has failed.
func (s *session) readFleet(ctx context.Context, op string, f *frozen, out *ec2.CreateFleetOutput, r providers.LaunchRequest) (providers.LaunchResult, error) {
	result := providers.LaunchResult{Failures: slices.Clone(f.failures)}
	launched, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		launched = time.Now()
	}
	given := map[providers.Pool]bool{}
	for i := range out.Instances {
		group := &out.Instances[i]
		pool := f.poolOf(group.InstanceType, group.LaunchTemplateAndOverrides)
		given[pool] = true
		for _, id := range group.InstanceIds {
			result.Instances = append(result.Instances, providers.Instance{
				ID: id, Offer: f.offers[pool], State: providers.StatePending, Tags: r.Tags,
				Launched: launched.UTC(), Where: where(s.region, id),
			})
		}
	}
	failures, final := s.readErrors(op, f, out.Errors, given)
	result.Failures = append(result.Failures, failures...)
	if len(result.Instances) == 0 && final != nil {
		return providers.LaunchResult{}, final
	}
	if len(result.Instances) < r.Count && len(result.Failures) == 0 {
		message := fmt.Sprintf("EC2 gave %d of %d instances and no reason", len(result.Instances), r.Count)
		result.Failures = f.blame(given, providers.CodeCapacity, message)
	}
	if s.unplaced(result.Instances) {
		s.place(ctx, op, f, result.Instances)
	}
	return result, nil
}

// poolOf is the pool of an answer's template and override: the subnet is the
// one that was asked for. Empty zone: it does not say.
func (f *frozen) poolOf(instanceType types.InstanceType, from *types.LaunchTemplateAndOverridesResponse) providers.Pool {
	pool := providers.Pool{InstanceType: string(instanceType), Capacity: f.capacity}
	if from != nil && from.Overrides != nil {
		pool.InstanceType = orElse(pool.InstanceType, string(from.Overrides.InstanceType))
		pool.Zone = orElse(f.zones[aws.ToString(from.Overrides.SubnetId)], aws.ToString(from.Overrides.AvailabilityZone))
	}
	if pool.Zone != "" || pool.InstanceType == "" {
		return pool
	}
	var only []providers.Pool
	for each := range f.offers {
		if each.InstanceType == pool.InstanceType {
			only = append(only, each)
		}
	}
	if len(only) == 1 {
		return only[0]
	}
	return pool
}

// readErrors makes failures of the answer's errors, one of each kind for a
// pool, and the error of the call if one of them is final.
func (s *session) readErrors(op string, f *frozen, errs []types.CreateFleetError, given map[providers.Pool]bool) ([]providers.Failure, error) {
	var failures []providers.Failure
	var final error
	for i := range errs {
		e := &errs[i]
		code := aws.ToString(e.ErrorCode)
		failure := providers.Failure{Code: providers.CodeUnavailable, Message: code + ": " + aws.ToString(e.ErrorMessage)}
		m, known := poolMeaningOf(code)
		if known {
			failure.Code = m.code
		}
		if isTemplateGone(code) {
			s.forgetTemplates(f)
			failure.Code = providers.CodeUnavailable
		}
		var pool providers.Pool
		if e.LaunchTemplateAndOverrides != nil {
			pool = f.poolOf("", e.LaunchTemplateAndOverrides)
			if failure.Code == providers.CodeSubnet && e.LaunchTemplateAndOverrides.Overrides != nil {
				s.full.put(aws.ToString(e.LaunchTemplateAndOverrides.Overrides.SubnetId), struct{}{})
			}
		}
		if failure.Code.Final() && final == nil {
			final = asFinal(op, failure, m.hint)
		}
		for _, pool := range f.pools(pool, failure.Code, given) {
			failure.Pool = pool
			if !slices.Contains(failures, failure) {
				failures = append(failures, failure)
			}
		}
	}
	return failures, final
}

func asFinal(op string, failure providers.Failure, hint string) error {
	e := providers.Error{Code: failure.Code, Op: op, Call: "ec2:CreateFleet", Message: failure.Message, Hint: hint}
	if e.Code == providers.CodeDenied {
		e = denied(e)
	}
	return &e
}

// pools that an error is about: the one it names; the region where it is a
// quota's; else all that were asked for and gave nothing.
func (f *frozen) pools(named providers.Pool, code providers.Code, given map[providers.Pool]bool) []providers.Pool {
	if _, asked := f.offers[named]; asked {
		return []providers.Pool{named}
	}
	if code == providers.CodeQuota {
		return []providers.Pool{{Capacity: f.capacity}}
	}
	var pools []providers.Pool
	for _, failure := range f.blame(given, code, "") {
		if named.InstanceType == "" || failure.Pool.InstanceType == named.InstanceType {
			pools = append(pools, failure.Pool)
		}
	}
	return pools
}

// blame is a failure of each pool that gave nothing; of every pool if each gave
// something.
func (f *frozen) blame(given map[providers.Pool]bool, code providers.Code, message string) []providers.Failure {
	var blamed, all []providers.Failure
	for _, pool := range sortedPools(f.offers) {
		failure := providers.Failure{Pool: pool, Code: code, Message: message}
		all = append(all, failure)
		if !given[pool] {
			blamed = append(blamed, failure)
		}
	}
	if len(blamed) == 0 {
		return all
	}
	return blamed
}

func sortedPools(offers map[providers.Pool]providers.Offer) []providers.Pool {
	byName := map[string]providers.Pool{}
	for pool := range offers {
		byName[pool.Zone+" "+pool.InstanceType] = pool
	}
	var pools []providers.Pool
	for _, name := range sortedKeys(byName) {
		pools = append(pools, byName[name])
	}
	return pools
}

// unplaced reports whether the answer left an instance's pool open.
func (s *session) unplaced(instances []providers.Instance) bool {
	return slices.ContainsFunc(instances, func(i providers.Instance) bool { return i.Offer.Zone == "" })
}

// place finds out where instances are; one that is not visible yet is taken to
// be of the first pool, so that it is not lost.
func (s *session) place(ctx context.Context, op string, f *frozen, instances []providers.Instance) {
	ids := make([]string, len(instances))
	for i := range instances {
		ids[i] = instances[i].ID
	}
	found, err := s.describe(ctx, op, ids)
	for i := range instances {
		instance := &instances[i]
		if instance.Offer.Zone != "" {
			continue
		}
		if described := found[instance.ID]; err == nil && described != nil {
			offer := offerOf(described)
			if asked, ok := f.offers[offer.Pool()]; ok {
				offer = asked
			}
			instance.Offer = offer
		} else if pools := sortedPools(f.offers); len(pools) > 0 {
			instance.Offer = f.offers[pools[0]]
		}
	}
}

// where is the instance's page in the console.
func where(region, id string) string {
	return "https://" + region + ".console.aws.amazon.com/ec2/home?region=" + region + "#InstanceDetails:instanceId=" + id
}
