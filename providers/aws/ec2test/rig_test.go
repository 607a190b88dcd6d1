package ec2test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// rig is a server with the real client.
type rig struct {
	t      *testing.T
	server *Server
	client *ec2.Client
}

func (s *Server) sdkConfig() aws.Config {
	return aws.Config{
		Region: s.options.Region, BaseEndpoint: aws.String(s.URL), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
	}
}

func newRig(t *testing.T, options Options) *rig {
	t.Helper()
	s := Start(t, options)
	return &rig{t, s, ec2.NewFromConfig(s.sdkConfig())}
}

// template makes a launch template with an image and user data.
func (r *rig) template(name string, change func(*types.RequestLaunchTemplateData)) {
	r.t.Helper()
	data := &types.RequestLaunchTemplateData{
		ImageId: aws.String(ImageX86), UserData: aws.String(base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\n"))),
		SecurityGroupIds:                  []string{r.server.SecurityGroup()},
		InstanceInitiatedShutdownBehavior: types.ShutdownBehaviorTerminate,
		MetadataOptions:                   &types.LaunchTemplateInstanceMetadataOptionsRequest{HttpTokens: types.LaunchTemplateHttpTokensStateRequired},
	}
	if change != nil {
		change(data)
	}
	_, err := r.client.CreateLaunchTemplate(context.Background(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: &name, LaunchTemplateData: data})
	if err != nil {
		r.t.Fatal(err)
	}
}

// pools are overrides for types in zones.
func (r *rig) pools(zones []string, kinds ...string) []types.FleetLaunchTemplateOverridesRequest {
	var all []types.FleetLaunchTemplateOverridesRequest
	for _, kind := range kinds {
		for _, zone := range zones {
			all = append(all, types.FleetLaunchTemplateOverridesRequest{
				InstanceType: types.InstanceType(kind), SubnetId: aws.String(r.server.Subnet("us-east-1" + zone)),
			})
		}
	}
	return all
}

// request for a fleet of the template relay.
func (r *rig) request(token string, count int32, pools []types.FleetLaunchTemplateOverridesRequest) *ec2.CreateFleetInput {
	return &ec2.CreateFleetInput{
		Type: types.FleetTypeInstant, ClientToken: aws.String(token),
		LaunchTemplateConfigs: []types.FleetLaunchTemplateConfigRequest{{
			LaunchTemplateSpecification: &types.FleetLaunchTemplateSpecificationRequest{LaunchTemplateName: aws.String("relay"), Version: aws.String("1")},
			Overrides:                   pools,
		}},
		TargetCapacitySpecification: &types.TargetCapacitySpecificationRequest{
			TotalTargetCapacity: aws.Int32(count), DefaultTargetCapacityType: types.DefaultTargetCapacityTypeSpot,
		},
		SpotOptions: &types.SpotOptionsRequest{AllocationStrategy: types.SpotAllocationStrategyPriceCapacityOptimized},
		TagSpecifications: []types.TagSpecification{{
			ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: aws.String("run"), Value: aws.String("r1")}},
		}},
	}
}

// launch wants instances and gives their ids.
func (r *rig) launch(token string, count int32, pools []types.FleetLaunchTemplateOverridesRequest) []string {
	r.t.Helper()
	out, err := r.client.CreateFleet(context.Background(), r.request(token, count, pools))
	if err != nil {
		r.t.Fatal(err)
	}
	ids := idsOf(out)
	if len(ids) != int(count) {
		r.t.Fatalf("%d instances, not %d: %s", len(ids), count, failuresOf(out))
	}
	return ids
}

func idsOf(out *ec2.CreateFleetOutput) []string {
	var ids []string
	for _, part := range out.Instances {
		ids = append(ids, part.InstanceIds...)
	}
	return ids
}

func failuresOf(out *ec2.CreateFleetOutput) []string {
	var all []string
	for _, failure := range out.Errors {
		o := failure.LaunchTemplateAndOverrides.Overrides
		all = append(all, fmt.Sprintf("%s %s: %s", o.InstanceType, aws.ToString(o.AvailabilityZone), aws.ToString(failure.ErrorCode)))
	}
	return all
}

// describe gives one instance as it is listed, nil when it is unknown.
func (r *rig) describe(id string) *types.Instance {
	r.t.Helper()
	out, err := r.client.DescribeInstances(context.Background(), &ec2.DescribeInstancesInput{
		Filters: []types.Filter{{Name: aws.String("instance-id"), Values: []string{id}}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(out.Reservations) == 0 {
		return nil
	}
	return &out.Reservations[0].Instances[0]
}

// spotStatus of an instance's request.
func (r *rig) spotStatus(id string) string {
	r.t.Helper()
	out, err := r.client.DescribeSpotInstanceRequests(context.Background(), &ec2.DescribeSpotInstanceRequestsInput{
		Filters: []types.Filter{{Name: aws.String("instance-id"), Values: []string{id}}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(out.SpotInstanceRequests) != 1 {
		r.t.Fatalf("%d spot requests", len(out.SpotInstanceRequests))
	}
	return aws.ToString(out.SpotInstanceRequests[0].Status.Code)
}

// codeOf an API error, and its HTTP status.
func codeOf(err error) (string, int) {
	var api smithy.APIError
	var response interface{ HTTPStatusCode() int }
	status := 0
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	if errors.As(err, &api) {
		return api.ErrorCode(), status
	}
	return "", status
}

// wantCode wants an API error.
func (r *rig) wantCode(err error, want string, status int) {
	r.t.Helper()
	if code, got := codeOf(err); code != want || got != status {
		r.t.Errorf("%v: %s with HTTP %d; want %s with %d", err, code, got, want, status)
	}
}
