//go:build linux

package relaytest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
	"github.com/spotrelay/spotrelay/providers/providertest"
)

const (
	project = "spotrelay-test"
	zoneA   = "us-central1-a"
	zoneB   = "us-central1-b"
	zoneC   = "us-central1-c"
)

// fleetOn is a fleet whose cloud is the server; more are attributes of its
// config.
func fleetOn(t testing.TB, s *computetest.Server, more map[string]any) providers.Fleet {
	t.Helper()
	config := map[string]any{"project": project, "region": "us-central1", "endpoint": s.URL, "billing_endpoint": s.URL}
	for name, value := range more {
		config[name] = value
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return providers.Fleet{Name: "gcp", Config: data}
}

// bootstrap that names an agent; no machine runs it.
func bootstrap() providers.Bootstrap {
	program := providers.AgentProgram{Key: "agents/x/agent", SHA256: fmt.Sprintf("%064d", 0)}
	return providers.Bootstrap{
		Bucket:      "gs://acme-batch/spotrelay",
		Agents:      map[string]providers.AgentProgram{"linux-amd64": program, "linux-arm64": program},
		Environment: map[string]string{"SPOTRELAY_AGENT_CONFIG": "{}"},
	}
}

// The provider keeps the contract over the bridge. Every request was checked
// against the discovery document on the way.
func TestConformance(t *testing.T) {
	s := computetest.Start(t, computetest.Options{Anonymous: true, SoftOff: 200 * time.Millisecond})
	foreign := 0
	providertest.Run(t, providertest.Options{
		New:       func(t providertest.T) providers.Provider { return overBridge(t.(testing.TB)) },
		Fleet:     fleetOn(t, s, nil),
		Bootstrap: bootstrap(),
		Wait:      patience,
		Foreign: func(t providertest.T) string {
			foreign++
			in := s.Foreign(zoneA, fmt.Sprintf("theirs-%d", foreign), map[string]string{"owner": "somebody-else"})
			t.Cleanup(func() { s.DeleteBy(in.ID, "somebody@example.com") })
			return fmt.Sprintf("%s.%s.%d", in.Zone, in.Name, in.ID)
		},
	})
	t.Logf("permissions used: %q", s.UsedPermissions())
}
