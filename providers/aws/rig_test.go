package aws

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/spotrelay/spotrelay/plugins/bridge"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
)

// rig is the provider with an EC2 of the test's own.
type rig struct {
	t        *testing.T
	cloud    *ec2test.Server
	provider *Provider
	fleet    providers.Fleet
	cache    string
}

// newRig makes a fleet with what config says beside the region.
func newRig(t *testing.T, options ec2test.Options, config string) *rig {
	t.Helper()
	r := &rig{t: t, cloud: ec2test.Start(t, options), cache: t.TempDir()}
	for _, assignment := range r.cloud.Environment() {
		key, text, _ := strings.Cut(assignment, "=")
		t.Setenv(key, text)
	}
	r.provider = r.anew()
	r.configure(config)
	return r
}

// anew is the provider as after a restart of its process.
func (r *rig) anew() *Provider {
	p := New(Options{CacheDir: r.cache, Log: slog.New(slog.DiscardHandler)})
	p.pause, p.pace = time.Millisecond, 20*time.Millisecond
	return p
}

func (r *rig) configure(config string) {
	r.t.Helper()
	fields := map[string]any{"region": "us-east-1"}
	if config != "" {
		if err := json.Unmarshal([]byte(config), &fields); err != nil {
			r.t.Fatal(err)
		}
	}
	data, err := json.Marshal(fields)
	if err != nil {
		r.t.Fatal(err)
	}
	r.fleet = providers.Fleet{Name: "use1", Config: data}
}

func bootstrap() providers.Bootstrap {
	agent := providers.AgentProgram{Key: "agents/1/linux-amd64/agent", SHA256: strings.Repeat("ab", 32)}
	return providers.Bootstrap{
		Bucket: "s3://acme-batch/spotrelay?region=us-east-1", Run: "run-1", Fleet: "use1",
		Agents:      map[string]providers.AgentProgram{"linux-amd64": agent, "linux-arm64": agent},
		Environment: map[string]string{"SPOTRELAY_AGENT_CONFIG": "{}"},
	}
}

// offers of a capacity type, of the types named or of all, by type and zone.
func (r *rig) offers(need providers.Need, capacity providers.CapacityType, kinds ...string) []providers.Offer {
	r.t.Helper()
	all, err := r.provider.Offers(r.t.Context(), r.fleet, need)
	if err != nil {
		r.t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(o providers.Offer) bool {
		return o.Capacity != capacity || len(kinds) > 0 && !slices.Contains(kinds, o.InstanceType)
	})
	slices.SortFunc(all, func(a, b providers.Offer) int {
		return strings.Compare(a.InstanceType+" "+a.Zone, b.InstanceType+" "+b.Zone)
	})
	return all
}

// request for instances in some pools.
func (r *rig) request(token string, count int, offers []providers.Offer) providers.LaunchRequest {
	r.t.Helper()
	if len(offers) == 0 {
		r.t.Fatal("there are no offers to launch")
	}
	return providers.LaunchRequest{
		Token: token, Offers: offers, Count: count, Bootstrap: bootstrap(),
		Tags: map[string]string{
			providers.TagBucket: "b1", providers.TagRun: "run-1", providers.TagFleet: "use1", providers.TagIntent: token,
		},
	}
}

// launch wants all of the instances.
func (r *rig) launch(request providers.LaunchRequest) []string {
	r.t.Helper()
	result, err := r.provider.Launch(r.t.Context(), r.fleet, request)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(result.Instances) != request.Count {
		r.t.Fatalf("%d of %d instances: %+v", len(result.Instances), request.Count, result.Failures)
	}
	var ids []string
	for _, instance := range result.Instances {
		ids = append(ids, instance.ID)
	}
	return ids
}

// spot launches spot instances of m5.large.
func (r *rig) spot(token string, count int) []string {
	r.t.Helper()
	return r.launch(r.request(token, count, r.offers(providers.Need{}, providers.Spot, "m5.large")))
}

func (r *rig) evidence(ids ...string) []providers.Evidence {
	r.t.Helper()
	evidence, err := r.provider.Evidence(r.t.Context(), r.fleet, ids)
	if err != nil {
		r.t.Fatal(err)
	}
	return evidence
}

// eventually polls until the condition holds; the deadline only bounds a hang.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.NewTimer(90 * time.Second)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("it does not come about: %s", what)
		}
	}
}

// visible waits until all of the instances are listed and running.
func (r *rig) visible(ids ...string) {
	r.t.Helper()
	eventually(r.t, "the instances run", func() bool {
		return !slices.ContainsFunc(r.evidence(ids...), func(e providers.Evidence) bool { return e.State != providers.StateRunning })
	})
}

// code wants a provider's error with a code.
func wantCode(t *testing.T, err error, code providers.Code) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("the error is %v; want code %q", err, code)
	}
	return e
}

// connect puts a provider behind the plugin bridge, over a connection in memory.
func connect(t *testing.T, provider providers.Provider) *bridge.Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(bridge.ServerOptions()...)
	bridge.Register(server, provider)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient("passthrough:memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return bridge.NewClient(connection)
}

func sorted(ids []string) []string { return slices.Sorted(slices.Values(ids)) }

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
