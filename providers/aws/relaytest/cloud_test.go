package relaytest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
	"github.com/spotrelay/spotrelay/providers/providertest"
)

// cloud is the provider itself with an EC2 of the test's own.
type cloud struct {
	t        *testing.T
	server   *ec2test.Server
	provider *aws.Provider
	fleet    providers.Fleet
}

func newCloud(t *testing.T, options ec2test.Options) *cloud {
	t.Helper()
	c := &cloud{t: t, server: ec2test.Start(t, options), fleet: providers.Fleet{Name: "use1", Config: json.RawMessage(`{"region": "us-east-1"}`)}}
	for _, variable := range c.server.Environment() {
		name, text, _ := strings.Cut(variable, "=")
		t.Setenv(name, text)
	}
	c.provider = aws.New(aws.Options{CacheDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	return c
}

func (c *cloud) describe() providers.Description {
	c.t.Helper()
	d, err := c.provider.Describe(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

// request for instances of m5.large in the first zone.
func (c *cloud) request(token string, count int, capacity providers.CapacityType) providers.LaunchRequest {
	c.t.Helper()
	offers, err := c.provider.Offers(c.t.Context(), c.fleet, providers.Need{})
	if err != nil {
		c.t.Fatal(err)
	}
	offers = slices.DeleteFunc(offers, func(o providers.Offer) bool {
		return o.Capacity != capacity || o.InstanceType != "m5.large" || o.Zone != "us-east-1a"
	})
	return providers.LaunchRequest{
		Token: token, Count: count, Offers: offers, Bootstrap: testBootstrap(),
		Tags: map[string]string{providers.TagBucket: "b1", providers.TagRun: "r1", providers.TagFleet: "use1", providers.TagIntent: token},
	}
}

// testBootstrap of instances that need not come up.
func testBootstrap() providers.Bootstrap {
	program := providers.AgentProgram{Key: "agents/1/linux/agent", SHA256: strings.Repeat("ab", 32)}
	return providers.Bootstrap{
		Bucket: "s3://spotrelay-test/none?region=us-east-1", Run: "r1", Fleet: "use1",
		Agents:      map[string]providers.AgentProgram{"linux-amd64": program, "linux-arm64": program},
		Environment: map[string]string{"SPOTRELAY_AGENT_CONFIG": "{}"},
	}
}

func (c *cloud) launch(token string, count int, capacity providers.CapacityType) []string {
	c.t.Helper()
	result, err := c.provider.Launch(c.t.Context(), c.fleet, c.request(token, count, capacity))
	if err != nil {
		c.t.Fatal(err)
	}
	var ids []string
	for _, i := range result.Instances {
		ids = append(ids, i.ID)
	}
	if len(ids) != count {
		c.t.Fatalf("%d of %d instances: %+v", len(ids), count, result.Failures)
	}
	return ids
}

// TestThousandInstances launches, lists and ends 1,000 instances, and counts
// the calls.
func TestThousandInstances(t *testing.T) {
	c := newCloud(t, ec2test.Options{})
	ctx := t.Context()
	request := c.request("thousand", 1000, providers.Spot)
	counted := func(what string, f func()) map[string]int {
		before, began := len(c.server.Calls("")), time.Now()
		f()
		counts := map[string]int{}
		for _, call := range c.server.Calls("")[before:] {
			counts[call.Operation]++
		}
		t.Logf("%-9s %5d ms, calls: %v", what, time.Since(began).Milliseconds(), counts)
		return counts
	}
	var ids []string
	launch := counted("launch", func() {
		result, err := c.provider.Launch(ctx, c.fleet, request)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range result.Instances {
			ids = append(ids, i.ID)
		}
	})
	if len(ids) != 1000 || launch["CreateFleet"] > 10 {
		t.Errorf("%d instances by %v", len(ids), launch)
	}
	list := counted("list", func() {
		listed, err := c.provider.List(ctx, c.fleet, map[string]string{providers.TagRun: "r1"})
		if err != nil || len(listed) != 1000 {
			t.Fatalf("%d listed: %v", len(listed), err)
		}
	})
	if list["DescribeInstances"] != 1 || len(list) != 1 {
		t.Errorf("a listing of one page is %v", list)
	}
	more := c.request("more", 1, providers.Spot)
	if _, err := c.provider.Launch(ctx, c.fleet, more); err != nil {
		t.Fatal(err)
	}
	list = counted("list 1001", func() {
		listed, err := c.provider.List(ctx, c.fleet, map[string]string{providers.TagRun: "r1"})
		if err != nil || len(listed) != 1001 {
			t.Fatalf("%d listed: %v", len(listed), err)
		}
	})
	if list["DescribeInstances"] != 2 {
		t.Errorf("a listing of two pages is %v", list)
	}
	ended := counted("terminate", func() {
		if err := c.provider.Terminate(ctx, c.fleet, ids); err != nil {
			t.Fatal(err)
		}
	})
	if ended["TerminateInstances"] > 1 {
		t.Errorf("ending them is %v", ended)
	}
	if live := c.server.Live(); len(live) != 1 {
		t.Errorf("%d instances live", len(live))
	}
}

// Variables of the tests on a cloud that costs money (make test-cloud).
const (
	cloudYes    = "SPOTRELAY_TEST_CLOUD"           // yes
	cloudConfig = "SPOTRELAY_TEST_CLOUD_AWS"       // file with the fleet's config block as JSON
	cloudCap    = "SPOTRELAY_TEST_CLOUD_MAX_PRICE" // dollars, for all of it
)

// TestRealCloud holds the provider to the contract on whatever cloud the
// environment points at: the real EC2, or an emulator (AWS_ENDPOINT_URL).
func TestRealCloud(t *testing.T) {
	if os.Getenv(cloudYes) != "yes" {
		t.Skipf("this rents instances: say %s=yes, %s=FILE and %s=DOLLARS (make test-cloud). TestCloudRig runs the same against ec2test", cloudYes, cloudConfig, cloudCap)
	}
	most, err := strconv.ParseFloat(os.Getenv(cloudCap), 64)
	if err != nil || most <= 0 {
		t.Fatalf("%s is %q; it must be how many dollars this may cost at the very most", cloudCap, os.Getenv(cloudCap))
	}
	config, err := os.ReadFile(os.Getenv(cloudConfig))
	if err != nil || !json.Valid(config) {
		t.Fatalf("%s must name a file with the fleet's config block as JSON: %v", cloudConfig, err)
	}
	runOnCloud(t, aws.New(aws.Options{}), config, most, nil)
}

// TestCloudRig runs on ec2test what TestRealCloud runs on the cloud, so that
// the cap and the sweep are known to work when they are needed.
func TestCloudRig(t *testing.T) {
	c := newCloud(t, ec2test.Options{})
	var foreign string
	p := runOnCloud(t, c.provider, c.fleet.Config, 10, func(providertest.T) string {
		request := c.request("foreign", 1, providers.Spot)
		request.Tags = map[string]string{providers.TagBucket: "another bucket", "owner": "somebody else"}
		result, err := c.provider.Launch(context.Background(), c.fleet, request)
		if err != nil || len(result.Instances) != 1 {
			t.Fatalf("%v: %+v", err, result)
		}
		foreign = result.Instances[0].ID
		return foreign
	})
	if live := c.server.Live(); len(live) != 1 || live[0] != foreign {
		t.Errorf("%q live; only somebody else's %s should", live, foreign)
	}
	if p.spent <= 0 || p.spent > 10 {
		t.Errorf("%.3f dollars", p.spent)
	}
}

// TestSweep: what was left behind is ended, and told.
func TestSweep(t *testing.T) {
	c := newCloud(t, ec2test.Options{})
	p := &capped{Provider: c.provider, most: 10}
	if _, err := p.Launch(t.Context(), c.fleet, c.request("left", 3, providers.Spot)); err != nil {
		t.Fatal(err)
	}
	if left := p.sweep(t, c.fleet); len(left) != 3 || len(c.server.Live()) > 0 {
		t.Errorf("%q were left behind, %q live", left, c.server.Live())
	}
}

// TestCapHolds: nothing is rented past the cap.
func TestCapHolds(t *testing.T) {
	c := newCloud(t, ec2test.Options{})
	p := &capped{Provider: c.provider, most: 0.1}
	if _, err := p.Launch(t.Context(), c.fleet, c.request("one", 1, providers.Spot)); err != nil {
		t.Error(err)
	}
	if _, err := p.Launch(t.Context(), c.fleet, c.request("two", 100, providers.Spot)); providers.CodeOf(err) != providers.CodeQuota {
		t.Errorf("past the cap: %v", err)
	}
	if live := c.server.Live(); len(live) != 1 {
		t.Errorf("%q", live)
	}
}

// runOnCloud runs the conformance suite under a price cap and sweeps at the
// end.
func runOnCloud(t *testing.T, provider *aws.Provider, config json.RawMessage, most float64, foreign func(providertest.T) string) *capped {
	t.Helper()
	p := &capped{Provider: provider, most: most}
	fleet := providers.Fleet{Name: "test-cloud", Config: config}
	t.Run("conformance", func(t *testing.T) {
		options := providertest.Options{
			New:   func(providertest.T) providers.Provider { return p },
			Fleet: fleet, Bootstrap: testBootstrap(), Parallel: 2, Foreign: foreign,
		}
		providertest.Run(t, options)
	})
	for _, id := range p.sweep(t, fleet) {
		t.Errorf("the suite left %s behind; the sweep ended it", id)
	}
	t.Logf("at most %.4f dollars were spent, if every instance had lived for an hour", p.spent)
	return p
}

// capped is a provider that rents no more than a price allows, each instance
// counted as an hour.
type capped struct {
	*aws.Provider
	most float64

	mu     sync.Mutex
	spent  float64
	tags   []map[string]string // of every launch, for the sweep
	tokens map[string]bool
}

// Launch implements providers.Provider.
func (p *capped) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	if err := p.pay(request); err != nil {
		return providers.LaunchResult{}, err
	}
	return p.Provider.Launch(ctx, fleet, request)
}

func (p *capped) pay(request providers.LaunchRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	dearest := 0.0
	for _, offer := range request.Offers {
		dearest = max(dearest, offer.Price)
	}
	cost := dearest * float64(max(0, request.Count))
	if p.spent+cost > p.most {
		return &providers.Error{Code: providers.CodeQuota, Op: "launch", Message: fmt.Sprintf("the test may cost %.2f dollars, and would cost %.2f", p.most, p.spent+cost)}
	}
	if p.tokens[request.Token] {
		return nil // paid for
	}
	if p.tokens == nil {
		p.tokens = map[string]bool{}
	}
	p.tokens[request.Token] = true
	p.spent += cost
	p.tags = append(p.tags, request.Tags)
	return nil
}

// sweep ends whatever is left of what was launched, and gives it.
func (p *capped) sweep(t *testing.T, fleet providers.Fleet) (left []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, tags := range p.tags {
		listed, err := p.List(ctx, fleet, tags)
		if err != nil {
			t.Errorf("the sweep cannot list %v: %v; LOOK FOR THEM BY HAND", tags, err)
			continue
		}
		for _, i := range listed {
			if i.State == providers.StateTerminated || i.State == providers.StateStopping {
				continue
			}
			left = append(left, i.ID)
			if err := p.Terminate(ctx, fleet, []string{i.ID}); err != nil {
				t.Errorf("the sweep cannot end %s: %v; END IT BY HAND", i.ID, err)
			}
		}
	}
	return left
}

// TestPluginConformance holds the provider to the contract as a process of its
// own, started by the program that users have.
func TestPluginConformance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ec2test.Options{Boot: 50 * time.Millisecond, Ending: 50 * time.Millisecond})
	config := w.write("fleet.json", `{"region": "us-east-1", "instance_types": ["m5.large", "c5.large"]}`)
	out := w.spotrelay(0, "plugin", "test", "aws", "--config", config, "--json")
	passed := 0
	for line := range strings.Lines(out) {
		var result struct {
			Case   *providertest.Result `json:"case"`
			Passed *bool                `json:"passed"`
		}
		if err := json.Unmarshal([]byte(line), &result); err != nil {
			t.Fatal(err)
		}
		if result.Case != nil && result.Case.Outcome == providertest.Passed {
			passed++
		} else if result.Case != nil {
			t.Logf("%s: %s %q", result.Case.Name, result.Case.Outcome, result.Case.Log)
		}
	}
	if passed < 20 {
		t.Errorf("only %d cases passed", passed)
	}
	if live := w.cloud.Live(); len(live) > 0 {
		t.Errorf("instances are left: %q", live)
	}
}
