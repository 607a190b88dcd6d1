package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// config is a fleet's config block, whole: with its defaults and its hosts'.
type config struct {
	User       string            `json:"user"`
	Key        string            `json:"key"`
	KnownHosts string            `json:"known_hosts"`
	Folder     string            `json:"folder"`
	DownAfter  string            `json:"down_after"`
	Agents     map[string]string `json:"agents"`
	Hosts      []hostConfig      `json:"host"`

	downAfter time.Duration
}

// hostConfig is a host block.
type hostConfig struct {
	Name    string  `json:"name"`
	Address string  `json:"address"` // host:port after parseConfig
	User    string  `json:"user"`
	Folder  string  `json:"folder"`
	Zone    string  `json:"zone"`
	Slots   int     `json:"slots"`
	Price   float64 `json:"price"`
	GPUs    int     `json:"gpus"`
	GPUType string  `json:"gpu_type"`
}

const (
	defaultFolder    = ".spotrelay"
	defaultPrice     = 0.01
	defaultDownAfter = 2 * time.Minute
)

// validName is a host's name: it is part of the ids of its instances.
var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

func schema() providers.Schema {
	text := func(name, description, example string) providers.Attribute {
		return providers.Attribute{Name: name, Type: "string", Description: description, Example: example}
	}
	required := func(a providers.Attribute) providers.Attribute { a.Required = true; return a }
	return providers.Schema{
		Attributes: []providers.Attribute{
			text("user", "Who logs in; by default who runs spotrelay.", `"batch"`),
			text("key", "The file with the private key; by default the keys of the SSH agent are used.", `"~/.ssh/id_ed25519"`),
			text("known_hosts", "The file with the hosts' keys; by default ~/.ssh/known_hosts. A host that is not in it is refused.", `"known_hosts"`),
			text("folder", "The folder on the hosts, absolute or below the user's home; by default .spotrelay.", `"/srv/spotrelay"`),
			{
				Name: "down_after", Type: "duration", Example: `"10m"`,
				Description: "How long a host may be out of reach before what ran there counts as lost; by default 2m.",
			},
			{
				Name: "agents", Type: "map(string)", Example: `{"linux-amd64" = "/usr/local/bin/spotrelay-agent"}`,
				Description: "Agent programs on this machine by platform, for buckets that are no folder here.",
			},
		},
		Blocks: []providers.Block{{
			Type: "host", Description: "A machine.",
			Schema: providers.Schema{Attributes: []providers.Attribute{
				required(text("name", "Its name, part of its instances' ids: small letters, digits and '-'.", `"alpha"`)),
				required(text("address", "Where its sshd is, with a port other than 22 after a colon.", `"10.0.0.5"`)),
				text("user", "Who logs in, if it is somebody else there.", `"root"`),
				text("folder", "The folder, if it is another one there.", `"/data/spotrelay"`),
				text("zone", "Hosts that fail together have a zone in common; by default static.", `"rack-1"`),
				{Name: "slots", Type: "number", Description: "Instances at the same time; by default 1.", Example: "4"},
				{Name: "price", Type: "number", Description: "What an instance there costs, in dollars an hour; by default 0.01.", Example: "0.2"},
				{Name: "gpus", Type: "number", Description: "GPUs of the machine, shared out among its slots.", Example: "1"},
				text("gpu_type", "Their model.", `"a100"`),
			}},
		}},
	}
}

// parseConfig reads a fleet's config. Every fault that it finds is told, each
// with its path in the block.
func parseConfig(fleet providers.Fleet) (config, []providers.Fault) {
	var c config
	raw := fleet.Config
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, []providers.Fault{wrong("The config block is not understood", err.Error())}
	}
	var faults []providers.Fault
	add := func(summary, detail string, path ...string) {
		faults = append(faults, wrong(summary, detail, path...))
	}
	c.Key, c.KnownHosts = expandHome(c.Key), expandHome(c.KnownHosts)
	if c.KnownHosts == "" {
		c.KnownHosts = expandHome("~/.ssh/known_hosts")
	}
	if c.User == "" {
		c.User = os.Getenv("USER")
	}
	c.downAfter = defaultDownAfter
	if c.DownAfter != "" {
		after, err := time.ParseDuration(c.DownAfter)
		if err != nil || after < time.Second {
			add("down_after is no time of a second or more", "Write it as \"90s\" or \"10m\".", "down_after")
		}
		c.downAfter = after
	}
	if len(c.Hosts) == 0 {
		add("There is no host", "Add a block: host { name = \"alpha\", address = \"10.0.0.5\" }")
	}
	names := map[string]bool{}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		h.inherit(c)
		for _, fault := range h.faults(names) {
			fault.Path = append([]string{"host", strconv.Itoa(i)}, fault.Path...)
			faults = append(faults, fault)
		}
		names[h.Name] = true
	}
	return c, faults
}

// inherit fills in what the block leaves out.
func (h *hostConfig) inherit(c config) {
	fill := func(to *string, from string) {
		if *to == "" {
			*to = from
		}
	}
	fill(&h.User, c.User)
	fill(&h.Folder, c.Folder)
	fill(&h.Folder, defaultFolder)
	fill(&h.Zone, "static")
	if h.Slots == 0 {
		h.Slots = 1
	}
	if h.Price == 0 {
		h.Price = defaultPrice
	}
	if _, _, err := net.SplitHostPort(h.Address); err != nil && h.Address != "" {
		h.Address = net.JoinHostPort(h.Address, "22")
	}
}

func (h *hostConfig) faults(taken map[string]bool) []providers.Fault {
	var faults []providers.Fault
	add := func(summary, detail, attribute string) {
		faults = append(faults, wrong(summary, detail, attribute))
	}
	if !validName.MatchString(h.Name) {
		add(fmt.Sprintf("%q is no name of a host", h.Name), "A name has small letters, digits and '-', at most 40.", "name")
	}
	if taken[h.Name] {
		add(fmt.Sprintf("The host %q is there twice", h.Name), "Each host has a name of its own, since its instances' ids begin with it.", "name")
	}
	if h.Address == "" {
		add("The host has no address", "Write a name or an address, with a port other than 22 after a colon.", "address")
	}
	if h.User == "" {
		add("Nobody is named who logs in", "Set user; the environment has no USER.", "user")
	}
	if h.Slots < 1 || h.Slots > 1000 {
		add("slots is not from 1 to 1000", "", "slots")
	}
	if !(h.Price > 0) {
		add("price is not above zero", "It is what an hour costs in dollars, and what orders the hosts.", "price")
	}
	if h.GPUs < 0 {
		add("gpus is below zero", "", "gpus")
	}
	return faults
}

// requireConfig is parseConfig for calls that cannot go on with a fault.
func requireConfig(op string, fleet providers.Fleet) (config, error) {
	c, faults := parseConfig(fleet)
	if len(faults) > 0 {
		f := faults[0]
		return c, &providers.Error{Code: providers.CodeConfiguration, Op: op, Message: fmt.Sprintf("%v: %s", f.Path, f.Summary), Hint: f.Detail}
	}
	return c, nil
}

func wrong(summary, detail string, path ...string) providers.Fault {
	return providers.Fault{Severity: providers.SeverityError, Path: path, Summary: summary, Detail: detail}
}

func expandHome(path string) string {
	if len(path) >= 2 && path[:2] == "~/" {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, path[2:])
		}
	}
	return path
}
