//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// provider implements providers.Provider, Console and Preempter. Its cloud is a
// folder; a machine there has a keeper, a process of its own.
type provider struct{}

var (
	_ providers.Provider  = (*provider)(nil)
	_ providers.Console   = (*provider)(nil)
	_ providers.Preempter = (*provider)(nil)
)

func failed(code providers.Code, op, format string, args ...any) error {
	return &providers.Error{Code: code, Op: op, Message: fmt.Sprintf(format, args...)}
}

// config is the fleet's config block.
type config struct {
	Folder      string            `json:"folder"`
	Kernel      string            `json:"kernel"`
	Modules     string            `json:"modules"`
	Agent       string            `json:"agent"`
	Most        int               `json:"most"`
	Memory      int64             `json:"memory_mib"`
	Forward     []int             `json:"forward"`
	Environment map[string]string `json:"environment"`
}

// Describe implements providers.Provider.
func (p *provider) Describe(context.Context) (providers.Description, error) {
	path := func(name, description, example string) providers.Attribute {
		return providers.Attribute{Name: name, Type: "string", Required: true, Description: description, Example: example}
	}
	return providers.Description{
		Name: "qemu", Version: "1.0.0",
		Capabilities: []providers.Capability{providers.CapabilityConsole, providers.CapabilityOnDemand, providers.CapabilityPreempt},
		Schema: providers.Schema{Attributes: []providers.Attribute{
			path("folder", "Where the machines are kept; a short absolute path.", `"/srv/machines"`),
			path("kernel", "The kernel that they boot.", `"/boot/vmlinuz-6.1.0-56-cloud-amd64"`),
			path("modules", "The folder with that kernel's modules.", `"/lib/modules/6.1.0-56-cloud-amd64"`),
			path("agent", "spotrelay-agent for linux-amd64, without libraries.", `"/usr/local/bin/spotrelay-agent"`),
			{Name: "most", Type: "number", Default: json.RawMessage("2"), Description: "Machines at the same time."},
			{Name: "memory_mib", Type: "number", Default: json.RawMessage("512"), Description: "Memory of a machine, in MiB."},
			{Name: "forward", Type: "list(number)", Description: "Ports of this machine's loopback that are also at theirs, for a bucket that is served here.", Example: "[9000]"},
			{Name: "environment", Type: "map(string)", Description: "More variables for the agent. Whoever may read the job file reads them too.", Example: `{"AWS_REGION" = "none"}`},
		}},
		TokenWindow: time.Hour,
		Notice: &providers.NoticeProbe{
			Metadata: "http://" + metadataAddress,
			Sources: []providers.NoticeSource{{
				Name: "spot/notice", Kind: "interruption", URL: "{metadata}/spot/notice", Interval: 500 * time.Millisecond, Absent: []int{404},
				Match: providers.NoticeMatch{Action: "action", Deadline: "time"},
			}},
		},
		Leave:       providers.Leave{Means: providers.LeavePowerOff},
		BootTimeout: 5 * time.Minute,
	}, nil
}

func parse(op string, fleet providers.Fleet) (config, error) {
	c := config{Most: 2, Memory: 512}
	decoder := json.NewDecoder(bytes.NewReader(fleet.Config))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, failed(providers.CodeConfiguration, op, "the config block: %v", err)
	}
	if !filepath.IsAbs(c.Folder) || c.Most < 1 || c.Memory < 128 {
		return c, failed(providers.CodeConfiguration, op, "folder is an absolute path, most is from 1, memory_mib from 128")
	}
	return c, nil
}

// Check implements providers.Provider.
func (p *provider) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	c, err := parse("check", fleet)
	if err != nil {
		return nil, err
	}
	var faults []providers.Fault
	fault := func(err error, attribute, detail string) {
		if err != nil {
			faults = append(faults, providers.Fault{
				Severity: providers.SeverityError, Path: []string{attribute}, Summary: err.Error(), Detail: detail,
			})
		}
	}
	_, err = os.Stat(c.Kernel)
	fault(err, "kernel", "Unpack Debian's linux-image-cloud-amd64 with dpkg -x.")
	_, err = findModules(c.Modules)
	fault(err, "modules", "They lie beside the kernel, in lib/modules.")
	fault(checkStatic(c.Agent), "agent", "It is installed beside spotrelay.")
	if info, err := os.Stat(c.Folder); err != nil || !info.IsDir() {
		fault(fmt.Errorf("%s is no folder", c.Folder), "folder", "Make it, or name another one.")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		faults = append(faults, providers.Fault{Severity: providers.SeverityError, Summary: err.Error(), Detail: "Install qemu-system-x86."})
	}
	return faults, ctx.Err()
}

func market(c config) []providers.Offer {
	spot := providers.Offer{
		Zone: "here", InstanceType: "machine", Capacity: providers.Spot, Price: 0.01,
		CPUs: 1, Memory: c.Memory << 20, Arch: "amd64", OS: "linux", FleetLimit: c.Most,
	}
	onDemand := spot
	onDemand.Capacity, onDemand.Price = providers.OnDemand, 0.03
	return []providers.Offer{spot, onDemand}
}

// Offers implements providers.Provider.
func (p *provider) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	c, err := parse("offers", fleet)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, failed(providers.CodeUnavailable, "offers", "%v", err)
	}
	var offers []providers.Offer
	for _, o := range market(c) {
		if o.CPUs >= need.CPUs && o.Memory >= need.Memory && need.GPUs == 0 && (need.Arch == "" || strings.EqualFold(need.Arch, o.Arch)) {
			offers = append(offers, o)
		}
	}
	return offers, nil
}
