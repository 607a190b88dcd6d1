package gcp_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/gcp"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

func fleetOf(t *testing.T, s *computetest.Server, more map[string]any) providers.Fleet {
	t.Helper()
	block := map[string]any{"project": "spotrelay-test", "region": "us-central1", "endpoint": s.URL, "billing_endpoint": s.URL}
	maps.Copy(block, more)
	data, err := json.Marshal(block)
	if err != nil {
		t.Fatal(err)
	}
	return providers.Fleet{Name: "gcp", Config: data}
}

// What is wrong with a fleet is found without renting, and says where.
func TestCheck(t *testing.T) {
	for path, more := range map[string]map[string]any{
		"fine":            {},
		"project":         {"project": "somebody-else"},
		"region":          {"region": "mars-north1"},
		"zones.1":         {"zones": []string{"us-central1-a", "us-central1-z"}},
		"network":         {"network": "no-such"},
		"subnetwork":      {"subnetwork": "no-such"},
		"image":           {"image": "projects/spotrelay-test/global/images/no-such"},
		"image_arm64":     {"image_arm64": "projects/spotrelay-test/global/images/family/no-such"},
		"machine_types.1": {"machine_types": []string{"n2-*", "z9-*"}},
		"disk_size":       {"disk_size": "1GiB"},
	} {
		t.Run(path, func(t *testing.T) {
			s := computetest.Start(t, computetest.Options{Anonymous: true, TolerateFaults: true})
			p := gcp.New(gcp.Options{CacheDir: t.TempDir(), Pace: time.Millisecond})
			faults, err := p.Check(t.Context(), fleetOf(t, s, more))
			if err != nil {
				t.Fatal(err)
			}
			if path == "fine" {
				if len(faults) > 0 {
					t.Errorf("%+v", faults)
				}
				return
			}
			if len(faults) == 0 {
				t.Fatal("nothing is found")
			}
			for _, f := range faults {
				if strings.Join(f.Path, ".") != path || f.Severity != providers.SeverityError || f.Summary == "" || f.Detail == "" {
					t.Errorf("%+v", f)
				}
			}
			if len(s.Instances()) > 0 {
				t.Error("something was rented")
			}
		})
	}
}

// Prices that are not the catalogue's are told of, and are no fault.
func TestCheckOfPrices(t *testing.T) {
	s := computetest.Start(t, computetest.Options{Anonymous: true})
	p := gcp.New(gcp.Options{CacheDir: t.TempDir()})
	faults, err := p.Check(t.Context(), fleetOf(t, s, map[string]any{"billing_endpoint": ""}))
	if err != nil || len(faults) != 1 || faults[0].Severity != providers.SeverityWarning || !strings.Contains(faults[0].Summary, "table") {
		t.Errorf("%+v, %v", faults, err)
	}
}

// A call that is not answered is an error and says nothing of the fleet; one
// that is denied is a fault and names the call.
func TestCheckOfAnswers(t *testing.T) {
	for status, fault := range map[int]bool{http.StatusForbidden: true, http.StatusBadGateway: false} {
		s := computetest.Start(t, computetest.Options{Anonymous: true})
		s.Inject(computetest.Fault{
			Method: "compute.networks.get", Status: status, Reason: map[bool]string{true: "forbidden", false: "backendError"}[fault],
			Message: "Required 'compute.networks.get' permission for 'projects/p/global/networks/default'",
		})
		p := gcp.New(gcp.Options{CacheDir: t.TempDir()})
		faults, err := p.Check(t.Context(), fleetOf(t, s, nil))
		if !fault {
			if providers.CodeOf(err) != providers.CodeUnavailable {
				t.Errorf("%d: %+v, %v", status, faults, err)
			}
			continue
		}
		if err != nil || len(faults) != 1 || !strings.Contains(faults[0].Summary, "compute.networks.get") || !strings.Contains(faults[0].Detail, "compute.networks.get") ||
			strings.Join(faults[0].Path, ".") != "network" {
			t.Errorf("%d: %+v, %v", status, faults, err)
		}
	}
}

// Tags that no label can hold come back from the metadata.
func TestTagsOfAnyKind(t *testing.T) {
	s := computetest.Start(t, computetest.Options{Anonymous: true})
	fleet := fleetOf(t, s, nil)
	tags := map[string]string{
		providers.TagBucket: "B-1", providers.TagRun: "01JD00000000000000000000AA", providers.TagFleet: "Fleet One", providers.TagIntent: "t-1",
		"note": strings.Repeat("Long, and not lower case. ", 5), "Cost Centre": "4711/a", strings.Repeat("Key ", 30): "x",
	}
	p := gcp.New(gcp.Options{CacheDir: t.TempDir(), Pace: time.Millisecond})
	offers, err := p.Offers(t.Context(), fleet, providers.Need{})
	if err != nil {
		t.Fatal(err)
	}
	request := providers.LaunchRequest{
		Token: "t-1", Count: 1, Tags: tags,
		Bootstrap: providers.Bootstrap{Bucket: "gs://b", Agents: map[string]providers.AgentProgram{
			"linux-amd64": {Key: "agents/x", SHA256: strings.Repeat("0", 64)},
		}},
	}
	for _, offer := range offers {
		if offer.Capacity == providers.Spot && offer.InstanceType == "n2-standard-2" {
			request.Offers = append(request.Offers, offer)
		}
	}
	result, err := p.Launch(t.Context(), fleet, request)
	if err != nil || len(result.Instances) != 1 || !maps.Equal(result.Instances[0].Tags, tags) {
		t.Fatalf("%+v, %v", result, err)
	}
	for key, value := range tags {
		found, err := p.List(t.Context(), fleet, map[string]string{key: value})
		if err != nil || len(found) != 1 || !maps.Equal(found[0].Tags, tags) {
			t.Errorf("by %q: %+v, %v", key, found, err)
		}
		found, err = p.List(t.Context(), fleet, map[string]string{key: value + "x"})
		if err != nil || len(found) != 0 {
			t.Errorf("by another %q: %+v, %v", key, found, err)
		}
	}
	// A provider that knows nothing of the launch asks whose it is.
	if err := gcp.New(gcp.Options{}).Terminate(t.Context(), fleet, []string{result.Instances[0].ID}); err != nil {
		t.Error(err)
	}
}
