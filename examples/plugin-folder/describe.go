package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// config is the fleet's config block.
type config struct {
	Folder string `json:"folder"`
	Most   int    `json:"most"`
}

// Describe says what the provider is and can. No network, no credentials.
func (p *provider) Describe(context.Context) (providers.Description, error) {
	return providers.Description{
		Name:         "folder",
		Version:      "0.1.0",
		Capabilities: []providers.Capability{providers.CapabilityOnDemand},
		Schema: providers.Schema{Attributes: []providers.Attribute{
			{Name: "folder", Type: "string", Required: true, Description: "Where the instances are kept.", Example: `"/srv/spotrelay"`},
			{Name: "most", Type: "number", Default: json.RawMessage("4"), Description: "Instances at the same time."},
		}},
		TokenWindow: time.Hour,
		Leave:       providers.Leave{Means: providers.LeaveExit},
	}, nil
}
