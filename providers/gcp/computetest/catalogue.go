package computetest

import (
	"hash/fnv"
	"strconv"
	"strings"
)

const (
	imageProject  = "ubuntu-os-cloud"
	standsSince   = "2024-04-24T00:00:00.000-07:00"
	networkName   = "default"
	customNetwork = "batch" // its only subnetwork is in the first region
)

// relative is an address below the project, selfLink the whole of it.
func (s *Server) relative(rest string) string { return "projects/" + s.options.Project + "/" + rest }

func (s *Server) selfLink(rest string) string {
	return "https://www.googleapis.com/compute/v1/" + s.relative(rest)
}

// pathOf is a request's path from the project on.
func (s *Server) pathOf(r *request) string {
	path := r.method.Path
	for name, value := range r.path {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return path
}

// number is an id that a thing keeps.
func number(name string) string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name))
	return strconv.FormatUint(hash.Sum64()>>1, 10)
}

func (s *Server) thing(kind, name, path string) object {
	return object{
		"kind": "compute#" + kind, "id": number(path), "name": name,
		"creationTimestamp": standsSince, "selfLink": s.selfLink(path),
	}
}

func (s *Server) machineTypes(_ *request, name string) []object {
	z := s.world.zone(name)
	if z == nil {
		return nil
	}
	var all []object
	for _, t := range z.types {
		o := s.thing("machineType", t.name, "zones/"+name+"/machineTypes/"+t.name)
		o["zone"], o["guestCpus"], o["memoryMb"], o["isSharedCpu"] = name, t.cpus, t.memoryMB, t.shared
		o["architecture"], o["maximumPersistentDisks"], o["maximumPersistentDisksSizeGb"] = t.arch, 128, "263168"
		o["description"] = strconv.Itoa(t.cpus) + " vCPUs, " + strconv.Itoa(t.memoryMB/1024) + " GB RAM"
		if t.gpus > 0 {
			o["accelerators"] = []object{{"guestAcceleratorCount": t.gpus, "guestAcceleratorType": t.accelerator}}
		}
		if t.ssds > 0 {
			o["bundledLocalSsds"] = object{"defaultInterface": "NVME", "partitionCount": t.ssds}
		}
		all = append(all, o)
	}
	return all
}

func (s *Server) acceleratorTypes(_ *request, name string) []object {
	z := s.world.zone(name)
	if z == nil {
		return nil
	}
	var all []object
	for _, a := range z.accelerators {
		o := s.thing("acceleratorType", a.name, "zones/"+name+"/acceleratorTypes/"+a.name)
		o["zone"], o["maximumCardsPerInstance"], o["description"] = s.selfLink("zones/"+name), a.max, a.name
		all = append(all, o)
	}
	return all
}

func (s *Server) regions(*request) []object {
	var all []object
	for _, r := range s.world.regionList {
		o := s.thing("region", r.name, "regions/"+r.name)
		var zones []string
		for _, z := range r.zones {
			zones = append(zones, s.selfLink("zones/"+z.name))
		}
		o["zones"], o["status"], o["description"], o["quotas"] = zones, "UP", r.name, s.quotas(r.name)
		all = append(all, o)
	}
	return all
}

func (s *Server) zones(*request) []object {
	var all []object
	for _, r := range s.world.regionList {
		for _, z := range r.zones {
			o := s.thing("zone", z.name, "zones/"+z.name)
			o["region"], o["status"], o["description"] = s.selfLink("regions/"+r.name), "UP", z.name
			all = append(all, o)
		}
	}
	return all
}

func (s *Server) getProject(*request) (object, *apiError) {
	o := s.thing("project", s.options.Project, "")
	o["quotas"], o["defaultServiceAccount"] = s.quotas(""), s.computeAccount()
	return o, nil
}

// computeAccount is the default service account.
func (s *Server) computeAccount() string {
	return number(s.options.Project)[:12] + "-compute@developer.gserviceaccount.com"
}

func (s *Server) networks(*request) []object {
	var all []object
	for _, name := range []string{customNetwork, networkName} {
		o := s.thing("network", name, "global/networks/"+name)
		o["autoCreateSubnetworks"] = name == networkName
		o["routingConfig"] = object{"routingMode": "REGIONAL"}
		var below []string
		for _, r := range s.world.regionList {
			if s.hasSubnetwork(r.name, name) {
				below = append(below, s.selfLink("regions/"+r.name+"/subnetworks/"+name))
			}
		}
		o["subnetworks"] = below
		all = append(all, o)
	}
	return all
}

func (s *Server) hasSubnetwork(region, name string) bool {
	return s.world.region(region) != nil &&
		(name == networkName || name == customNetwork && region == s.world.regionList[0].name)
}

func (s *Server) subnetworks(r *request) []object {
	var all []object
	for _, name := range []string{customNetwork, networkName} {
		if !s.hasSubnetwork(r.path["region"], name) {
			continue
		}
		path := "regions/" + r.path["region"] + "/subnetworks/" + name
		o := s.thing("subnetwork", name, path)
		o["network"], o["region"] = s.selfLink("global/networks/"+name), s.selfLink("regions/"+r.path["region"])
		o["ipCidrRange"], o["gatewayAddress"], o["privateIpGoogleAccess"] = "10.128.0.0/20", "10.128.0.1", false
		all = append(all, o)
	}
	return all
}

// image families and the images that are their newest.
var publicImages = []struct{ name, family, arch string }{
	{"ubuntu-2404-noble-amd64-v20260901", "ubuntu-2404-lts-amd64", "X86_64"},
	{"ubuntu-2404-noble-arm64-v20260901", "ubuntu-2404-lts-arm64", "ARM64"},
	{"ubuntu-2204-jammy-v20260901", "ubuntu-2204-lts", "X86_64"},
}

func (s *Server) images(r *request) []object {
	if r.path["project"] != imageProject {
		return nil
	}
	var all []object
	for _, image := range publicImages {
		all = append(all, s.image(image.name, image.family, image.arch))
	}
	return all
}

func (s *Server) image(name, family, arch string) object {
	address := "https://www.googleapis.com/compute/v1/projects/" + imageProject + "/global/images/" + name
	return object{
		"kind": "compute#image", "id": number(address), "name": name, "family": family, "architecture": arch,
		"creationTimestamp": standsSince, "selfLink": address, "status": "READY", "diskSizeGb": "10",
		"archiveSizeBytes": "2147483648", "sourceType": "RAW",
	}
}

func (s *Server) getFromFamily(r *request) (object, *apiError) {
	for _, image := range publicImages {
		if r.path["project"] == imageProject && image.family == r.path["family"] {
			return s.image(image.name, image.family, image.arch), nil
		}
	}
	return nil, notFound(s.pathOf(r))
}

// findImage is the image that a disk's sourceImage names, in any of the forms
// that Compute takes; nil if there is none.
func (s *Server) findImage(source string) object {
	source = strings.TrimPrefix(source, "https://www.googleapis.com/compute/v1/")
	source = strings.TrimPrefix(source, "https://compute.googleapis.com/compute/v1/")
	rest, ok := strings.CutPrefix(source, "projects/"+imageProject+"/global/images/")
	if !ok {
		return nil
	}
	family, byFamily := strings.CutPrefix(rest, "family/")
	for _, image := range publicImages {
		if byFamily && image.family == family || !byFamily && image.name == rest {
			return s.image(image.name, image.family, image.arch)
		}
	}
	return nil
}
