package gcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	archAMD64 = "amd64"
	archARM64 = "arm64"

	gib = 1 << 30
)

// block is the config block as JSON carries it.
type block struct {
	Project             string   `json:"project"`
	Region              string   `json:"region"`
	Zones               []string `json:"zones"`
	Network             string   `json:"network"`
	Subnetwork          string   `json:"subnetwork"`
	Image               string   `json:"image"`
	ImageARM64          string   `json:"image_arm64"`
	ServiceAccount      string   `json:"service_account"`
	Scopes              []string `json:"scopes"`
	MachineTypes        []string `json:"machine_types"`
	ExcludeMachineTypes []string `json:"exclude_machine_types"`
	DiskType            string   `json:"disk_type"`
	DiskSize            string   `json:"disk_size"`
	NetworkTags         []string `json:"network_tags"`
	ExternalIP          *bool    `json:"external_ip"`
	PreemptionNotice    string   `json:"preemption_notice"`
	Endpoint            string   `json:"endpoint"`
	BillingEndpoint     string   `json:"billing_endpoint"`
	Anonymous           bool     `json:"anonymous"`
}

// config is a fleet's config block, read and checked.
type config struct {
	block
	images     map[string]image // by arch
	diskGB     int64
	externalIP bool
	notice     time.Duration
}

var (
	projectForm  = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z]([a-z0-9-]{4,28})[a-z0-9]$`)
	regionForm   = regexp.MustCompile(`^[a-z]+-[a-z]+\d+$`)
	zoneForm     = regexp.MustCompile(`^[a-z]+-[a-z]+\d+-[a-z]+\d*$`)
	resourceForm = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// reader gathers the faults of a config block.
type reader struct{ faults []providers.Fault }

func (r *reader) fault(path []string, summary, detail string) {
	r.faults = append(r.faults, providers.Fault{Severity: providers.SeverityError, Path: path, Summary: summary, Detail: detail})
}

// readConfig reads a fleet's config block and finds what is wrong with it by
// itself, without the network.
func readConfig(raw json.RawMessage) (config, []providers.Fault) {
	var c config
	var r reader
	if len(bytes.TrimSpace(raw)) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&c.block); err != nil {
			r.fault(nil, "The config block cannot be read: "+err.Error(), "Compare it with the reference of the provider gcp.")
			return c, r.faults
		}
	}
	r.place(&c)
	r.machines(&c)
	c.externalIP = c.ExternalIP == nil || *c.ExternalIP
	if len(c.Scopes) == 0 {
		c.Scopes = []string{defaultScope}
	}
	for i, tag := range c.NetworkTags {
		if !resourceForm.MatchString(tag) {
			r.fault([]string{"network_tags", strconv.Itoa(i)}, fmt.Sprintf("%q is no network tag", tag), "A tag has lower-case letters, digits and hyphens, a letter first, 63 at most.")
		}
	}
	if c.ServiceAccount != "" && !strings.Contains(c.ServiceAccount, "@") {
		r.fault([]string{"service_account"}, fmt.Sprintf("%q is no e-mail address", c.ServiceAccount), `Write it as "name@project.iam.gserviceaccount.com".`)
	}
	r.endpoints(&c)
	return c, r.faults
}

// place reads where instances are.
func (r *reader) place(c *config) {
	if !projectForm.MatchString(c.Project) {
		r.fault([]string{"project"}, fmt.Sprintf("%q is no project id", c.Project), "Give the project's id, which `gcloud projects list` shows; neither its name nor its number.")
	}
	if !regionForm.MatchString(c.Region) {
		r.fault([]string{"region"}, fmt.Sprintf("%q is no region", c.Region), `Write it as "us-central1".`)
	}
	for i, zone := range c.Zones {
		at := []string{"zones", strconv.Itoa(i)}
		switch {
		case !strings.HasPrefix(zone, c.Region+"-"):
			r.fault(at, fmt.Sprintf("The zone %q is not in the region %s", zone, c.Region), "A fleet is in one region; make a fleet of its own for another one.")
		case slices.Contains(c.Zones[:i], zone):
			r.fault(at, fmt.Sprintf("The zone %q is there twice", zone), "Name each zone once.")
		}
	}
	if c.Network == "" && c.Subnetwork == "" {
		c.Network = defaultNetwork
	}
	for _, attribute := range []struct{ path, text, kind string }{{"network", c.Network, "networks"}, {"subnetwork", c.Subnetwork, "subnetworks"}} {
		if attribute.text != "" && !strings.Contains(attribute.text, "/"+attribute.kind+"/") && !resourceForm.MatchString(attribute.text) {
			r.fault([]string{attribute.path}, fmt.Sprintf("%q is no name of one in %s", attribute.text, attribute.kind), "Give its name, or its path from projects/ on.")
		}
	}
}

// machines reads what instances are made of.
func (r *reader) machines(c *config) {
	for _, globs := range []struct {
		path string
		list []string
	}{{"machine_types", c.MachineTypes}, {"exclude_machine_types", c.ExcludeMachineTypes}} {
		for i, glob := range globs.list {
			if _, err := path.Match(glob, "n2-standard-4"); err != nil || glob == "" {
				r.fault([]string{globs.path, strconv.Itoa(i)}, fmt.Sprintf("%q is no glob of machine types", glob), `Write it as "n2-*" or "c3-standard-[48]".`)
			}
		}
	}
	c.images = map[string]image{}
	for _, attribute := range []struct{ path, text, arch string }{{"image", orText(c.Image, defaultImage), archAMD64}, {"image_arm64", orText(c.ImageARM64, c.Image, defaultImage), archARM64}} {
		found, ok := parseImage(attribute.text, attribute.arch)
		switch {
		case !ok && (attribute.arch == archAMD64 || c.ImageARM64 != ""):
			r.fault([]string{attribute.path}, fmt.Sprintf("%q names no image", attribute.text), imageHint)
		case ok && (attribute.arch == archAMD64 || c.ImageARM64 != "" || found.alias):
			c.images[attribute.arch] = found
		}
	}
	size, err := humanize.ParseBytes(orText(c.DiskSize, defaultDiskSize))
	if err != nil || size < 1 || size > 64<<40 {
		r.fault([]string{"disk_size"}, fmt.Sprintf("%q is no size for a disk", c.DiskSize), `Write it as "50GiB"; 64 TiB at most.`)
		size = gib
	}
	c.diskGB = int64((size + gib - 1) / gib)
	c.notice, err = time.ParseDuration(orText(c.PreemptionNotice, defaultNotice))
	if err != nil || c.notice != 0 && c.notice != 120*time.Second {
		r.fault([]string{"preemption_notice"}, fmt.Sprintf("Compute gives no notice of %q", c.PreemptionNotice), `It is "0s" or "120s".`)
	}
}

// endpoints reads the addresses of the APIs, from the environment where the
// block has none: the variables are those of gcloud.
func (r *reader) endpoints(c *config) {
	c.Endpoint = orText(c.Endpoint, os.Getenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"))
	c.BillingEndpoint = orText(c.BillingEndpoint, os.Getenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING"))
	for _, attribute := range []struct {
		path string
		text *string
	}{{"endpoint", &c.Endpoint}, {"billing_endpoint", &c.BillingEndpoint}} {
		if *attribute.text == "" {
			continue
		}
		address, err := url.Parse(*attribute.text)
		if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" {
			r.fault([]string{attribute.path}, fmt.Sprintf("%q is no address", *attribute.text), `Write it as "https://host".`)
			continue
		}
		// gcloud's variable ends in the API's path, which the client appends.
		*attribute.text = strings.TrimSuffix(strings.TrimSuffix(*attribute.text, "/"), "/compute/v1")
	}
}

// requireConfig is readConfig for the calls that cannot go on with a fault.
func requireConfig(op string, fleet providers.Fleet) (config, error) {
	c, faults := readConfig(fleet.Config)
	if len(faults) == 0 {
		return c, nil
	}
	at := ""
	if len(faults[0].Path) > 0 {
		at = strings.Join(faults[0].Path, ".") + ": "
	}
	return c, fault(op, providers.CodeConfiguration, "fleet "+fleet.Name+": "+at+faults[0].Summary, faults[0].Detail)
}

// allows reports whether a machine type may be rented.
func (c config) allows(machineType string) bool {
	matches := func(glob string) bool { ok, err := path.Match(glob, machineType); return ok && err == nil }
	return (len(c.MachineTypes) == 0 || slices.ContainsFunc(c.MachineTypes, matches)) &&
		!slices.ContainsFunc(c.ExcludeMachineTypes, matches)
}

// loopback reports whether an address is on this machine, where no credential
// is sent.
func loopback(endpoint string) bool {
	address, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	host := address.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// orText is the first text that is not empty.
func orText(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
