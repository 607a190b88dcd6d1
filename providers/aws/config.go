package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/spotrelay/spotrelay/providers"
)

// config is a fleet's config block, as JSON carries it and, after readConfig,
// with its defaults and checked.
type config struct {
	Region          string            `json:"region"`
	Subnets         []string          `json:"subnets"`
	SecurityGroups  []string          `json:"security_groups"`
	PublicIP        *bool             `json:"public_ip"`
	Image           string            `json:"image"`
	InstanceProfile string            `json:"instance_profile"`
	InstanceTypes   []string          `json:"instance_types"`
	ExcludeTypes    []string          `json:"exclude_types"`
	MaxPrice        *float64          `json:"max_price"`
	MaxInstances    float64           `json:"max_instances"`
	SpotAllocation  string            `json:"spot_allocation"`
	OnDemandAlloc   string            `json:"on_demand_allocation"`
	KeyName         string            `json:"key_name"`
	Tags            map[string]string `json:"tags"`
	Profile         string            `json:"profile"`
	Endpoint        string            `json:"endpoint"`
	Disks           []diskBlock       `json:"disk"`
	Roles           []roleBlock       `json:"assume_role"`
	Templates       []templateBlock   `json:"launch_template"`

	diskGiven bool // there is a disk block
}

type diskBlock struct {
	Size       string  `json:"size"`
	Type       string  `json:"type"`
	IOPS       float64 `json:"iops"`
	Throughput float64 `json:"throughput"`
	Encrypted  *bool   `json:"encrypted"`
	KMSKey     string  `json:"kms_key"`

	bytes int64
}

type roleBlock struct {
	ARN         string `json:"arn"`
	ExternalID  string `json:"external_id"`
	SessionName string `json:"session_name"`
}

type templateBlock struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// disk is the fleet's root volume.
func (c config) disk() diskBlock { return c.Disks[0] }

// role to rent as; zero for none.
func (c config) role() roleBlock {
	if len(c.Roles) == 0 {
		return roleBlock{}
	}
	return c.Roles[0]
}

// template to start from; zero for none.
func (c config) template() templateBlock {
	if len(c.Templates) == 0 {
		return templateBlock{}
	}
	return c.Templates[0]
}

// reader collects the faults of a config block.
type reader struct{ faults []providers.Fault }

func (r *reader) fault(summary, detail string, path ...string) {
	r.faults = append(r.faults, providers.Fault{Severity: providers.SeverityError, Path: path, Summary: summary, Detail: detail})
}

// readConfig reads and checks a config block; without faults it is whole.
func readConfig(data json.RawMessage) (config, []providers.Fault) {
	var c config
	r := &reader{}
	if len(data) == 0 {
		data = json.RawMessage("{}")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		r.undecodable(err)
		return c, r.faults
	}
	c.SpotAllocation = r.oneOf(c.SpotAllocation, spotStrategies, "spot_allocation")
	c.OnDemandAlloc = r.oneOf(c.OnDemandAlloc, onDemandStrategies, "on_demand_allocation")
	r.place(c)
	r.bounds(c)
	r.tags(c.Tags)
	r.disk(&c)
	r.role(c)
	r.template(&c)
	return c, r.faults
}

// requireConfig is readConfig for the calls that cannot go on with a fault.
func requireConfig(op string, fleet providers.Fleet) (config, error) {
	c, faults := readConfig(fleet.Config)
	if len(faults) > 0 {
		at := ""
		if len(faults[0].Path) > 0 {
			at = strings.Join(faults[0].Path, ".") + ": "
		}
		return c, refuse(op, providers.CodeConfiguration, "fleet "+fleet.Name+": "+at+faults[0].Summary, faults[0].Detail)
	}
	return c, nil
}

// unknownField finds the name in encoding/json's complaint, for the place; that
// something is wrong is known without it.
var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

func (r *reader) undecodable(err error) {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		r.fault(fmt.Sprintf("A %s does not fit here", wrong.Value), "The reference in docs/aws.md has each attribute's type.", strings.Split(wrong.Field, ".")...)
		return
	}
	if found := unknownField.FindStringSubmatch(err.Error()); found != nil {
		r.fault(fmt.Sprintf("There is no attribute %q", found[1]), "The reference in docs/aws.md has them all.", found[1])
		return
	}
	r.fault("The config block cannot be read: "+err.Error(), "Write it as docs/aws.md has it.")
}

var (
	validRegion = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-\d+$`)
	validSubnet = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	validGroup  = regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`)
	validRole   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/.+$`)
)

func (r *reader) place(c config) {
	if !validRegion.MatchString(c.Region) {
		r.fault(fmt.Sprintf("%q is no region", c.Region), `Write region = "us-east-1", for example; a zone has one more letter.`, "region")
	}
	r.ids(c.Subnets, validSubnet, "subnet", "subnets")
	r.ids(c.SecurityGroups, validGroup, "security group", "security_groups")
	if c.Endpoint != "" {
		if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			r.fault(fmt.Sprintf("%q is no address", c.Endpoint), `Write it as "http://127.0.0.1:4566".`, "endpoint")
		}
	}
}

func (r *reader) ids(ids []string, valid *regexp.Regexp, kind, attribute string) {
	for i, id := range ids {
		at := []string{attribute, fmt.Sprint(i)}
		switch {
		case !valid.MatchString(id):
			r.fault(fmt.Sprintf("%q is no %s", id, kind), "Give its id, such as "+kindExample(attribute)+".", at...)
		case slices.Contains(ids[:i], id):
			r.fault(fmt.Sprintf("%s is there twice", id), "Remove one of them.", at...)
		}
	}
}

func kindExample(attribute string) string {
	if attribute == "subnets" {
		return "subnet-0a1b2c3d4e5f60718"
	}
	return "sg-0a1b2c3d4e5f60718"
}

func (r *reader) bounds(c config) {
	r.globs(c.InstanceTypes, "instance_types")
	r.globs(c.ExcludeTypes, "exclude_types")
	if c.MaxPrice != nil && (!(*c.MaxPrice > 0) || math.IsInf(*c.MaxPrice, 0)) {
		r.fault("A price is above zero", "Give dollars an hour, such as 0.50, or leave it out.", "max_price")
	}
	r.whole(c.MaxInstances, "max_instances")
}

func (r *reader) globs(globs []string, attribute string) {
	for i, glob := range globs {
		if _, err := path.Match(glob, ""); err != nil || glob == "" || strings.ContainsAny(glob, `[]\/ `) {
			r.fault(fmt.Sprintf("%q is no instance type", glob), `Write it as "m7i.large" or "c7*.*": * is any text, ? any character.`, attribute, fmt.Sprint(i))
		}
	}
}

func (r *reader) whole(n float64, at ...string) {
	if n != math.Trunc(n) || n < 0 || n > 1e6 {
		r.fault(fmt.Sprintf("%v is no number that can be used here", n), "Give a whole number from 1 on.", at...)
	}
}

func (r *reader) oneOf(text string, allowed []string, at ...string) string {
	if text == "" {
		return allowed[0]
	}
	if !slices.Contains(allowed, text) {
		r.fault(fmt.Sprintf("%q is not known here", text), "It is one of "+strings.Join(allowed, ", ")+".", at...)
	}
	return text
}

// tags: AWS's rules for them ("Tag restrictions"), and none of ours.
func (r *reader) tags(tags map[string]string) {
	for _, key := range sortedKeys(tags) {
		switch {
		case strings.HasPrefix(key, "spotrelay-"):
			r.fault(fmt.Sprintf("The tag %q is spotrelay's own", key), "Choose another name.", "tags", key)
		case key == "" || len(key) > 128 || strings.HasPrefix(strings.ToLower(key), "aws:"):
			r.fault(fmt.Sprintf("%q is no name for a tag", key), "It has 1 to 128 characters and does not begin with aws:.", "tags", key)
		case len(tags[key]) > 256:
			r.fault(fmt.Sprintf("The value of the tag %q is too long", key), "It has at most 256 characters.", "tags", key)
		}
	}
	if len(tags) > 40 {
		r.fault("Too many tags", "EC2 allows 50 on an instance, and ten are kept for spotrelay.", "tags")
	}
}

func (r *reader) disk(c *config) {
	if !r.atMostOne(len(c.Disks), "disk") {
		return
	}
	c.diskGiven = len(c.Disks) == 1
	if !c.diskGiven {
		c.Disks = []diskBlock{{}}
	}
	d := &c.Disks[0]
	at := func(attribute string) []string { return []string{"disk", "0", attribute} }
	d.Size = orElse(d.Size, defaultDisk)
	n, err := humanize.ParseBytes(d.Size)
	if err != nil || n == 0 || n > maxVolume {
		r.fault(fmt.Sprintf("%q is no size of a volume", d.Size), `Write it as "100GiB"; a volume has at most 16TiB.`, at("size")...)
	}
	d.bytes = int64(min(n, maxVolume))
	d.Type = r.oneOf(d.Type, diskTypes, at("type")...)
	r.whole(d.IOPS, at("iops")...)
	r.whole(d.Throughput, at("throughput")...)
	if d.Throughput > 0 && d.Type != "gp3" {
		r.fault("Only a gp3 volume has a throughput to choose", `Use type = "gp3", or leave throughput out.`, at("throughput")...)
	}
	if d.IOPS > 0 && !slices.Contains([]string{"gp3", "io1", "io2"}, d.Type) {
		r.fault(fmt.Sprintf("A %s volume has no iops to choose", d.Type), "Use gp3, io1 or io2, or leave iops out.", at("iops")...)
	}
	if d.KMSKey != "" && d.Encrypted != nil && !*d.Encrypted {
		r.fault("A volume that is not encrypted has no key", "Leave kms_key out, or encrypted.", at("kms_key")...)
	}
}

func (r *reader) role(c config) {
	if !r.atMostOne(len(c.Roles), "assume_role") || len(c.Roles) == 0 {
		return
	}
	if role := c.Roles[0]; !validRole.MatchString(role.ARN) {
		r.fault(fmt.Sprintf("%q is no role's ARN", role.ARN), "Write it as arn:aws:iam::111122223333:role/spotrelay.", "assume_role", "0", "arn")
	}
}

func (r *reader) template(c *config) {
	if !r.atMostOne(len(c.Templates), "launch_template") || len(c.Templates) == 0 {
		return
	}
	t := &c.Templates[0]
	t.Version = orElse(t.Version, defaultVersion)
	if (t.ID == "") == (t.Name == "") {
		r.fault("Which launch template is meant is not clear", "Give one of id and name.", "launch_template", "0")
	}
}

func (r *reader) atMostOne(n int, kind string) bool {
	if n > 1 {
		r.fault("There is more than one "+kind+" block", "Keep one of them.", kind, "1")
	}
	return n <= 1
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
