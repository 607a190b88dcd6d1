//go:build linux

package relaytest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// A cloud that is not of the tests' own is rented in only with an explicit yes,
// below a price, and is swept at the end:
//
//	SPOTRELAY_TEST_CLOUD=yes          the yes
//	SPOTRELAY_TEST_GCP_PROJECT        the project
//	SPOTRELAY_TEST_GCP_REGION         the region (us-central1)
//	SPOTRELAY_TEST_GCP_ENDPOINT       Compute's address, of an emulator; Google's without it
//	SPOTRELAY_TEST_MAX_PRICE          dollars an hour that one instance may cost (0.05)
const (
	varYes      = "SPOTRELAY_TEST_CLOUD"
	varProject  = "SPOTRELAY_TEST_GCP_PROJECT"
	varRegion   = "SPOTRELAY_TEST_GCP_REGION"
	varEndpoint = "SPOTRELAY_TEST_GCP_ENDPOINT"
	varPrice    = "SPOTRELAY_TEST_MAX_PRICE"
)

// target is where a test that needs no faults is run.
type target struct {
	fleet    providers.Fleet
	server   *computetest.Server // nil elsewhere than in the tests' own cloud
	maxPrice float64             // dollars an hour of an instance; 0: no bound
}

// newTarget is the tests' own cloud, or the one that the environment names.
func newTarget(t testing.TB, o computetest.Options) target {
	t.Helper()
	id := os.Getenv(varProject)
	if id == "" {
		o.Anonymous = true
		s := computetest.Start(t, o)
		return target{fleet: fleetOn(t, s, nil), server: s}
	}
	if os.Getenv(varYes) != "yes" {
		t.Fatalf("%s names a project, and instances there cost money: say %s=yes", varProject, varYes)
	}
	price, err := strconv.ParseFloat(cmp.Or(os.Getenv(varPrice), "0.05"), 64)
	if err != nil || price <= 0 {
		t.Fatalf("%s is %q: a price in dollars an hour is wanted", varPrice, os.Getenv(varPrice))
	}
	config := map[string]any{"project": id, "region": cmp.Or(os.Getenv(varRegion), "us-central1")}
	if endpoint := os.Getenv(varEndpoint); endpoint != "" {
		config["endpoint"], config["anonymous"] = endpoint, true
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	fleet := providers.Fleet{Name: fmt.Sprintf("test-%x", time.Now().UnixNano()), Config: data}
	return target{fleet: fleet, maxPrice: price}
}

// provider is the provider over the bridge, kept below the target's price; what
// the test leaves behind in the fleet is ended after it.
func (x target) provider(t testing.TB, b *bridge) providers.Provider {
	t.Helper()
	provider := b.provider()
	if x.server != nil {
		return provider
	}
	t.Cleanup(func() { x.sweep(t, provider) })
	return capped{provider, provider.(providers.Console), provider.(providers.Preempter), x.maxPrice}
}

// sweep ends what bears the fleet's tag, which is of this test alone.
func (x target) sweep(t testing.TB, provider providers.Provider) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	left, err := provider.List(ctx, x.fleet, map[string]string{providers.TagFleet: x.fleet.Name})
	if err != nil {
		t.Errorf("the sweep could not list; LOOK FOR INSTANCES OF %s BY HAND: %v", x.fleet.Name, err)
		return
	}
	var ids []string
	for _, in := range left {
		if in.State != providers.StateTerminated {
			ids = append(ids, in.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	t.Errorf("the test left %q; they are ended now", ids)
	if err := provider.Terminate(ctx, x.fleet, ids); err != nil {
		t.Errorf("the sweep could not end them; DO IT BY HAND: %v", err)
	}
}

// capped refuses to rent above a price.
type capped struct {
	providers.Provider
	providers.Console
	providers.Preempter
	most float64
}

// Offers leaves out what costs more.
func (c capped) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	offers, err := c.Provider.Offers(ctx, fleet, need)
	return slices.DeleteFunc(offers, func(o providers.Offer) bool { return o.Price > c.most }), err
}

// Launch refuses what costs more, and any large number.
func (c capped) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	for _, offer := range request.Offers {
		if offer.Price > c.most || request.Count > 10 {
			return providers.LaunchResult{}, &providers.Error{
				Code: providers.CodeConfiguration, Op: "launch",
				Message: fmt.Sprintf("the test wants %d instances for %v dollars an hour each; %s allows %v", request.Count, offer.Price, varPrice, c.most),
			}
		}
	}
	return c.Provider.Launch(ctx, fleet, request)
}

// The price is kept, whatever a test asks for.
func TestPriceCap(t *testing.T) {
	x := newTarget(t, computetest.Options{})
	if x.server == nil {
		t.Skip("the tests' own cloud shows it, at no cost")
	}
	provider := x.provider(t, newBridge(t))
	all, err := provider.Offers(t.Context(), x.fleet, providers.Need{})
	if err != nil {
		t.Fatal(err)
	}
	bounded := capped{Provider: provider, most: 0.05}
	some, err := bounded.Offers(t.Context(), x.fleet, providers.Need{})
	if err != nil || len(some) == 0 || len(some) == len(all) {
		t.Errorf("%d of %d offers, %v", len(some), len(all), err)
	}
	dear := slices.MaxFunc(all, func(a, b providers.Offer) int { return cmp.Compare(a.Price, b.Price) })
	if _, err := bounded.Launch(t.Context(), x.fleet, launchOf("t1", 1, tags, dear)); providers.CodeOf(err) != providers.CodeConfiguration {
		t.Errorf("%+v was rented: %v", dear, err)
	}
	if _, err := bounded.Launch(t.Context(), x.fleet, launchOf("t1", 11, tags, some[0])); providers.CodeOf(err) != providers.CodeConfiguration {
		t.Errorf("eleven were rented: %v", err)
	}
	if n := len(x.server.Instances()); n > 0 {
		t.Errorf("%d instances", n)
	}
	if _, err := provider.Launch(t.Context(), x.fleet, launchOf("t2", 1, map[string]string{providers.TagBucket: "b", providers.TagRun: "r", providers.TagFleet: x.fleet.Name}, some[0])); err != nil {
		t.Fatal(err)
	}
	inner := &failures{TB: t}
	x.sweep(inner, provider)
	reached(t.Context(), t, "the end of what was left", func() bool { return len(x.server.Living()) == 0 })
	if inner.n != 1 {
		t.Errorf("the sweep complained %d times", inner.n)
	}
}

// failures counts what a test complains about.
type failures struct {
	testing.TB
	n int
}

// Errorf counts.
func (f *failures) Errorf(string, ...any) { f.n++ }
