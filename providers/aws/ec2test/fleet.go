package ec2test

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// Bounds of a fleet (EC2 User Guide, "Fleet quotas").
const (
	mostOverrides = 300
	mostCapacity  = 10000
)

// candidate is an override with the template that it is over.
type candidate struct {
	launch
	specification model.Values
	overrides     model.Values
	priority      float64
	price         float64
}

func (s *Server) createFleet(input model.Values) (model.Values, *apiError) {
	if refused := checkFleet(input); refused != nil {
		return nil, refused
	}
	target := input.Struct("TargetCapacitySpecification")
	candidates, refused := s.candidates(input, target.String("DefaultTargetCapacityType"))
	if refused != nil {
		return nil, refused
	}
	place := placeOf(candidates)
	if before, refused := s.recall("CreateFleet", place, input); before != nil || refused != nil {
		return before, refused
	}
	if input.Bool("DryRun") {
		return nil, dryRun()
	}
	answer := s.fulfil(input, candidates, target.Int("TotalTargetCapacity"))
	s.remember("CreateFleet", place, input, answer)
	return answer, nil
}

// checkFleet holds a request to the rules beside the model.
func checkFleet(input model.Values) *apiError {
	target := input.Struct("TargetCapacitySpecification")
	total := target.Int("TotalTargetCapacity")
	switch kind := target.String("DefaultTargetCapacityType"); {
	case input.String("Type") != "instant":
		return violate("InvalidParameterValue", "the server has fleets of type instant alone, not '%s'", input.String("Type"))
	case total < 1 || total > mostCapacity:
		return violate("InvalidTargetCapacitySpecification", "TotalTargetCapacity is %d, not 1 to %d", total, mostCapacity)
	case kind != "spot" && kind != "on-demand":
		return violate("InvalidTargetCapacitySpecification", "the server needs a DefaultTargetCapacityType of spot or on-demand, not '%s'", kind)
	case target.Has("SpotTargetCapacity") && target.Has("OnDemandTargetCapacity") && target.Int("SpotTargetCapacity")+target.Int("OnDemandTargetCapacity") != total:
		return violate("InvalidTargetCapacitySpecification", "The parts do not add up to TotalTargetCapacity")
	case input.Has("TerminateInstancesWithExpiration"), input.Has("ExcessCapacityTerminationPolicy"):
		return violate("InvalidParameterCombination", "An instant fleet has neither an expiration nor an excess capacity policy")
	}
	overrides := 0
	for _, config := range input.Structs("LaunchTemplateConfigs") {
		overrides += len(config.Structs("Overrides"))
	}
	if overrides > mostOverrides {
		return violate("InvalidFleetConfig", "%d overrides; %d are allowed", overrides, mostOverrides)
	}
	return nil
}

// candidates are the pools that a request names.
func (s *Server) candidates(input model.Values, lifecycle string) ([]candidate, *apiError) {
	tags, refused := readTagSpecifications(input, "fleet", "instance", "volume")
	if refused != nil {
		return nil, refused
	}
	var all []candidate
	zones := map[string]string{} // subnet by zone
	for _, config := range input.Structs("LaunchTemplateConfigs") {
		specification := config.Struct("LaunchTemplateSpecification")
		t, refused := s.findTemplate(specification)
		if refused != nil {
			return nil, refused
		}
		v, refused := t.version(specification.String("Version"))
		if refused != nil {
			return nil, refused
		}
		if v.data.Has("InstanceMarketOptions") {
			return nil, violate("InvalidFleetConfig", "The launch template must not have market options")
		}
		overrides := config.Structs("Overrides")
		if len(overrides) == 0 {
			overrides = []model.Values{{}}
		}
		for _, o := range overrides {
			c, refused := s.candidate(o, v, lifecycle)
			if refused != nil {
				return nil, refused
			}
			if other := zones[c.pool.Zone]; other != "" && other != c.subnet.id {
				return nil, violate("InvalidFleetConfig", "The fleet configuration contains several subnets in the zone %s", c.pool.Zone)
			}
			zones[c.pool.Zone] = c.subnet.id
			c.specification, c.clientToken = specification, input.String("ClientToken")
			c.tags = withTags(v.data, "instance", tags["instance"])
			c.spotTags = templateTags(v.data, "spot-instances-request")
			all = append(all, c)
		}
	}
	return all, nil
}

func (s *Server) candidate(o model.Values, v *templateVersion, lifecycle string) (candidate, *apiError) {
	c := candidate{overrides: o, priority: o.Float("Priority")}
	c.data, c.maxPrice = v.data, o.String("MaxPrice")
	c.image = cmp.Or(o.String("ImageId"), v.data.String("ImageId"))
	c.pool = Pool{Zone: o.String("AvailabilityZone"), InstanceType: cmp.Or(o.String("InstanceType"), v.data.String("InstanceType")), Lifecycle: lifecycle}
	if c.pool.InstanceType == "" {
		return c, violate("InvalidFleetConfig", "An override names no instance type, and neither does the template")
	}
	if o.Has("InstanceRequirements") {
		return c, violate("InvalidParameterValue", "the server does not know InstanceRequirements")
	}
	where := model.Values{"NetworkInterfaces": v.data["NetworkInterfaces"], "SubnetId": o["SubnetId"]}
	if refused := s.place(&c.launch, where); refused != nil {
		return c, refused
	}
	kind, known := s.typeNamed(c.pool.InstanceType)
	if known {
		c.price = kind.OnDemand
		if lifecycle == "spot" {
			c.price = s.spotPrice(kind, c.pool.Zone)
		}
	}
	return c, nil
}

// placeOf is the zones of a request: its token is only known in them.
func placeOf(candidates []candidate) string {
	zones := map[string]bool{}
	for _, c := range candidates {
		zones[c.pool.Zone] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(zones)), ",")
}

// fulfil launches what there is room for, in the order of the strategy.
func (s *Server) fulfil(input model.Values, candidates []candidate, total int) model.Values {
	lifecycle := candidates[0].pool.Lifecycle
	options := input.Struct("OnDemandOptions")
	if lifecycle == "spot" {
		options = input.Struct("SpotOptions")
	}
	byPriority := strings.Contains(options.String("AllocationStrategy"), "prioritized")
	slices.SortStableFunc(candidates, func(a, b candidate) int {
		if byPriority {
			return cmp.Compare(a.priority, b.priority)
		}
		return cmp.Compare(a.price, b.price)
	})
	type part struct {
		candidate
		count int
	}
	var parts []part
	failures := []any{}
	left := total
	for _, c := range candidates {
		if left == 0 {
			break
		}
		count, refused := 0, s.refusal("CreateFleet", c.launch)
		if refused == nil {
			kind, _ := s.typeNamed(c.pool.InstanceType)
			count, refused = s.room(c.launch, kind, left)
		}
		if refused != nil {
			failures = append(failures, c.describe(lifecycle, model.Values{"ErrorCode": refused.Code, "ErrorMessage": refused.Message}))
			if refused.violation {
				s.violations = append(s.violations, "ec2:CreateFleet: "+refused.Error())
			}
		}
		if count > 0 {
			parts, left = append(parts, part{c, count}), left-count
		}
	}
	launched := []any{}
	if total-left >= options.Int("MinTargetCapacity") {
		for _, p := range parts {
			ids := []any{}
			for _, i := range s.start(p.launch, p.count) {
				ids = append(ids, i.id)
			}
			launched = append(launched, p.describe(lifecycle, model.Values{"InstanceIds": ids, "InstanceType": p.pool.InstanceType}))
		}
	}
	return model.Values{"FleetId": "fleet-" + s.newUUID(), "Instances": launched, "Errors": failures}
}

// describe is where in the request something belongs.
func (c candidate) describe(lifecycle string, what model.Values) model.Values {
	overrides := maps.Clone(c.overrides)
	overrides["AvailabilityZone"] = c.pool.Zone
	what["Lifecycle"] = lifecycle
	what["LaunchTemplateAndOverrides"] = model.Values{"LaunchTemplateSpecification": c.specification, "Overrides": overrides}
	return what
}
