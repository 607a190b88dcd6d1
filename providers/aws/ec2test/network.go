package ec2test

import (
	"fmt"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// network is the account's default VPC and what is in it.
type network struct {
	vpc     string
	group   string
	keyPair string
	subnets []*subnet
}

type subnet struct {
	id   string
	zone string
	cidr string
	free int // addresses
}

// addresses of a subnet of 20 bits, less the five that AWS keeps.
const addresses = 4096 - 5

func newNetwork(o Options) network {
	n := network{vpc: "vpc-0a1b2c3d4e5f60718", group: "sg-0a1b2c3d4e5f60718", keyPair: "relay"}
	for i, letter := range o.Zones {
		n.subnets = append(n.subnets, &subnet{
			id: fmt.Sprintf("subnet-0a1b2c3d4e5f6071%d", i), zone: o.Region + letter,
			cidr: fmt.Sprintf("172.31.%d.0/20", 16*i), free: addresses,
		})
	}
	return n
}

// Subnet is the id of a zone's subnet, "" for an unknown zone.
func (s *Server) Subnet(zone string) string {
	for _, sub := range s.network.subnets {
		if sub.zone == zone {
			return sub.id
		}
	}
	return ""
}

// SecurityGroup is the id of the one security group.
func (s *Server) SecurityGroup() string { return s.network.group }

// SetFreeAddresses of a zone's subnet.
func (s *Server) SetFreeAddresses(zone string, free int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.network.subnets {
		if sub.zone == zone {
			sub.free = free
		}
	}
}

func (n network) subnetNamed(id string) *subnet {
	i := slices.IndexFunc(n.subnets, func(sub *subnet) bool { return sub.id == id })
	if i < 0 {
		return nil
	}
	return n.subnets[i]
}

func (n network) subnetIn(zone string) *subnet {
	i := slices.IndexFunc(n.subnets, func(sub *subnet) bool { return sub.zone == zone })
	if i < 0 {
		return nil
	}
	return n.subnets[i]
}

func (s *Server) describeZones(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "zone-name", "state", "region-name", "zone-type", "opt-in-status")
	if refused != nil {
		return nil, refused
	}
	list := []any{}
	for i, zone := range s.zones() {
		have := attributes{"zone-name": {zone}, "state": {"available"}, "region-name": {s.options.Region}, "zone-type": {"availability-zone"}, "opt-in-status": {"opt-in-not-required"}}
		if names := input.Strings("ZoneNames"); all.match(have) && (len(names) == 0 || slices.Contains(names, zone)) {
			list = append(list, model.Values{
				"ZoneName": zone, "ZoneId": fmt.Sprintf("use1-az%d", i+1), "State": "available", "RegionName": s.options.Region,
				"ZoneType": "availability-zone", "OptInStatus": "opt-in-not-required",
			})
		}
	}
	return model.Values{"AvailabilityZones": list}, nil
}

func (s *Server) describeSubnets(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "tag", "tag-key", "subnet-id", "vpc-id", "availability-zone", "default-for-az", "state")
	if refused != nil {
		return nil, refused
	}
	wanted := input.Strings("SubnetIds")
	for _, id := range wanted {
		if s.network.subnetNamed(id) == nil {
			return nil, refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
		}
	}
	matching := []*subnet{}
	for _, sub := range s.network.subnets {
		have := attributes{"subnet-id": {sub.id}, "vpc-id": {s.network.vpc}, "availability-zone": {sub.zone}, "default-for-az": {"true"}, "state": {"available"}}
		if (len(wanted) == 0 || slices.Contains(wanted, sub.id)) && all.match(have) {
			matching = append(matching, sub)
		}
	}
	part, next, refused := page(matching, input, 5, 1000)
	if refused != nil {
		return nil, refused
	}
	list := []any{}
	for _, sub := range part {
		list = append(list, model.Values{
			"SubnetId": sub.id, "VpcId": s.network.vpc, "AvailabilityZone": sub.zone, "CidrBlock": sub.cidr,
			"AvailableIpAddressCount": int64(sub.free), "DefaultForAz": true, "State": "available",
			"MapPublicIpOnLaunch": true, "OwnerId": Account,
		})
	}
	return model.Values{"Subnets": list, "NextToken": next}, nil
}

func (s *Server) describeVpcs(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "tag", "vpc-id", "is-default", "state")
	if refused != nil {
		return nil, refused
	}
	list := []any{}
	if all.match(attributes{"vpc-id": {s.network.vpc}, "is-default": {"true"}, "state": {"available"}}) {
		list = append(list, model.Values{"VpcId": s.network.vpc, "IsDefault": true, "State": "available", "CidrBlock": "172.31.0.0/16"})
	}
	return model.Values{"Vpcs": list}, nil
}

func (s *Server) describeSecurityGroups(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "tag", "group-id", "group-name", "vpc-id")
	if refused != nil {
		return nil, refused
	}
	for _, id := range input.Strings("GroupIds") {
		if id != s.network.group {
			return nil, refuse("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
		}
	}
	list := []any{}
	if all.match(attributes{"group-id": {s.network.group}, "group-name": {"default"}, "vpc-id": {s.network.vpc}}) {
		list = append(list, model.Values{"GroupId": s.network.group, "GroupName": "default", "VpcId": s.network.vpc, "Description": "default VPC security group", "OwnerId": Account})
	}
	return model.Values{"SecurityGroups": list}, nil
}

func (s *Server) describeKeyPairs(input model.Values) (model.Values, *apiError) {
	for _, name := range input.Strings("KeyNames") {
		if name != s.network.keyPair {
			return nil, refuse("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", name)
		}
	}
	return model.Values{"KeyPairs": []any{model.Values{"KeyName": s.network.keyPair, "KeyPairId": "key-0a1b2c3d4e5f60718", "CreateTime": time.Unix(1700000000, 0)}}}, nil
}
