package aws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	networkLife = 10 * time.Minute
	// crowdedLife is how long a subnet without free addresses comes last.
	crowdedLife = 5 * time.Minute
	// filterMost is how many values AWS takes in one filter.
	filterMost = 200
)

// subnet of a fleet.
type subnet struct {
	id, zone, vpc string
	free          int // addresses
}

// crowded are subnets that had no addresses a short while ago.
type crowded struct{ memory[struct{}] }

// network is the fleet's subnets, or those of the default VPC, by id.
func (s *session) network(ctx context.Context, op string, c config) ([]subnet, error) {
	return s.networks.get(ctx, networkKey(c), networkLife, func(ctx context.Context) ([]subnet, error) {
		in := &ec2.DescribeSubnetsInput{SubnetIds: c.Subnets}
		if len(c.Subnets) == 0 {
			in.Filters = []types.Filter{filter("default-for-az", "true"), filter("state", "available")}
		}
		var subnets []subnet
		for {
			out, err := ask(ctx, s, call{op, "ec2:DescribeSubnets"}, s.ec2.DescribeSubnets, in)
			if err != nil {
				return nil, err
			}
			for i := range out.Subnets {
				found := &out.Subnets[i]
				subnets = append(subnets, subnet{
					id: aws.ToString(found.SubnetId), zone: aws.ToString(found.AvailabilityZone),
					vpc: aws.ToString(found.VpcId), free: int(aws.ToInt32(found.AvailableIpAddressCount)),
				})
			}
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				break
			}
		}
		if len(subnets) == 0 {
			return nil, refuse(op, providers.CodeConfiguration, "the region "+s.region+" has no default VPC with subnets", "give the fleet subnets")
		}
		slices.SortFunc(subnets, func(a, b subnet) int { return strings.Compare(a.id, b.id) })
		return subnets, nil
	})
}

func zonesOf(subnets []subnet) []string {
	var zones []string
	for _, s := range subnets {
		zones = append(zones, s.zone)
	}
	slices.Sort(zones)
	return slices.Compact(zones)
}

// subnetFor chooses one subnet in each zone: a fleet's request takes no two of
// a zone. Launches are spread by their tokens; a subnet that had no addresses
// lately comes last.
func (s *session) subnetFor(subnets []subnet, token string) map[string]subnet {
	rank := func(n subnet) string {
		sum := sha256.Sum256([]byte(token + " " + n.id))
		_, full := s.full.get(n.id)
		if full {
			return "1" + hex.EncodeToString(sum[:8])
		}
		return "0" + hex.EncodeToString(sum[:8])
	}
	chosen := map[string]subnet{}
	for _, n := range subnets {
		if best, ok := chosen[n.zone]; !ok || rank(n) < rank(best) {
			chosen[n.zone] = n
		}
	}
	return chosen
}

// filter of a Describe call.
func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}

func networkKey(c config) string { return strings.Join(c.Subnets, ",") }
