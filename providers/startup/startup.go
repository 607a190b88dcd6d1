// Package startup renders the script that makes a worker of a plain Linux VM:
// user data on EC2, a startup script on Compute Engine, a command over SSH. The
// script finds out the instance's id, fetches the agent for the machine from
// the bucket, checks it, starts it with its environment, and ends the instance
// when any of that fails.
//
// It needs a POSIX shell, coreutils, sed, and curl or python3: what Ubuntu,
// Debian and Amazon Linux images have. It is about 12 KB longer than the
// agent's environment; see UserData for EC2's limit.
//
// At run time it honours AWS_EC2_METADATA_SERVICE_ENDPOINT and
// GCE_METADATA_HOST, as the clouds' own programs do, SPOTRELAY_HOME, and
// SPOTRELAY_LEAVE=exit: then it never powers the machine off, stays in the
// foreground while the agent runs, and ends with the agent's exit code, as with
// providers.LeaveExit. So it can be run as an ordinary user.
package startup

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

//go:embed http.sh
var httpText string

//go:embed leave.sh
var leaveText string

//go:embed watch.sh
var watchText string

//go:embed boot.sh
var bootText string

//go:embed s3.sh
var s3Text string

//go:embed gs.sh
var gsText string

//go:embed file.sh
var fileText string

// fetchTexts are what reads each kind of bucket.
var fetchTexts = map[string]string{storeS3: s3Text, storeGCS: gsText, storeFile: fileText}

// DefaultHome is the agent's folder where Options names none.
const DefaultHome = "/var/lib/spotrelay"

// Metadata is how the script learns who the instance is and with what
// credentials to read the bucket.
type Metadata string

const (
	// MetadataNone: there is no metadata service. The id is Options.Instance,
	// or SPOTRELAY_INSTANCE where the script is run; the credentials for an S3
	// bucket are the environment's AWS_ACCESS_KEY_ID and so on.
	MetadataNone Metadata = "none"
	// MetadataEC2 is the instance metadata service of EC2 in its version 2,
	// asked for a token first.
	MetadataEC2 Metadata = "ec2"
	// MetadataGCE is Compute Engine's.
	MetadataGCE Metadata = "gce"
)

// Options is what a provider decides of the script.
type Options struct {
	// Instance is the instance's id where it is known beforehand. Otherwise it
	// is a pattern: each {path} in it is replaced by the last element of what
	// the metadata service answers to that path (below latest/meta-data/ on
	// EC2, below computeMetadata/v1/ on Compute Engine). "" is {instance-id}
	// with MetadataEC2 and {instance/id} with MetadataGCE; a pattern such as
	// "{instance/zone}/{instance/name}" gives "us-central1-a/worker-1".
	Instance string
	Metadata Metadata // "" is MetadataNone
	// Environment for the agent, beside the Bootstrap's; it wins over that.
	Environment map[string]string
	// BootTimeout ends the instance when the agent has not started by then;
	// 0: no bound. Rounded up to seconds, as MaxLife.
	BootTimeout time.Duration
	// MaxLife ends the instance so long after the agent's start, whatever it
	// does; 0: no bound.
	MaxLife time.Duration
	// Leave is how the instance ends itself. It has no default.
	Leave providers.Leave
	// Home is the agent's folder, an absolute path; "" is DefaultHome.
	Home string
}

// Script renders the script for b. It is the same for the same arguments. An
// error says which part of b or o cannot be used; it carries no code, since a
// provider knows what operation it was about.
func Script(b providers.Bootstrap, o Options) ([]byte, error) {
	from, err := parseBucket(b.Bucket)
	if err != nil {
		return nil, err
	}
	if o, err = withDefaults(o); err != nil {
		return nil, err
	}
	if from.store == storeGCS && !from.anonymous && o.Metadata != MetadataGCE {
		return nil, fmt.Errorf("the bucket %s is read with the token of a service account, which instances outside of Google's cloud do not have; use a bucket in the fleet's cloud", b.Bucket)
	}
	if from.store == storeS3 && from.region == "" && o.Metadata != MetadataEC2 {
		return nil, fmt.Errorf("the bucket's address %s names no region, and the instance cannot find it out; add ?region=", b.Bucket)
	}
	exports, err := exportsOf(b.Environment, o.Environment)
	if err != nil {
		return nil, err
	}
	agents, err := agentsOf(b.Agents, from)
	if err != nil {
		return nil, err
	}
	leave, err := leaveScript(o.Leave)
	if err != nil {
		return nil, err
	}
	var s strings.Builder
	s.WriteString("#!/bin/sh\n# Made by spotrelay: starts the agent that makes this machine a worker.\n")
	s.WriteString("set -u\n")
	set := func(name, value string) { s.WriteString(name + "=" + quote(value) + "\n") }
	set("exports", exports)
	// The data come after, so that no variable of the agent's takes their place.
	s.WriteString("eval \"$exports\"\n")
	set("metadata_kind", string(o.Metadata))
	set("instance", o.Instance)
	set("home", o.Home)
	set("boot_timeout", seconds(o.BootTimeout))
	set("max_life", seconds(o.MaxLife))
	set("leave_means", string(o.Leave.Means))
	set("leave_script", leave)
	set("watch_script", strip(watchText))
	for _, line := range from.data() {
		set(line.name, line.value)
	}
	s.WriteString(agents)
	s.WriteString(strip(httpText))
	s.WriteString(strip(fetchTexts[from.store]))
	s.WriteString(strip(bootText))
	return []byte(s.String()), nil
}

func withDefaults(o Options) (Options, error) {
	pattern := ""
	switch o.Metadata {
	case "", MetadataNone:
		o.Metadata = MetadataNone
		if strings.Contains(o.Instance, "{") {
			return o, fmt.Errorf("the instance's id %q is a pattern, and there is no metadata service to fill it in", o.Instance)
		}
	case MetadataEC2:
		pattern = "{instance-id}"
	case MetadataGCE:
		pattern = "{instance/id}"
	default:
		return o, fmt.Errorf("there is no metadata service of kind %q", o.Metadata)
	}
	if o.Instance == "" {
		o.Instance = pattern
	}
	if strings.ContainsAny(o.Instance, "\x00\n") {
		return o, fmt.Errorf("the instance's id %q has a character that no id has", o.Instance)
	}
	if o.Home == "" {
		o.Home = DefaultHome
	}
	if !path.IsAbs(o.Home) || strings.ContainsAny(o.Home, "\x00\n") {
		return o, fmt.Errorf("the agent's folder %q is no absolute path", o.Home)
	}
	if o.BootTimeout < 0 || o.MaxLife < 0 {
		return o, fmt.Errorf("a time may not be negative: boot timeout %s, longest life %s", o.BootTimeout, o.MaxLife)
	}
	return o, nil
}

// seconds of d, rounded up: sleep(1) of POSIX knows no others.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

// agentsOf renders the function that finds the agent of a platform.
func agentsOf(programs map[string]providers.AgentProgram, from address) (string, error) {
	if len(programs) == 0 {
		return "", fmt.Errorf("the launch names no agent program")
	}
	platforms := slices.Sorted(maps.Keys(programs))
	var s strings.Builder
	s.WriteString("agent_platforms=" + quote(strings.Join(platforms, ", ")) + "\n")
	s.WriteString("agent_for() {\ncase $1 in\n")
	for _, platform := range platforms {
		program := programs[platform]
		if sum, err := hex.DecodeString(program.SHA256); err != nil || len(sum) != 32 {
			return "", fmt.Errorf("the agent for %s has %q as its SHA-256, which is none", platform, program.SHA256)
		}
		at, err := from.pathOf(program.Key)
		if err != nil {
			return "", fmt.Errorf("the agent for %s: %w", platform, err)
		}
		fmt.Fprintf(&s, "%s) agent_path=%s agent_sha256=%s ;;\n", quote(platform), quote(at), strings.ToLower(program.SHA256))
	}
	s.WriteString("*) return 1 ;;\nesac\n}\n")
	return s.String(), nil
}
