package ec2test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// A fleet takes the cheapest pools first, and says of each pool that it tried
// in vain why.
func TestFleetOverManyPools(t *testing.T) {
	r := newRig(t, Options{})
	r.template("relay", nil)
	r.server.SetCapacity(Pool{"us-east-1a", "c5.large", "spot"}, 2)
	r.server.SetCapacity(Pool{"us-east-1b", "c5.large", "spot"}, 0)
	out, err := r.client.CreateFleet(context.Background(), r.request("t1", 5, r.pools([]string{"a", "b"}, "m5.large", "c5.large")))
	if err != nil {
		t.Fatal(err)
	}
	if len(idsOf(out)) != 5 || len(out.Instances) != 2 {
		t.Errorf("%d instances in %d pools", len(idsOf(out)), len(out.Instances))
	}
	want := []string{"c5.large us-east-1a: InsufficientInstanceCapacity", "c5.large us-east-1b: InsufficientInstanceCapacity"}
	if got := failuresOf(out); !slices.Equal(got, want) {
		t.Errorf("the failures are %q", got)
	}
	first := r.describe(out.Instances[0].InstanceIds[0])
	if first.InstanceType != "c5.large" || aws.ToString(first.Placement.AvailabilityZone) != "us-east-1a" || first.InstanceLifecycle != "spot" {
		t.Errorf("the first instance is %+v", first)
	}
	if len(first.Tags) != 1 || aws.ToString(first.Tags[0].Value) != "r1" {
		t.Errorf("its tags are %+v", first.Tags)
	}
}

// Why a pool gives nothing.
func TestFleetFailures(t *testing.T) {
	cases := map[string]struct {
		arrange func(*rig)
		pool    []types.FleetLaunchTemplateOverridesRequest
		change  func(*ec2.CreateFleetInput)
		want    string
	}{
		"not in the zone": {want: "Unsupported", pool: []types.FleetLaunchTemplateOverridesRequest{{InstanceType: "p4d.24xlarge", SubnetId: aws.String("subnet-0a1b2c3d4e5f60710")}}},
		"no spot":         {want: "Unsupported", pool: []types.FleetLaunchTemplateOverridesRequest{{InstanceType: "t2.nano", SubnetId: aws.String("subnet-0a1b2c3d4e5f60710")}}},
		"too dear": {want: "SpotMaxPriceTooLow", pool: []types.FleetLaunchTemplateOverridesRequest{{
			InstanceType: "m5.large", SubnetId: aws.String("subnet-0a1b2c3d4e5f60710"), MaxPrice: aws.String("0.001"),
		}}},
		"no addresses":    {want: "InsufficientFreeAddressesInSubnet", arrange: func(r *rig) { r.server.SetFreeAddresses("us-east-1a", 0) }},
		"spot quota":      {want: "MaxSpotInstanceCountExceeded", arrange: func(r *rig) { r.server.SetQuota("L-34B43A08", 1) }},
		"on-demand quota": {want: "VcpuLimitExceeded", arrange: func(r *rig) { r.server.SetQuota("L-1216C47A", 1) }, change: onDemand},
		"no permission":   {want: "UnauthorizedOperation", arrange: func(r *rig) { r.server.Deny("ec2:RunInstances") }},
		"no tagging":      {want: "UnauthorizedOperation", arrange: func(r *rig) { r.server.Deny("ec2:CreateTags") }},
		"injected": {want: "UnfulfillableCapacity", arrange: func(r *rig) {
			r.server.Inject(Fault{Operation: "CreateFleet", Pool: &Pool{Zone: "us-east-1a"}, Code: "UnfulfillableCapacity", Times: 1})
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			r.template("relay", nil)
			if c.arrange != nil {
				c.arrange(r)
			}
			if c.pool == nil {
				c.pool = r.pools([]string{"a"}, "m5.large")
			}
			request := r.request("t1", 2, c.pool)
			if c.change != nil {
				c.change(request)
			}
			out, err := r.client.CreateFleet(context.Background(), request)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Errors) != 1 || aws.ToString(out.Errors[0].ErrorCode) != c.want || len(idsOf(out)) > 0 {
				t.Errorf("%d instances and %q; want %s", len(idsOf(out)), failuresOf(out), c.want)
			}
		})
	}
}

func onDemand(in *ec2.CreateFleetInput) {
	in.TargetCapacitySpecification.DefaultTargetCapacityType = types.DefaultTargetCapacityTypeOnDemand
	in.SpotOptions = nil
	in.OnDemandOptions = &types.OnDemandOptionsRequest{AllocationStrategy: types.FleetOnDemandAllocationStrategyLowestPrice}
}

// A token is good for one request in one set of zones: repeated it gives the
// same, changed it is refused, and in another zone it is a new one.
func TestTokens(t *testing.T) {
	r := newRig(t, Options{})
	r.template("relay", nil)
	ctx := context.Background()
	first := r.launch("t1", 2, r.pools([]string{"a"}, "m5.large"))
	if again := r.launch("t1", 2, r.pools([]string{"a"}, "m5.large")); !slices.Equal(first, again) {
		t.Errorf("%q and then %q", first, again)
	}
	_, err := r.client.CreateFleet(ctx, r.request("t1", 3, r.pools([]string{"a"}, "m5.large")))
	r.wantCode(err, "IdempotentParameterMismatch", 400)
	elsewhere := r.launch("t1", 2, r.pools([]string{"b"}, "m5.large"))
	if slices.Contains(first, elsewhere[0]) || len(r.server.Live()) != 4 {
		t.Errorf("the token is not zonal: %q, %q, %q", first, elsewhere, r.server.Live())
	}
	r.server.Advance(tokenWindow + time.Second)
	if late := r.launch("t1", 2, r.pools([]string{"a"}, "m5.large")); slices.Equal(first, late) {
		t.Error("the token is still known after its window")
	}
}

// An answer that was lost leaves its effect, and the token finds it again.
func TestLostAnswer(t *testing.T) {
	r := newRig(t, Options{})
	r.template("relay", nil)
	r.server.Inject(Fault{Operation: "CreateFleet", LoseAnswer: true, Times: 1})
	request := r.request("t1", 2, r.pools([]string{"a"}, "m5.large"))
	if _, err := r.client.CreateFleet(context.Background(), request); err == nil {
		t.Fatal("the answer arrived")
	} else if code, _ := codeOf(err); code != "" {
		t.Errorf("it is an answer: %v", err)
	}
	live := r.server.Live()
	if len(live) != 2 {
		t.Fatalf("%d instances", len(live))
	}
	if again := r.launch("t1", 2, r.pools([]string{"a"}, "m5.large")); !slices.Equal(live, again) {
		t.Errorf("%q and then %q", live, again)
	}
}

// What EC2 would not take, beside what the model says.
func TestRefusedRequests(t *testing.T) {
	long := strings.Repeat("a", 300)
	tags := func(tags ...types.Tag) func(*ec2.CreateFleetInput) {
		return func(in *ec2.CreateFleetInput) { in.TagSpecifications[0].Tags = tags }
	}
	var many []types.Tag
	for i := range 51 {
		many = append(many, types.Tag{Key: aws.String(fmt.Sprint("k", i)), Value: aws.String("")})
	}
	cases := map[string]struct {
		change func(*ec2.CreateFleetInput)
		code   string
	}{
		"long token":     {func(in *ec2.CreateFleetInput) { in.ClientToken = aws.String(long[:65]) }, "InvalidParameterValue"},
		"odd token":      {func(in *ec2.CreateFleetInput) { in.ClientToken = aws.String("ä") }, "InvalidParameterValue"},
		"no capacity":    {func(in *ec2.CreateFleetInput) { in.TargetCapacitySpecification.TotalTargetCapacity = aws.Int32(0) }, "InvalidTargetCapacitySpecification"},
		"long key":       {tags(types.Tag{Key: aws.String(long[:129]), Value: aws.String("v")}), "InvalidParameterValue"},
		"long value":     {tags(types.Tag{Key: aws.String("k"), Value: aws.String(long[:257])}), "InvalidParameterValue"},
		"AWS's own key":  {tags(types.Tag{Key: aws.String("aws:k"), Value: aws.String("v")}), "InvalidParameterValue"},
		"a key twice":    {tags(types.Tag{Key: aws.String("k"), Value: aws.String("v")}, types.Tag{Key: aws.String("k"), Value: aws.String("w")}), "InvalidParameterValue"},
		"too many tags":  {tags(many...), "TagLimitExceeded"},
		"foreign tags":   {func(in *ec2.CreateFleetInput) { in.TagSpecifications[0].ResourceType = types.ResourceTypeVpc }, "InvalidParameterValue"},
		"wrong strategy": {func(in *ec2.CreateFleetInput) { in.SpotOptions.AllocationStrategy = "whatever" }, "InvalidParameterValue"},
		"no template":    {func(in *ec2.CreateFleetInput) { in.LaunchTemplateConfigs[0].LaunchTemplateSpecification = nil }, "InvalidParameterCombination"},
		"maintained":     {func(in *ec2.CreateFleetInput) { in.Type = types.FleetTypeMaintain }, "InvalidParameterValue"},
		"an expiration":  {func(in *ec2.CreateFleetInput) { in.TerminateInstancesWithExpiration = aws.Bool(true) }, "InvalidParameterCombination"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			r.template("relay", nil)
			request := r.request("t1", 1, r.pools([]string{"a"}, "m5.large"))
			c.change(request)
			_, err := r.client.CreateFleet(context.Background(), request)
			r.wantCode(err, c.code, 400)
			if len(r.server.Forgive()) != 1 {
				t.Error("it is no violation")
			}
		})
	}
}

func TestUserDataIsBounded(t *testing.T) {
	r := newRig(t, Options{})
	for name, c := range map[string]struct{ text, code string }{
		"no base64": {"#!", "InvalidUserData.Malformed"},
		"too long":  {encode64(make([]byte, mostUserData+1)), "InvalidParameterValue"},
	} {
		_, err := r.client.CreateLaunchTemplate(context.Background(), &ec2.CreateLaunchTemplateInput{
			LaunchTemplateName: aws.String("relay"), LaunchTemplateData: &types.RequestLaunchTemplateData{UserData: &c.text},
		})
		if code, _ := codeOf(err); code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(r.server.Forgive()) != 2 {
		t.Error("they are no violations")
	}
	r.template("whole", func(d *types.RequestLaunchTemplateData) {
		d.UserData = aws.String(encode64(make([]byte, mostUserData)))
	})
}

func TestTemplates(t *testing.T) {
	r := newRig(t, Options{})
	ctx := context.Background()
	r.template("relay", nil)
	_, err := r.client.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("relay"), LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: aws.String(ImageX86)}})
	r.wantCode(err, "InvalidLaunchTemplateName.AlreadyExistsException", 400)
	version, err := r.client.CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateName: aws.String("relay"), SourceVersion: aws.String("1"),
		LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: aws.String(ImageARM)},
	})
	if err != nil || aws.ToInt64(version.LaunchTemplateVersion.VersionNumber) != 2 {
		t.Fatalf("%v: %+v", err, version)
	}
	versions, err := r.client.DescribeLaunchTemplateVersions(ctx, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateName: aws.String("relay"), Versions: []string{"$Latest"}})
	if err != nil || len(versions.LaunchTemplateVersions) != 1 {
		t.Fatalf("%v: %+v", err, versions)
	}
	if data := versions.LaunchTemplateVersions[0].LaunchTemplateData; aws.ToString(data.ImageId) != ImageARM || aws.ToString(data.UserData) == "" {
		t.Errorf("the version does not stand on the first one: %+v", data)
	}
	deleted, err := r.client.DeleteLaunchTemplateVersions(ctx, &ec2.DeleteLaunchTemplateVersionsInput{LaunchTemplateName: aws.String("relay"), Versions: []string{"1", "2"}})
	if err != nil || len(deleted.SuccessfullyDeletedLaunchTemplateVersions) != 1 || len(deleted.UnsuccessfullyDeletedLaunchTemplateVersions) != 1 {
		t.Errorf("%v: %+v", err, deleted)
	}
	if _, err := r.client.DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String("relay")}); err != nil {
		t.Error(err)
	}
	_, err = r.client.DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String("relay")})
	r.wantCode(err, "InvalidLaunchTemplateName.NotFoundException", 400)
}

// RunInstances looks at everything before it says that a dry run would do.
func TestRunInstances(t *testing.T) {
	r := newRig(t, Options{})
	ctx := context.Background()
	in := func() *ec2.RunInstancesInput {
		return &ec2.RunInstancesInput{MinCount: aws.Int32(1), MaxCount: aws.Int32(2), ImageId: aws.String(ImageX86), InstanceType: "m5.large", DryRun: aws.Bool(true)}
	}
	_, err := r.client.RunInstances(ctx, in())
	r.wantCode(err, "DryRunOperation", 412)
	unknown := in()
	unknown.ImageId = aws.String("ami-0ffffffffffffffff")
	_, err = r.client.RunInstances(ctx, unknown)
	r.wantCode(err, "InvalidAMIID.NotFound", 400)
	r.server.Deny("ec2:RunInstances")
	_, err = r.client.RunInstances(ctx, in())
	r.wantCode(err, "UnauthorizedOperation", 403)
	r.server.Allow("ec2:RunInstances")
	if len(r.server.Live()) != 0 {
		t.Error("a dry run rented something")
	}
	real := in()
	real.DryRun = nil
	out, err := r.client.RunInstances(ctx, real)
	if err != nil || len(out.Instances) != 2 || out.Instances[0].InstanceLifecycle != "" {
		t.Errorf("%v: %+v", err, out)
	}
	r.server.SetCapacity(Pool{"us-east-1a", "m5.large", "on-demand"}, 0)
	another := in()
	another.DryRun = nil
	_, err = r.client.RunInstances(ctx, another)
	r.wantCode(err, "InsufficientInstanceCapacity", 500)
}
