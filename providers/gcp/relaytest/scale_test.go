//go:build linux

package relaytest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

const (
	fleetSize = 1000
	perLaunch = 100
	perPage   = 500
)

// A thousand instances of one pool, launched a hundred at a time as the
// controller does it, listed and ended: no call more than it needs.
func TestThousandInstances(t *testing.T) {
	s := computetest.Start(t, computetest.Options{Anonymous: true})
	provider, fleet := newBridge(t).provider(), fleetOn(t, s, map[string]any{"machine_types": []string{"n2-standard-2"}, "zones": []string{zoneA}})
	offer := cheapestOffer(t, provider, fleet, providers.Spot)
	tags := map[string]string{providers.TagBucket: "b", providers.TagRun: "thousand", providers.TagFleet: fleet.Name}

	s.ForgetCalls()
	began := time.Now()
	var ids []string
	for i := range fleetSize / perLaunch {
		request := launchOf(fmt.Sprintf("thousand-%d", i), perLaunch, tags, offer)
		result, err := provider.Launch(t.Context(), fleet, request)
		if err != nil || len(result.Instances) != perLaunch {
			t.Fatalf("launch %d: %d instances, %v, %v", i, len(result.Instances), result.Failures, err)
		}
		for _, in := range result.Instances {
			ids = append(ids, in.ID)
		}
	}
	launches := s.Calls("compute.regionInstances.bulkInsert", "compute.instances.insert", "compute.instances.bulkInsert")
	t.Logf("launch: %d calls, of which %d launch, in %s: %v", len(s.Calls()), len(launches), time.Since(began).Round(time.Millisecond), histogram(s.Calls()))
	if len(launches) != fleetSize/perLaunch {
		t.Errorf("%d launch calls for %d instances", len(launches), fleetSize)
	}

	s.ForgetCalls()
	began = time.Now()
	listed, err := provider.List(t.Context(), fleet, map[string]string{providers.TagRun: "thousand"})
	if err != nil || len(listed) != fleetSize {
		t.Fatalf("%d listed, %v", len(listed), err)
	}
	pages := map[string]int{}
	for _, call := range s.Calls("compute.instances.list", "compute.instances.aggregatedList") {
		pages[call.Zone]++
	}
	t.Logf("list: %d calls in %s: %v", len(s.Calls()), time.Since(began).Round(time.Millisecond), pages)
	for zone, n := range pages {
		want := 1 // an empty page too is a page
		if zone == zoneA {
			want = fleetSize / perPage
		}
		if n > want {
			t.Errorf("%d calls for the pages of %s, not %d", n, zone, want)
		}
	}

	s.ForgetCalls()
	began = time.Now()
	if err := provider.Terminate(t.Context(), fleet, ids); err != nil {
		t.Fatal(err)
	}
	t.Logf("terminate: %d calls in %s: %v", len(s.Calls()), time.Since(began).Round(time.Millisecond), histogram(s.Calls()))
	if n := len(s.Calls("compute.instances.delete")); n != fleetSize {
		t.Errorf("%d deletes; Compute ends one instance a call", n)
	}
	reached(t.Context(), t, "the end of all", func() bool { return len(s.Living()) == 0 })
}

func histogram(calls []computetest.Call) map[string]int {
	counts := map[string]int{}
	for _, call := range calls {
		counts[call.Method]++
	}
	return counts
}

func cheapestOffer(t testing.TB, provider providers.Provider, fleet providers.Fleet, capacity providers.CapacityType) providers.Offer {
	t.Helper()
	offers, err := provider.Offers(t.Context(), fleet, providers.Need{})
	if err != nil {
		t.Fatal(err)
	}
	offers = slices.DeleteFunc(offers, func(o providers.Offer) bool { return o.Capacity != capacity })
	if len(offers) == 0 {
		t.Fatalf("no %s offer", capacity)
	}
	return slices.MinFunc(offers, func(a, b providers.Offer) int {
		if a.Price < b.Price {
			return -1
		}
		return 1
	})
}

func launchOf(token string, count int, tags map[string]string, offers ...providers.Offer) providers.LaunchRequest {
	all := map[string]string{providers.TagIntent: token}
	for key, value := range tags {
		all[key] = value
	}
	start := bootstrap()
	start.Run, start.Fleet = tags[providers.TagRun], tags[providers.TagFleet]
	return providers.LaunchRequest{Token: token, Count: count, Offers: offers, Tags: all, Bootstrap: start, MaxLife: time.Hour}
}
