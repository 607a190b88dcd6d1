package aws

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// asked is a launch of two types in two zones.
func asked() *frozen {
	f := &frozen{
		offers: map[providers.Pool]providers.Offer{}, zones: map[string]string{"subnet-a": "za", "subnet-b": "zb"},
		capacity: providers.Spot,
	}
	for _, zone := range []string{"za", "zb"} {
		for _, kind := range []string{"m5.large", "c5.large"} {
			offer := providers.Offer{Zone: zone, InstanceType: kind, Capacity: providers.Spot, Price: 1}
			f.offers[offer.Pool()] = offer
		}
	}
	return f
}

func override(kind, subnet string) *types.LaunchTemplateAndOverridesResponse {
	o := &types.FleetLaunchTemplateOverrides{InstanceType: types.InstanceType(kind)}
	if subnet != "" {
		o.SubnetId = aws.String(subnet)
	}
	return &types.LaunchTemplateAndOverridesResponse{Overrides: o}
}

// TestReadFleet: what EC2 leaves out of its answer is not made up, and what it
// says is put to the right pools.
func TestReadFleet(t *testing.T) {
	given := func(kind, subnet string, ids ...string) types.CreateFleetInstance {
		return types.CreateFleetInstance{InstanceIds: ids, InstanceType: types.InstanceType(kind), LaunchTemplateAndOverrides: override(kind, subnet)}
	}
	failed := func(code string, from *types.LaunchTemplateAndOverridesResponse) types.CreateFleetError {
		return types.CreateFleetError{ErrorCode: aws.String(code), ErrorMessage: aws.String("so it is"), LaunchTemplateAndOverrides: from}
	}
	pool := func(zone, kind string) providers.Pool {
		return providers.Pool{Zone: zone, InstanceType: kind, Capacity: providers.Spot}
	}
	for name, c := range map[string]struct {
		out      ec2.CreateFleetOutput
		rented   int
		failures map[providers.Pool]providers.Code
		fails    providers.Code
	}{
		"all of it": {out: ec2.CreateFleetOutput{Instances: []types.CreateFleetInstance{given("m5.large", "subnet-a", "i-1", "i-2")}}, rented: 2},
		"half of it, for no reason": {
			out:    ec2.CreateFleetOutput{Instances: []types.CreateFleetInstance{given("m5.large", "subnet-a", "i-1")}},
			rented: 1,
			failures: map[providers.Pool]providers.Code{
				pool("zb", "m5.large"): providers.CodeCapacity, pool("za", "c5.large"): providers.CodeCapacity, pool("zb", "c5.large"): providers.CodeCapacity,
			},
		},
		"nothing, for no reason": {failures: map[providers.Pool]providers.Code{
			pool("za", "m5.large"): providers.CodeCapacity, pool("zb", "m5.large"): providers.CodeCapacity,
			pool("za", "c5.large"): providers.CodeCapacity, pool("zb", "c5.large"): providers.CodeCapacity,
		}},
		"a reason told twice": {
			out: ec2.CreateFleetOutput{Errors: []types.CreateFleetError{
				failed("InsufficientInstanceCapacity", override("m5.large", "subnet-a")), failed("InsufficientInstanceCapacity", override("m5.large", "subnet-a")),
			}},
			failures: map[providers.Pool]providers.Code{pool("za", "m5.large"): providers.CodeCapacity},
		},
		"a type without a zone": {
			out:      ec2.CreateFleetOutput{Errors: []types.CreateFleetError{failed("Unsupported", override("c5.large", ""))}},
			failures: map[providers.Pool]providers.Code{pool("za", "c5.large"): providers.CodeUnsupported, pool("zb", "c5.large"): providers.CodeUnsupported},
		},
		"a quota, of no pool": {
			out:      ec2.CreateFleetOutput{Errors: []types.CreateFleetError{failed("MaxSpotInstanceCountExceeded", nil)}},
			failures: map[providers.Pool]providers.Code{{Capacity: providers.Spot}: providers.CodeQuota},
		},
		"nothing, and no permission": {
			out:   ec2.CreateFleetOutput{Errors: []types.CreateFleetError{failed("UnfulfillableCapacity", override("m5.large", "subnet-a")), failed("UnauthorizedOperation", override("c5.large", "subnet-b"))}},
			fails: providers.CodeDenied,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := asked(), &session{}
			result, err := s.readFleet(t.Context(), "launch", f, &c.out, providers.LaunchRequest{Count: 2})
			if providers.CodeOf(err) != c.fails {
				t.Fatalf("%v; want code %q", err, c.fails)
			}
			if len(result.Instances) != c.rented || len(result.Failures) != len(c.failures) {
				t.Fatalf("%+v", result)
			}
			for _, failure := range result.Failures {
				if c.failures[failure.Pool] != failure.Code || failure.Message == "" {
					t.Errorf("%+v", failure)
				}
			}
			for _, instance := range result.Instances {
				if instance.Offer != f.offers[pool("za", "m5.large")] || instance.Launched.IsZero() {
					t.Errorf("%+v", instance)
				}
			}
		})
	}
}

// TestPoolOfAnAnswer: the subnet says the zone; without it, a type that was
// asked for in one zone alone does.
func TestPoolOfAnAnswer(t *testing.T) {
	f := asked()
	delete(f.offers, providers.Pool{Zone: "za", InstanceType: "c5.large", Capacity: providers.Spot})
	for _, c := range []struct{ kind, subnet, want string }{
		{"m5.large", "subnet-b", "zb"}, {"c5.large", "", "zb"}, {"m5.large", "", ""}, {"m5.large", "subnet-x", ""},
	} {
		if got := f.poolOf("", override(c.kind, c.subnet)); got.Zone != c.want || got.InstanceType != c.kind {
			t.Errorf("%s in %q: %+v", c.kind, c.subnet, got)
		}
	}
}
