package aws

import (
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

// maxVolume is EBS's largest volume, and systemRoom what the system and the
// agent take of the root volume beside a task's disk, in bytes.
const (
	maxVolume  = 16 << 40
	systemRoom = 10 << 30
)

// startFrom is a given template's data as a request has it: the two types of
// the API differ in their names, and in a few fields of an answer that no request
// has: whether options are applied by now, who manages the template, which IPv6
// address is the first.
func startFrom(given *givenTemplate) (*types.RequestLaunchTemplateData, error) {
	data := &types.RequestLaunchTemplateData{}
	if given == nil {
		return data, nil
	}
	content, err := json.Marshal(given.data)
	if err != nil {
		return nil, err
	}
	return data, json.Unmarshal(content, data)
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
