package gcp

import (
	"regexp"
	"strings"
)

const imageHint = "Give an alias (ubuntu-2404-lts, ubuntu-2204-lts, debian-12, debian-13), projects/P/global/images/family/F or projects/P/global/images/I."

// image is a boot image: a family, whose newest member is taken, or one image.
type image struct {
	project, name string
	family        bool
	alias         bool
}

// String is the image as Compute names it.
func (i image) String() string {
	if i.family {
		return "projects/" + i.project + "/global/images/family/" + i.name
	}
	return "projects/" + i.project + "/global/images/" + i.name
}

// aliases are families of public images that exist for both architectures.
// Their names are on https://cloud.google.com/compute/docs/images/os-details.
var aliases = map[string]struct{ project, amd64, arm64 string }{
	"ubuntu-2404-lts": {"ubuntu-os-cloud", "ubuntu-2404-lts-amd64", "ubuntu-2404-lts-arm64"},
	"ubuntu-2204-lts": {"ubuntu-os-cloud", "ubuntu-2204-lts", "ubuntu-2204-lts-arm64"},
	"debian-12":       {"debian-cloud", "debian-12", "debian-12-arm64"},
	"debian-13":       {"debian-cloud", "debian-13", "debian-13-arm64"},
}

var imageForm = regexp.MustCompile(`^(?:https://[^/]+/compute/v1/)?projects/([a-z0-9.:-]+)/global/images/(family/)?([a-z0-9-]+)$`)

// parseImage reads an alias or a path of an image.
func parseImage(text, arch string) (image, bool) {
	if a, ok := aliases[strings.TrimSpace(text)]; ok {
		family := a.amd64
		if arch == archARM64 {
			family = a.arm64
		}
		return image{project: a.project, name: family, family: true, alias: true}, true
	}
	m := imageForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return image{}, false
	}
	return image{project: m[1], name: m[3], family: m[2] != ""}, true
}
