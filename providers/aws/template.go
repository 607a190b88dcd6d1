package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/startup"
)

const (
	// userDataMost is how much user data an instance may have, raw ("Run
	// commands when you launch an EC2 instance").
	userDataMost = 16 << 10
	// maxVolume is EBS's largest volume, and systemRoom what the system and the
	// agent take of the root volume beside a task's disk.
	maxVolume  = 16 << 40
	systemRoom = 10 << 30

	templatePrefix  = "spotrelay-"
	templateVersion = "1"
	givenLife       = 5 * time.Minute
)

// givenTemplate is a launch template that the fleet starts from.
type givenTemplate struct {
	data types.ResponseLaunchTemplateData
}

// givenTemplate reads the fleet's launch template; nil for none.
func (s *session) givenTemplate(ctx context.Context, op string, c config) (*givenTemplate, error) {
	t := c.template()
	if t == (templateBlock{}) {
		return nil, nil
	}
	return s.given.get(ctx, t.ID+" "+t.Name+" "+t.Version, givenLife, func(ctx context.Context) (*givenTemplate, error) {
		in := &ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{t.Version}}
		if t.ID != "" {
			in.LaunchTemplateId = aws.String(t.ID)
		} else {
			in.LaunchTemplateName = aws.String(t.Name)
		}
		out, err := ask(ctx, s, call{op, "ec2:DescribeLaunchTemplateVersions"}, s.ec2.DescribeLaunchTemplateVersions, in)
		if err != nil {
			return nil, err
		}
		if len(out.LaunchTemplateVersions) == 0 || out.LaunchTemplateVersions[0].LaunchTemplateData == nil {
			return nil, refuse(op, providers.CodeConfiguration, "the launch template "+t.ID+t.Name+" has no version "+t.Version, "correct the fleet's launch_template")
		}
		data := *out.LaunchTemplateVersions[0].LaunchTemplateData
		if aws.ToString(data.UserData) != "" {
			return nil, refuse(op, providers.CodeConfiguration, "the launch template "+t.ID+t.Name+" has user data of its own",
				"the agent is started by the user data: move what it does into the image or into the job's setup")
		}
		return &givenTemplate{data}, nil
	})
}

// template is a launch template of ours: its name says what is in it.
type template struct {
	name string
	data *types.RequestLaunchTemplateData
	tags map[string]string
}

// templateFor makes the template that a request's instances of one
// architecture start from. Runs of a fleet share nothing in it, launches of a
// run all: what differs among those is in tags.
func (s *session) templateFor(ctx context.Context, op string, c config, r providers.LaunchRequest, arch string) (template, error) {
	name, err := s.imageWanted(ctx, op, c, r.Need)
	if err != nil {
		return template{}, err
	}
	found, err := s.image(ctx, op, name, arch)
	if err != nil {
		return template{}, err
	}
	if found.arch != arch {
		return template{}, refuse(op, providers.CodeConfiguration, fmt.Sprintf("the image %s is for %s, the instance type for %s", name, found.arch, arch),
			"name an image for "+arch+", or leave such instance types out")
	}
	given, err := s.givenTemplate(ctx, op, c)
	if err != nil {
		return template{}, err
	}
	script, err := startup.Script(r.Bootstrap, startup.Options{Cloud: startup.AWS, MaxLife: r.MaxLife})
	if err != nil {
		return template{}, refuse(op, providers.CodeConfiguration, "the startup script cannot be made: "+err.Error(), "")
	}
	if len(script) > userDataMost {
		return template{}, refuse(op, providers.CodeConfiguration, fmt.Sprintf("the startup script has %d bytes; EC2 takes 16384", len(script)), "")
	}
	data, err := startFrom(given)
	if err != nil {
		return template{}, refuse(op, providers.CodeConfiguration, "the launch template cannot be copied: "+err.Error(), "leave launch_template out")
	}
	fill(data, c, r, found)
	data.UserData = aws.String(base64.StdEncoding.EncodeToString(script))
	tags := templateTags(c, r.Tags)
	markSpotRequests(data, tags, r.Offers[0].Capacity)
	return nameTemplate(data, tags)
}

// nameTemplate names a template by what is in it.
func nameTemplate(data *types.RequestLaunchTemplateData, tags map[string]string) (template, error) {
	content, err := json.Marshal(data)
	if err != nil {
		return template{}, err
	}
	sum := sha256.Sum256(content)
	return template{name: templatePrefix + hex.EncodeToString(sum[:16]), data: data, tags: tags}, nil
}

// startFrom is a given template's data as a request has it: the two types of
// the API differ in name alone.
func startFrom(given *givenTemplate) (*types.RequestLaunchTemplateData, error) {
	data := &types.RequestLaunchTemplateData{}
	if given == nil {
		return data, nil
	}
	content, err := json.Marshal(given.data)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	return data, decoder.Decode(data)
}

// fill sets what the fleet and spotrelay say; the rest is the given template's.
func fill(data *types.RequestLaunchTemplateData, c config, r providers.LaunchRequest, from image) {
	data.ImageId = aws.String(from.id)
	data.InstanceInitiatedShutdownBehavior = types.ShutdownBehaviorTerminate
	// What chooses and ends instances is not the template's business.
	data.InstanceMarketOptions, data.InstanceRequirements, data.InstanceType = nil, nil, ""
	data.DisableApiTermination, data.DisableApiStop = nil, nil
	metadata := &types.LaunchTemplateInstanceMetadataOptionsRequest{}
	if data.MetadataOptions != nil {
		metadata.InstanceMetadataTags = data.MetadataOptions.InstanceMetadataTags
	}
	metadata.HttpEndpoint = types.LaunchTemplateInstanceMetadataEndpointStateEnabled
	metadata.HttpTokens = types.LaunchTemplateHttpTokensStateRequired
	metadata.HttpPutResponseHopLimit = aws.Int32(1)
	data.MetadataOptions = metadata
	if c.KeyName != "" {
		data.KeyName = aws.String(c.KeyName)
	}
	if c.InstanceProfile != "" {
		data.IamInstanceProfile = profileOf(c.InstanceProfile)
	}
	network(data, c)
	rootVolume(data, c, r.Need, from)
}

func profileOf(name string) *types.LaunchTemplateIamInstanceProfileSpecificationRequest {
	if strings.HasPrefix(name, "arn:") {
		return &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Arn: aws.String(name)}
	}
	return &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Name: aws.String(name)}
}

// network sets the security groups and the public address. A template with a
// network interface has its groups there, and its subnet comes from the launch.
func network(data *types.RequestLaunchTemplateData, c config) {
	if c.PublicIP != nil && len(data.NetworkInterfaces) == 0 {
		data.NetworkInterfaces = []types.LaunchTemplateInstanceNetworkInterfaceSpecificationRequest{{
			DeviceIndex: aws.Int32(0), DeleteOnTermination: aws.Bool(true), Groups: data.SecurityGroupIds,
		}}
		data.SecurityGroupIds, data.SecurityGroups = nil, nil
	}
	if len(data.NetworkInterfaces) == 0 {
		if len(c.SecurityGroups) > 0 {
			data.SecurityGroupIds, data.SecurityGroups = c.SecurityGroups, nil
		}
		return
	}
	for i := range data.NetworkInterfaces {
		data.NetworkInterfaces[i].SubnetId = nil
	}
	first := &data.NetworkInterfaces[0]
	if c.PublicIP != nil {
		first.AssociatePublicIpAddress = c.PublicIP
	}
	if len(c.SecurityGroups) > 0 {
		first.Groups = c.SecurityGroups
	}
}

// rootVolume sets the root volume, unless the given template has one and
// neither fleet nor task ask for another.
func rootVolume(data *types.RequestLaunchTemplateData, c config, need providers.Need, from image) {
	var others []types.LaunchTemplateBlockDeviceMappingRequest
	for _, m := range data.BlockDeviceMappings {
		if aws.ToString(m.DeviceName) != from.rootDevice {
			others = append(others, m)
		} else if !c.diskGiven && need.Disk == 0 {
			return
		}
	}
	d := c.disk()
	ebs := &types.LaunchTemplateEbsBlockDeviceRequest{
		DeleteOnTermination: aws.Bool(true), Encrypted: d.Encrypted,
		VolumeSize: aws.Int32(int32(volumeSize(c, need, from.rootGiB))), VolumeType: types.VolumeType(d.Type),
	}
	if d.IOPS > 0 {
		ebs.Iops = aws.Int32(int32(d.IOPS))
	}
	if d.Throughput > 0 {
		ebs.Throughput = aws.Int32(int32(d.Throughput))
	}
	if d.KMSKey != "" {
		ebs.KmsKeyId, ebs.Encrypted = aws.String(d.KMSKey), aws.Bool(true)
	}
	data.BlockDeviceMappings = append(others, types.LaunchTemplateBlockDeviceMappingRequest{DeviceName: aws.String(from.rootDevice), Ebs: ebs})
}

// volumeSize is the root volume's size in GiB: the fleet's, the image's, and
// room for the task's disk beside the system.
func volumeSize(c config, need providers.Need, imageGiB int) int64 {
	bytes := c.disk().bytes
	if need.Disk > 0 {
		bytes = max(bytes, need.Disk+systemRoom)
	}
	return max((bytes+1<<30-1)>>30, int64(imageGiB))
}

// templateTags are the tags of a template: those of a launch without the
// launch's own.
func templateTags(c config, tags map[string]string) map[string]string {
	kept := maps.Clone(c.Tags)
	if kept == nil {
		kept = map[string]string{}
	}
	for _, key := range []string{providers.TagBucket, providers.TagRun, providers.TagFleet} {
		if tags[key] != "" {
			kept[key] = tags[key]
		}
	}
	return kept
}

// markSpotRequests has the spot requests of a launch tagged: a fleet's own
// request cannot say it.
func markSpotRequests(data *types.RequestLaunchTemplateData, tags map[string]string, capacity providers.CapacityType) {
	var specs []types.LaunchTemplateTagSpecificationRequest
	for _, spec := range data.TagSpecifications {
		if spec.ResourceType != types.ResourceTypeSpotInstancesRequest {
			specs = append(specs, spec)
		}
	}
	if capacity == providers.Spot {
		specs = append(specs, types.LaunchTemplateTagSpecificationRequest{ResourceType: types.ResourceTypeSpotInstancesRequest, Tags: tagList(tags)})
	}
	data.TagSpecifications = specs
}

// tagList is tags as AWS has them, in the order of their names.
func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, key := range sortedKeys(tags) {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}

// templates are those that are known to be there.
type templates struct {
	mu    sync.Mutex
	known map[string]bool
	swept map[string]time.Time // by bucket
}

func (t *templates) knows(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[name]
}

func (t *templates) set(name string, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[string]bool{}
	}
	t.known[name] = known
}

// ensure has the template there. One of its name has its content.
func (s *session) ensure(ctx context.Context, op string, t template) error {
	if s.templates.knows(t.name) {
		return nil
	}
	_, err := ask(ctx, s, call{op, "ec2:CreateLaunchTemplate"}, s.ec2.CreateLaunchTemplate, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String(t.name), LaunchTemplateData: t.data, VersionDescription: aws.String("made by spotrelay"),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeLaunchTemplate, Tags: tagList(t.tags)}},
	})
	if err != nil && !codeIs(err, "InvalidLaunchTemplateName.AlreadyExistsException") {
		return err
	}
	s.templates.set(t.name, true)
	return nil
}
