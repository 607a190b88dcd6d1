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
	x := newTarget(t, computetest.Options{SoftOff: 200 * time.Millisecond})
	b := newBridge(t)
	options := providertest.Options{
		New:       func(providertest.T) providers.Provider { return x.provider(t, b) },
		Fleet:     x.fleet,
		Bootstrap: bootstrap(),
		Wait:      patience,
	}
	if x.server == nil {
		options.Wait = 10 * time.Minute // a real VM takes a while
	} else {
		options.Foreign = foreignIn(x.server)
		options.Restart = func(providertest.T) providers.Provider { return b.provider() }
	}
	providertest.Run(t, options)
	if x.server != nil {
		t.Logf("permissions used: %q", x.server.UsedPermissions())
	}
}

// foreignIn makes instances of somebody else.
func foreignIn(s *computetest.Server) func(providertest.T) string {
	made := 0
	return func(t providertest.T) string {
		made++
		in := s.Foreign(zoneA, fmt.Sprintf("theirs-%d", made), map[string]string{"owner": "somebody-else"})
		t.Cleanup(func() { s.DeleteBy(in.ID, "somebody@example.com") })
		return fmt.Sprintf("%s.%s.%d", in.Zone, in.Name, in.ID)
	}
}
