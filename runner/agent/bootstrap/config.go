// Package bootstrap is what a controller tells an agent through the environment
// of a new instance, and nothing else: where the bucket is, who the instance is
// and how the machine tells of its end. It carries no secret.
package bootstrap

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Variable names of an agent's environment.
const (
	// VarConfig holds a Config as JSON.
	VarConfig = "SPOTRELAY_AGENT_CONFIG"
	// VarInstance is the instance's id, set by the provider.
	VarInstance = "SPOTRELAY_INSTANCE"
	// VarMetadata overrides NoticeProbe.Metadata, set by the provider.
	VarMetadata = "SPOTRELAY_METADATA"
	// VarUploadLimit bounds sending, in bytes a second, set by the provider.
	VarUploadLimit = "SPOTRELAY_UPLOAD_LIMIT"
	// VarNoticeLead is how long ahead this instance's interruption notice comes,
	// "30s", set by a provider whose fleets differ in that; otherwise it is the
	// Lead of the probe's sources.
	VarNoticeLead = "SPOTRELAY_NOTICE_LEAD"
	// VarAddress is where other instances reach this one, set by a provider
	// whose instances cannot find that out themselves: a host's name or number,
	// or AddressNone.
	VarAddress = "SPOTRELAY_ADDRESS"
	// VarHome is the folder the agent works in, set by the provider; default
	// /var/lib/spotrelay.
	VarHome = "SPOTRELAY_HOME"
)

// AddressNone is VarAddress where no other instance reaches this one.
const AddressNone = "none"

// Config is the content of VarConfig.
type Config struct {
	Version int                    `json:"version"` // job.SpecVersion
	Bucket  string                 `json:"bucket"`
	Run     string                 `json:"run"`
	Fleet   string                 `json:"fleet"`
	Slots   int                    `json:"slots"`
	Timing  job.Timing             `json:"timing"`
	Notice  *providers.NoticeProbe `json:"notice,omitempty"`
	Leave   providers.Leave        `json:"leave"`
}

// SetNoticeLead says how long an interruption notice without a deadline leaves.
// What is not an interruption keeps its lead.
func (c *Config) SetNoticeLead(lead time.Duration) {
	if c.Notice == nil {
		return
	}
	probe := *c.Notice
	probe.Sources = slices.Clone(probe.Sources)
	for i := range probe.Sources {
		if probe.Sources[i].Kind == string(job.NoticeInterruption) {
			probe.Sources[i].Match.Lead = lead
		}
	}
	c.Notice = &probe
}

// Encode is the Config as the value of VarConfig.
func (c Config) Encode() (string, error) {
	data, err := json.Marshal(c)
	return string(data), err
}

// Decode reads the value of VarConfig.
func Decode(value string) (Config, error) {
	var c Config
	if err := json.Unmarshal([]byte(value), &c); err != nil {
		return c, fmt.Errorf("%s is not a configuration: %w", VarConfig, err)
	}
	if c.Version != job.SpecVersion {
		return c, fmt.Errorf("%s has version %d, this agent knows %d", VarConfig, c.Version, job.SpecVersion)
	}
	return c, nil
}
