package aws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// codeDryRun is what AWS answers to a call with DryRun that would have
// succeeded.
const codeDryRun = "DryRunOperation"

// tryLaunch has AWS look at a launch, its template and its fleet.
func (x *examination) tryLaunch(ctx context.Context, offer providers.Offer) {
	in, err := x.dryInstance(ctx, offer)
	if !x.note(err, "A launch cannot be prepared") {
		return
	}
	run := call{x.op, "ec2:RunInstances"}
	_, err = ask(ctx, x.s, run, x.s.ec2.RunInstances, in)
	if !wouldSucceed(err) {
		var path []string
		if in.IamInstanceProfile != nil && x.withoutProfile(ctx, run, in) {
			path = []string{"instance_profile"}
		}
		x.note(err, "EC2 would refuse a launch", path...)
		return
	}
	_, err = ask(ctx, x.s, call{x.op, "ec2:CreateLaunchTemplate"}, x.s.ec2.CreateLaunchTemplate, &ec2.CreateLaunchTemplateInput{
		DryRun: aws.Bool(true), LaunchTemplateName: aws.String(templatePrefix + "check"),
		LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: in.ImageId},
		TagSpecifications:  tagged(x.tags(), types.ResourceTypeLaunchTemplate),
	})
	if !wouldSucceed(err) && !x.note(err, "EC2 would refuse a launch template") {
		return
	}
	_, err = ask(ctx, x.s, call{x.op, "ec2:CreateFleet"}, x.s.ec2.CreateFleet, &ec2.CreateFleetInput{
		DryRun: aws.Bool(true), Type: types.FleetTypeInstant, TagSpecifications: tagAtCreation(x.c, x.tags()),
		TargetCapacitySpecification: &types.TargetCapacitySpecificationRequest{
			TotalTargetCapacity: aws.Int32(1), DefaultTargetCapacityType: types.DefaultTargetCapacityTypeSpot,
		},
		LaunchTemplateConfigs: []types.FleetLaunchTemplateConfigRequest{{
			LaunchTemplateSpecification: &types.FleetLaunchTemplateSpecificationRequest{
				LaunchTemplateName: aws.String(templatePrefix + "check"), Version: aws.String(templateVersion),
			},
			Overrides: []types.FleetLaunchTemplateOverridesRequest{{InstanceType: in.InstanceType, SubnetId: in.SubnetId}},
		}},
	})
	if !wouldSucceed(err) && !isTemplateGone(codeOf(err)) { // its template was not made
		x.note(err, "EC2 would refuse a fleet")
	}
}

// withoutProfile reports whether a refused launch would succeed without the
// instance profile, so that this is what is wrong.
func (x *examination) withoutProfile(ctx context.Context, c call, in *ec2.RunInstancesInput) bool {
	without := *in
	without.IamInstanceProfile = nil
	_, err := ask(ctx, x.s, c, x.s.ec2.RunInstances, &without)
	return wouldSucceed(err)
}

// tags are those that a launch would bear: a policy may allow what bears them
// and nothing else.
func (x *examination) tags() map[string]string {
	return templateTags(x.c, map[string]string{providers.TagBucket: "check", providers.TagRun: "check"})
}

func tagged(tags map[string]string, kinds ...types.ResourceType) (specs []types.TagSpecification) {
	for _, kind := range kinds {
		specs = append(specs, types.TagSpecification{ResourceType: kind, Tags: tagList(tags)})
	}
	return specs
}

func wouldSucceed(err error) bool { return err == nil || codeIs(err, codeDryRun) }

// dryInstance is one spot instance of the offer, never made.
func (x *examination) dryInstance(ctx context.Context, offer providers.Offer) (*ec2.RunInstancesInput, error) {
	name, err := x.s.imageWanted(ctx, x.op, x.c, providers.Need{})
	if err != nil {
		return nil, err
	}
	from, err := x.s.image(ctx, x.op, name, offer.Arch)
	if err != nil {
		return nil, err
	}
	subnets, err := x.s.network(ctx, x.op, x.c)
	if err != nil {
		return nil, err
	}
	in := &ec2.RunInstancesInput{
		DryRun: aws.Bool(true), MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		ImageId: aws.String(from.id), InstanceType: types.InstanceType(offer.InstanceType),
		SubnetId: aws.String(x.s.subnetFor(subnets, "check")[offer.Zone].id), SecurityGroupIds: x.c.SecurityGroups,
		TagSpecifications: tagged(x.tags(), types.ResourceTypeInstance, types.ResourceTypeVolume),
	}
	if offer.Capacity == providers.Spot {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot}
		in.TagSpecifications = append(in.TagSpecifications, tagged(x.tags(), types.ResourceTypeSpotInstancesRequest)...)
	}
	if x.c.KeyName != "" {
		in.KeyName = aws.String(x.c.KeyName)
	}
	if x.c.InstanceProfile != "" {
		profile := profileOf(x.c.InstanceProfile)
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: profile.Name, Arn: profile.Arn}
	}
	return in, nil
}
