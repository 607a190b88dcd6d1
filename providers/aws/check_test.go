package aws

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
)

// TestCheck: each fault names its place in the config block, and nothing is
// rented or made.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		deny   string
		fault  *ec2test.Fault
		path   string
		says   string
	}{
		"sound":             {},
		"a subnet":          {config: `{"subnets": ["subnet-0123456789abcdef0"]}`, path: "subnets.0", says: "subnet-0123456789abcdef0"},
		"a security group":  {config: `{"security_groups": ["sg-0123456789abcdef0"]}`, path: "security_groups.0", says: "sg-0123456789abcdef0"},
		"an image":          {config: `{"image": "ami-0123456789abcdef0"}`, path: "image", says: "ami-0123456789abcdef0"},
		"an image's name":   {config: `{"image": "no-such-image"}`, path: "image", says: "ubuntu-24.04"},
		"a public image":    {config: `{"image": "/aws/service/nothing"}`, path: "image", says: "/aws/service/nothing"},
		"a launch template": {config: `{"launch_template": [{"name": "nothing"}]}`, path: "launch_template.0", says: "nothing"},
		"instance types":    {config: `{"instance_types": ["z9.*"]}`, path: "instance_types"},
		"a key pair": {config: `{"key_name": "k"}`, path: "key_name", says: "no such key",
			fault: &ec2test.Fault{Operation: "DescribeKeyPairs", Code: "InvalidKeyPair.NotFound", Message: "no such key"}},
		"credentials": {path: "", says: "aws sts get-caller-identity",
			fault: &ec2test.Fault{Operation: "GetCallerIdentity", Code: "InvalidClientTokenId", Status: 403}},
		"an instance profile": {config: `{"instance_profile": "agent"}`, path: "instance_profile", says: "Invalid IAM Instance Profile",
			fault: &ec2test.Fault{Operation: "RunInstances", Code: "InvalidParameterValue", Message: "Value (agent) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name", Times: 1}},
		"no launches":   {deny: "ec2:RunInstances", says: "ec2:RunInstances"},
		"no fleets":     {deny: "ec2:CreateFleet", says: "ec2:CreateFleet"},
		"no templates":  {deny: "ec2:CreateLaunchTemplate", says: "ec2:CreateLaunchTemplate"},
		"no prices":     {deny: "ec2:DescribeSpotPriceHistory", says: "ec2:DescribeSpotPriceHistory"},
		"no subnets":    {deny: "ec2:DescribeSubnets", path: "subnets", says: "ec2:DescribeSubnets"},
		"no parameters": {deny: "ssm:GetParameters", path: "image", says: "ssm:GetParameters"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, ec2test.Options{}, c.config)
			if c.deny != "" {
				r.cloud.Deny(c.deny)
			}
			if c.fault != nil {
				r.cloud.Inject(*c.fault)
			}
			faults, err := r.provider.Check(t.Context(), r.fleet)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.cloud.Instances()) > 0 || len(r.cloud.Templates()) > 0 {
				t.Error("something was made")
			}
			if name == "sound" {
				if len(faults) > 0 {
					t.Errorf("%+v", faults)
				}
				return
			}
			if len(faults) != 1 || faults[0].Severity != providers.SeverityError {
				t.Fatalf("%+v; want one fault", faults)
			}
			if got := strings.Join(faults[0].Path, "."); got != c.path || !strings.Contains(faults[0].Detail, c.says) {
				t.Errorf("%+v; want the path %q and %q", faults[0], c.path, c.says)
			}
		})
	}
}

// TestCheckOfACloudThatDoesNotAnswer is an error, not a fault of the fleet.
func TestCheckOfACloudThatDoesNotAnswer(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	r.cloud.Inject(ec2test.Fault{Operation: "DescribeSubnets", Code: "RequestLimitExceeded", Status: 503})
	_, err := r.provider.Check(t.Context(), r.fleet)
	wantCode(t, err, providers.CodeThrottled)
}

// TestNoCredentials: a call without any is denied, with how to sign in.
func TestNoCredentials(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := r.provider.List(t.Context(), r.fleet, nil)
	if e := wantCode(t, err, providers.CodeDenied); !strings.Contains(e.Hint, "aws sso login") {
		t.Errorf("%+v", e)
	}
}

// TestGivenTemplate: what a launch template says is kept, what the fleet says
// goes before it, and user data of its own is refused.
func TestGivenTemplate(t *testing.T) {
	r := newRig(t, ec2test.Options{}, `{"launch_template": [{"name": "theirs"}], "security_groups": []}`)
	made := r.template("theirs", &types.RequestLaunchTemplateData{
		KeyName: aws.String("relay"), EbsOptimized: aws.Bool(true), InstanceType: "m5.large",
		MetadataOptions: &types.LaunchTemplateInstanceMetadataOptionsRequest{HttpTokens: "optional"},
	})
	if made != nil {
		t.Fatal(made)
	}
	c := mustConfig(t, r.fleet.Config)
	s, err := r.provider.session(t.Context(), "launch", c)
	if err != nil {
		t.Fatal(err)
	}
	request := r.request("t1", 1, r.offers(providers.Need{}, providers.Spot, "c5.large"))
	ours, err := s.templateFor(t.Context(), "launch", c, request, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	data := ours.data
	if aws.ToString(data.KeyName) != "relay" || !aws.ToBool(data.EbsOptimized) {
		t.Errorf("what it says is lost: %+v", data)
	}
	if data.InstanceType != "" || data.MetadataOptions.HttpTokens != "required" || aws.ToString(data.ImageId) != ec2test.ImageX86 || aws.ToString(data.UserData) == "" {
		t.Errorf("what must be ours is not: %+v", data)
	}
	c.KeyName, c.SecurityGroups = "mine", []string{"sg-1"}
	if ours, err = s.templateFor(t.Context(), "launch", c, request, "amd64"); err != nil || aws.ToString(ours.data.KeyName) != "mine" || ours.data.SecurityGroupIds[0] != "sg-1" {
		t.Errorf("the fleet's word does not count: %+v, %v", ours.data, err)
	}
	if err := r.template("busy", &types.RequestLaunchTemplateData{UserData: aws.String("IyEvYmluL3NoCg==")}); err != nil {
		t.Fatal(err)
	}
	r.configure(`{"launch_template": [{"name": "busy"}]}`)
	faults, err := r.provider.Check(t.Context(), r.fleet)
	if err != nil || len(faults) != 1 || !strings.Contains(faults[0].Detail, "user data") {
		t.Errorf("%+v, %v", faults, err)
	}
}

// template makes a launch template that is not ours.
func (r *rig) template(name string, data *types.RequestLaunchTemplateData) error {
	s, err := r.provider.session(r.t.Context(), "test", mustConfig(r.t, r.fleet.Config))
	if err != nil {
		return err
	}
	_, err = s.ec2.CreateLaunchTemplate(context.Background(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String(name), LaunchTemplateData: data})
	return err
}

// TestAssumeRole: a fleet with a role signs in by it, once.
func TestAssumeRole(t *testing.T) {
	r := newRig(t, ec2test.Options{}, `{"assume_role": [{"arn": "arn:aws:iam::111122223333:role/spotrelay", "external_id": "acme", "session_name": "nightly"}]}`)
	r.spot("t1", 1)
	calls := r.cloud.Calls("AssumeRole")
	if len(calls) != 1 || calls[0].Input.String("RoleArn") != "arn:aws:iam::111122223333:role/spotrelay" ||
		calls[0].Input.String("ExternalId") != "acme" || calls[0].Input.String("RoleSessionName") != "nightly" {
		t.Errorf("%+v", calls)
	}
	r.cloud.Inject(ec2test.Fault{Operation: "AssumeRole", Code: "AccessDenied", Status: 403, Message: "User: arn:aws:iam::111122223333:user/u is not authorized to perform: sts:AssumeRole on resource: spotrelay"})
	r.provider = r.anew()
	_, err := r.provider.List(t.Context(), r.fleet, nil)
	if e := wantCode(t, err, providers.CodeDenied); e.Call != "sts:AssumeRole" || !strings.Contains(e.Hint, "sts:AssumeRole") {
		t.Errorf("%+v", e)
	}
	faults, err := r.provider.Check(t.Context(), r.fleet)
	if err != nil || len(faults) != 1 || strings.Join(faults[0].Path, ".") != "assume_role.0.arn" {
		t.Errorf("%+v, %v", faults, err)
	}
}
