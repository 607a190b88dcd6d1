package ec2test

import (
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// The images that there are, by architecture.
const (
	ImageX86 = "ami-0a1b2c3d4e5f60786"
	ImageARM = "ami-0a1b2c3d4e5f60764"
)

type image struct {
	id, name, arch, created string
	parameterArch           string // in the names of public parameters
}

// images: Ubuntu's, with the public parameters that name them.
var images = []image{
	{id: ImageX86, name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250610", arch: "x86_64", parameterArch: "amd64", created: "2025-06-10T12:00:00.000Z"},
	{id: ImageARM, name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20250610", arch: "arm64", parameterArch: "arm64", created: "2025-06-10T12:00:00.000Z"},
}

func imageNamed(id string) *image {
	i := slices.IndexFunc(images, func(i image) bool { return i.id == id })
	if i < 0 {
		return nil
	}
	return &images[i]
}

func (s *Server) describeImages(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "tag", "image-id", "name", "architecture", "state", "root-device-type", "virtualization-type", "owner-id")
	if refused != nil {
		return nil, refused
	}
	wanted := input.Strings("ImageIds")
	for _, id := range wanted {
		if !strings.HasPrefix(id, "ami-") {
			return nil, violate("InvalidAMIID.Malformed", "Invalid id: \"%s\"", id)
		}
		if imageNamed(id) == nil {
			return nil, refuse("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
		}
	}
	list := []any{}
	for _, one := range images {
		have := attributes{
			"image-id": {one.id}, "name": {one.name}, "architecture": {one.arch}, "state": {"available"},
			"root-device-type": {"ebs"}, "virtualization-type": {"hvm"}, "owner-id": {"099720109477"},
		}
		if (len(wanted) == 0 || slices.Contains(wanted, one.id)) && all.match(have) {
			list = append(list, model.Values{
				"ImageId": one.id, "Name": one.name, "Architecture": one.arch, "State": "available", "CreationDate": one.created,
				"ImageType": "machine", "RootDeviceName": "/dev/sda1", "RootDeviceType": "ebs", "VirtualizationType": "hvm", "Hypervisor": "xen",
				"OwnerId": "099720109477", "Public": true, "EnaSupport": true, "PlatformDetails": "Linux/UNIX",
				"BlockDeviceMappings": []any{model.Values{
					"DeviceName": "/dev/sda1",
					"Ebs":        model.Values{"VolumeSize": int64(8), "VolumeType": "gp3", "DeleteOnTermination": true, "SnapshotId": "snap-0a1b2c3d4e5f60718"},
				}},
			})
		}
	}
	return model.Values{"Images": list}, nil
}

// parameter is the image that a public parameter names.
func parameter(name string) (string, bool) {
	if !strings.HasPrefix(name, "/aws/service/") {
		return "", false
	}
	for _, one := range images {
		if strings.Contains(name, one.parameterArch) || strings.Contains(name, one.arch) {
			return one.id, true
		}
	}
	return "", false
}
