package aws

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/spotrelay/spotrelay/providers"
)

const imageLife = time.Hour

// aliases are names of images for the public parameters that their makers keep
// up to date. {arch} is amd64 or arm64, {x86_64} is x86_64 or arm64.
var aliases = map[string]string{
	"ubuntu-24.04": "/aws/service/canonical/ubuntu/server/24.04/stable/current/{arch}/hvm/ebs-gp3/ami-id",
	"ubuntu-22.04": "/aws/service/canonical/ubuntu/server/22.04/stable/current/{arch}/hvm/ebs-gp2/ami-id",
	"debian-13":    "/aws/service/debian/release/13/latest/{arch}",
	"debian-12":    "/aws/service/debian/release/12/latest/{arch}",
	"al2023":       "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{x86_64}",

	"dlami-base-ubuntu-24.04": "/aws/service/deeplearning/ami/{x86_64}/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id",
	"dlami-base-ubuntu-22.04": "/aws/service/deeplearning/ami/{x86_64}/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
	"dlami-base-al2023":       "/aws/service/deeplearning/ami/{x86_64}/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
}

var imageID = regexp.MustCompile(`^ami-[0-9a-f]{8,17}$`)

// image is a machine image.
type image struct {
	id, arch   string
	rootDevice string
	rootGiB    int
}

// imageWanted is the name of the image to use: the task's, the fleet's, the
// launch template's, or the default.
func (s *session) imageWanted(ctx context.Context, op string, c config, need providers.Need) (string, error) {
	if name := orElse(need.Image, c.Image); name != "" {
		return name, nil
	}
	given, err := s.givenTemplate(ctx, op, c)
	if err != nil {
		return "", err
	}
	if given != nil {
		return orElse(aws.ToString(given.data.ImageId), defaultImage), nil
	}
	return defaultImage, nil
}

// parameterOf is the public parameter of an image's name, "" for none.
func parameterOf(name string) string {
	if parameter, ok := aliases[name]; ok {
		return parameter
	}
	if strings.HasPrefix(name, "/") {
		return name
	}
	return ""
}

// archsOf are the architectures that the image fixes; none where it comes for
// each.
func (s *session) archsOf(ctx context.Context, op string, c config, need providers.Need) ([]string, error) {
	name, err := s.imageWanted(ctx, op, c, need)
	if err != nil {
		return nil, err
	}
	if strings.Contains(parameterOf(name), "{") {
		return nil, nil
	}
	found, err := s.image(ctx, op, name, "")
	if err != nil {
		return nil, err
	}
	return []string{found.arch}, nil
}

// image finds an image by its name, for an architecture.
func (s *session) image(ctx context.Context, op, name, arch string) (image, error) {
	return s.images.get(ctx, name+" "+arch, imageLife, func(ctx context.Context) (image, error) {
		in := &ec2.DescribeImagesInput{}
		switch {
		case imageID.MatchString(name):
			in.ImageIds = []string{name}
		case parameterOf(name) != "":
			id, err := s.parameter(ctx, op, name, arch)
			if err != nil {
				return image{}, err
			}
			in.ImageIds = []string{id}
		default:
			in.Owners = []string{"self"}
			in.Filters = []types.Filter{filter("name", name), filter("state", "available")}
		}
		found, err := s.describeImages(ctx, op, in)
		if err != nil {
			return image{}, err
		}
		return newest(op, found, name, arch)
	})
}

func (s *session) describeImages(ctx context.Context, op string, in *ec2.DescribeImagesInput) ([]types.Image, error) {
	var found []types.Image
	for {
		out, err := ask(ctx, s, call{op, "ec2:DescribeImages"}, s.ec2.DescribeImages, in)
		if err != nil {
			return nil, err
		}
		found = append(found, out.Images...)
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return found, nil
		}
	}
}

// newest is the latest of the images that an agent for arch runs on.
func newest(op string, found []types.Image, name, arch string) (image, error) {
	var best *types.Image
	for i := range found {
		each := &found[i]
		known := archOf(string(each.Architecture))
		if known == "" || arch != "" && known != arch || each.Platform == types.PlatformValuesWindows {
			continue
		}
		if best == nil || aws.ToString(each.CreationDate) > aws.ToString(best.CreationDate) {
			best = each
		}
	}
	if best == nil {
		message := fmt.Sprintf("there is no image %q for Linux", name)
		if arch != "" {
			message += " on " + arch
		}
		return image{}, refuse(op, providers.CodeConfiguration, message,
			"name an image by its id, by the name of one of the account's own, or by one of "+strings.Join(sortedKeys(aliases), ", "))
	}
	result := image{id: aws.ToString(best.ImageId), arch: archOf(string(best.Architecture)), rootDevice: aws.ToString(best.RootDeviceName)}
	for _, m := range best.BlockDeviceMappings {
		if aws.ToString(m.DeviceName) == result.rootDevice && m.Ebs != nil {
			result.rootGiB = int(aws.ToInt32(m.Ebs.VolumeSize))
		}
	}
	return result, nil
}

// parameter reads an image's id from its public parameter.
func (s *session) parameter(ctx context.Context, op, name, arch string) (string, error) {
	arch = orElse(arch, "amd64")
	vendors := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[arch]
	parameter := strings.NewReplacer("{arch}", arch, "{x86_64}", vendors).Replace(parameterOf(name))
	out, err := ask(ctx, s, call{op, "ssm:GetParameters"}, s.ssm.GetParameters, &ssm.GetParametersInput{Names: []string{parameter}})
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(out.Parameters, func(p ssmtypes.Parameter) bool { return imageID.MatchString(aws.ToString(p.Value)) })
	if i < 0 {
		return "", refuse(op, providers.CodeConfiguration, fmt.Sprintf("the region %s has no image %q: the public parameter %s is not there", s.region, name, path.Clean(parameter)),
			"name an image of the region by its id")
	}
	return aws.ToString(out.Parameters[i].Value), nil
}
