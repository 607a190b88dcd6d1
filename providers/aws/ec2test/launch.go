package ec2test

import (
	"maps"
	"slices"
	"strconv"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// launch is one pool's part of a launch.
type launch struct {
	pool        Pool
	subnet      *subnet
	image       string
	maxPrice    string
	data        model.Values // of the template or of RunInstances
	tags        map[string]string
	spotTags    map[string]string
	clientToken string
}

// refusal is why a pool gives nothing at all, nil when it may.
func (s *Server) refusal(operation string, l launch) *apiError {
	kind, known := s.typeNamed(l.pool.InstanceType)
	if fault := s.takeFault(operation, &l.pool); fault != nil && !fault.LoseAnswer {
		return fault.refusal()
	}
	if s.denied["ec2:RunInstances"] {
		return unauthorized("ec2:RunInstances")
	}
	if len(l.tags) > 0 && s.denied["ec2:CreateTags"] {
		return unauthorized("ec2:CreateTags")
	}
	if l.data.Has("IamInstanceProfile") && s.denied["iam:PassRole"] {
		return unauthorized("iam:PassRole")
	}
	image := imageNamed(l.image)
	spot := l.pool.Lifecycle == "spot"
	switch {
	case !known:
		return refuse("InvalidParameterValue", "Invalid value '%s' for InstanceType.", l.pool.InstanceType)
	case !kind.in(l.pool.Zone):
		return refuse("Unsupported", "Your requested instance type (%s) is not supported in your requested Availability Zone (%s).", kind.Name, l.pool.Zone)
	case spot && kind.Spot == 0:
		return refuse("Unsupported", "The requested configuration is currently not supported. Spot is not offered for %s.", kind.Name)
	case image == nil:
		return refuse("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", l.image)
	case image.arch != kind.Arch:
		return violate("InvalidParameterValue", "The architecture '%s' of the specified instance type does not match the architecture '%s' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.", kind.Arch, image.arch)
	}
	if limit, err := strconv.ParseFloat(l.maxPrice, 64); spot && l.maxPrice != "" && (err != nil || limit < s.spotPrice(kind, l.pool.Zone)) {
		return refuse("SpotMaxPriceTooLow", "Your Spot request price of %s is lower than the minimum required Spot request fulfillment price of %.4f.", l.maxPrice, s.spotPrice(kind, l.pool.Zone))
	}
	return nil
}

// room is how many of count a pool has room for, and why it is fewer.
func (s *Server) room(l launch, kind InstanceType, count int) (int, *apiError) {
	var refused *apiError
	if left, bounded := s.capacity[l.pool]; bounded && left < count {
		count, refused = max(0, left), refuse("InsufficientInstanceCapacity", "We currently do not have sufficient %s capacity in the Availability Zone you requested (%s). Our system will be working on provisioning additional capacity.", kind.Name, l.pool.Zone)
	}
	if l.subnet.free < count {
		count, refused = l.subnet.free, refuse("InsufficientFreeAddressesInSubnet", "There are not enough free addresses in subnet '%s' to satisfy the requested number of instances.", l.subnet.id)
	}
	key := quotaKey{kind.family(), l.pool.Lifecycle}
	if left := int(s.quotas[quotaCodes[key]]-s.used(key)) / kind.VCPUs; left < count {
		count, refused = max(0, left), refuse("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
		if key.lifecycle != "spot" {
			refused = refuse("VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of %v allows for the instance bucket that the specified instance type belongs to.", s.quotas[quotaCodes[key]])
		}
	}
	return count, refused
}

// used vCPUs of a quota; those of an instance that is shutting down count.
func (s *Server) used(key quotaKey) (vcpus float64) {
	now := s.clock.now()
	for _, i := range s.instances {
		if (quotaKey{i.kind.family(), i.pool.Lifecycle}) == key && i.state(now) != "terminated" {
			vcpus += float64(i.kind.VCPUs)
		}
	}
	return vcpus
}

// start makes instances that there is room for.
func (s *Server) start(l launch, count int) []*instance {
	kind, _ := s.typeNamed(l.pool.InstanceType)
	now := s.clock.now()
	reservation := s.newID("r")
	if left, bounded := s.capacity[l.pool]; bounded {
		s.capacity[l.pool] = left - count
	}
	l.subnet.free -= count
	var started []*instance
	for range count {
		i := &instance{
			id: s.newID("i"), reservation: reservation, kind: kind, pool: l.pool, subnet: l.subnet.id, image: l.image,
			launched: now, listed: now.Add(s.options.ListLag), runs: now.Add(s.options.Boot),
			clientToken: l.clientToken, tags: maps.Clone(l.tags), data: l.data, fails: s.takeBootFailure(l.pool), serial: s.serial,
		}
		if i.tags == nil {
			i.tags = map[string]string{}
		}
		if l.pool.Lifecycle == "spot" {
			i.spot = s.newSpotRequest(s.spotPrice(kind, l.pool.Zone), l.spotTags)
		}
		s.instances, s.byID[i.id] = append(s.instances, i), i
		if s.options.Machines != nil && i.fails == nil {
			s.startMachine(i)
		}
		started = append(started, i)
	}
	return started
}

// templateTags are the tags that a template gives to a type of resource.
func templateTags(data model.Values, kind string) map[string]string {
	tags := map[string]string{}
	for _, specification := range data.Structs("TagSpecifications") {
		if specification.String("ResourceType") == kind {
			for _, tag := range specification.Structs("Tags") {
				tags[tag.String("Key")] = tag.String("Value")
			}
		}
	}
	return tags
}

// withTags are the tags of a template with those of the call over them.
func withTags(data model.Values, kind string, over map[string]string) map[string]string {
	tags := templateTags(data, kind)
	maps.Copy(tags, over)
	return tags
}

func (s *Server) runInstances(input model.Values) (model.Values, *apiError) {
	data, refused := s.runData(input)
	if refused != nil {
		return nil, refused
	}
	tags, refused := readTagSpecifications(input, "instance", "volume", "network-interface", "spot-instances-request", "elastic-gpu")
	if refused != nil {
		return nil, refused
	}
	l := launch{
		pool:  Pool{Zone: input.Struct("Placement").String("AvailabilityZone"), InstanceType: data.String("InstanceType"), Lifecycle: "on-demand"},
		image: data.String("ImageId"), data: data, clientToken: input.String("ClientToken"),
		tags: withTags(data, "instance", tags["instance"]), spotTags: withTags(data, "spot-instances-request", tags["spot-instances-request"]),
	}
	if market := data.Struct("InstanceMarketOptions"); market.String("MarketType") == "spot" {
		l.pool.Lifecycle, l.maxPrice = "spot", market.Struct("SpotOptions").String("MaxPrice")
	}
	if refused := s.place(&l, data); refused != nil {
		return nil, refused
	}
	if before, refused := s.recall("RunInstances", l.pool.Zone, input); before != nil || refused != nil {
		return before, refused
	}
	if refused := s.refusal("RunInstances", l); refused != nil {
		return nil, refused
	}
	if input.Bool("DryRun") {
		return nil, dryRun()
	}
	kind, _ := s.typeNamed(l.pool.InstanceType)
	least, most := input.Int("MinCount"), input.Int("MaxCount")
	if least < 1 || most < least {
		return nil, violate("InvalidParameterValue", "MinCount is %d and MaxCount %d", least, most)
	}
	count, refused := s.room(l, kind, most)
	if count < least {
		return nil, refused
	}
	started := s.start(l, count)
	list := []any{}
	for _, i := range started {
		list = append(list, i.describe(s))
	}
	answer := model.Values{"ReservationId": started[0].reservation, "OwnerId": Account, "Instances": list}
	s.remember("RunInstances", l.pool.Zone, input, answer)
	return answer, nil
}

// runData is what RunInstances says, over the template that it names.
func (s *Server) runData(input model.Values) (model.Values, *apiError) {
	if refused := s.checkLaunchData(input); refused != nil {
		return nil, refused
	}
	data := model.Values{}
	if specification := input.Struct("LaunchTemplate"); specification != nil {
		t, refused := s.findTemplate(specification)
		if refused != nil {
			return nil, refused
		}
		v, refused := t.version(specification.String("Version"))
		if refused != nil {
			return nil, refused
		}
		maps.Copy(data, v.data)
	}
	for name, value := range input {
		if name != "TagSpecifications" { // they add up
			data[name] = value
		}
	}
	for _, name := range []string{"ImageId", "InstanceType"} {
		if !data.Has(name) {
			return nil, violate("MissingParameter", "The request must contain the parameter %s", name)
		}
	}
	return data, nil
}

// place finds the subnet of a launch, the first one where nothing says which.
func (s *Server) place(l *launch, data model.Values) *apiError {
	id := data.String("SubnetId")
	for _, one := range data.Structs("NetworkInterfaces") {
		if one.String("SubnetId") != "" {
			id = one.String("SubnetId")
		}
	}
	switch {
	case id != "":
		l.subnet = s.network.subnetNamed(id)
		if l.subnet == nil {
			return refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
		}
	case l.pool.Zone != "":
		l.subnet = s.network.subnetIn(l.pool.Zone)
		if l.subnet == nil {
			return refuse("InvalidParameterValue", "Invalid availability zone: [%s]", l.pool.Zone)
		}
	default:
		i := slices.IndexFunc(s.network.subnets, func(sub *subnet) bool {
			kind, known := s.typeNamed(l.pool.InstanceType)
			return !known || kind.in(sub.zone)
		})
		l.subnet = s.network.subnets[max(0, i)]
	}
	if l.pool.Zone != "" && l.pool.Zone != l.subnet.zone {
		return violate("InvalidParameterValue", "The zone %s is not that of the subnet %s", l.pool.Zone, l.subnet.id)
	}
	l.pool.Zone = l.subnet.zone
	return nil
}
