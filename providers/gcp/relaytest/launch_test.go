//go:build linux

package relaytest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/gcp"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// rig is the provider in this process, on a server.
type rig struct {
	t testing.TB
	*computetest.Server
	provider *gcp.Provider
	fleet    providers.Fleet
}

func newRig(t testing.TB, o computetest.Options, config map[string]any) *rig {
	t.Helper()
	o.Anonymous = true
	s := computetest.Start(t, o)
	return &rig{
		t: t, Server: s, fleet: fleetOn(t, s, config),
		provider: gcp.New(gcp.Options{CacheDir: t.TempDir(), Pace: time.Millisecond}),
	}
}

// offers of one machine type in zones, in their order.
func (r *rig) offers(capacity providers.CapacityType, machineType string, zones ...string) []providers.Offer {
	r.t.Helper()
	return r.offersFor(providers.Need{}, capacity, machineType, zones...)
}

func (r *rig) offersFor(need providers.Need, capacity providers.CapacityType, machineType string, zones ...string) []providers.Offer {
	r.t.Helper()
	all, err := r.provider.Offers(r.t.Context(), r.fleet, need)
	if err != nil {
		r.t.Fatal(err)
	}
	var found []providers.Offer
	for _, zone := range zones {
		for _, offer := range all {
			if offer.Zone == zone && offer.InstanceType == machineType && offer.Capacity == capacity {
				found = append(found, offer)
			}
		}
	}
	if len(found) != len(zones) {
		r.t.Fatalf("%d offers of %s in %q", len(found), machineType, zones)
	}
	return found
}

var tags = map[string]string{providers.TagBucket: "b", providers.TagRun: "r1", providers.TagFleet: "gcp"}

// launch asks for count instances.
func (r *rig) launch(token string, count int, offers ...providers.Offer) (providers.LaunchResult, error) {
	return r.provider.Launch(r.t.Context(), r.fleet, launchOf(token, count, tags, offers...))
}

// one launches one spot instance and waits until it runs.
func (r *rig) one(token string) (providers.Instance, computetest.Instance) {
	r.t.Helper()
	result, err := r.launch(token, 1, r.offers(providers.Spot, "n2-standard-2", zoneA)...)
	if err != nil || len(result.Instances) != 1 {
		r.t.Fatalf("%+v, %v", result, err)
	}
	reached(r.t.Context(), r.t, "a running instance", func() bool {
		all := r.Instances()
		return all[len(all)-1].Status == "RUNNING"
	})
	all := r.Instances()
	return result.Instances[0], all[len(all)-1]
}

// codeOf is what a launch of nothing says: its error's code, or its first
// failure's.
func codeOf(result providers.LaunchResult, err error) (providers.Code, string) {
	var known *providers.Error
	switch {
	case errors.As(err, &known):
		return known.Code, known.Message + " " + known.Hint
	case err != nil:
		return "", err.Error()
	case len(result.Failures) > 0:
		return result.Failures[0].Code, result.Failures[0].Message
	}
	return "", "nothing"
}

// Each error of a launch's operation becomes the code that keeps the right
// thing alone: zone, subnetwork, region, or the run as a whole.
func TestLaunchErrors(t *testing.T) {
	for code, want := range map[string]providers.Code{
		"ZONE_RESOURCE_POOL_EXHAUSTED":              providers.CodeCapacity,
		"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": providers.CodeCapacity,
		"insufficientCapacity":                      providers.CodeCapacity,
		"UNSUPPORTED_OPERATION":                     providers.CodeCapacity,
		"IP_SPACE_EXHAUSTED":                        providers.CodeSubnet,
		"IP_SPACE_EXHAUSTED_WITH_DETAILS":           providers.CodeSubnet,
		"QUOTA_EXCEEDED":                            providers.CodeQuota,
		"IAM_PERMISSION_DENIED":                     providers.CodeDenied,
		"VPC_NOT_FOUND":                             providers.CodeConfiguration,
	} {
		t.Run(code, func(t *testing.T) {
			r := newRig(t, computetest.Options{}, nil)
			offers := r.offers(providers.Spot, "n2-standard-2", zoneA)
			remove := r.Inject(computetest.Fault{Code: code})
			result, err := r.launch("t1", 2, offers...)
			got, message := codeOf(result, err)
			if got != want || len(result.Instances) > 0 {
				t.Errorf("the launch says %s, not %s: %+v, %v", got, want, result, err)
			}
			if !strings.Contains(message, code) && len(message) < 20 {
				t.Errorf("the message has not the cloud's words: %q", message)
			}
			if err == nil && (len(result.Failures) == 0 || result.Failures[0].Pool != offers[0].Pool()) {
				t.Errorf("the failures are %+v", result.Failures)
			}
			remove()
			if again, err := r.launch("t2", 1, offers...); err != nil || len(again.Instances) != 1 {
				t.Errorf("without the fault: %+v, %v", again, err)
			}
		})
	}
}

// A pool that has none does not keep the others from being tried, in the same
// call.
func TestLaunchTakesTheNextPool(t *testing.T) {
	r := newRig(t, computetest.Options{}, nil)
	r.SetCapacity(zoneA, "n2-standard-2", true, 0)
	r.SetCapacity(zoneB, "n2-standard-2", true, 1)
	result, err := r.launch("t1", 3, r.offers(providers.Spot, "n2-standard-2", zoneA, zoneB, zoneC)...)
	if err != nil || len(result.Instances) != 3 {
		t.Fatalf("%+v, %v", result, err)
	}
	zones := map[string]int{}
	for _, in := range result.Instances {
		zones[in.Offer.Zone]++
	}
	if zones[zoneA] != 0 || zones[zoneB] != 1 || zones[zoneC] != 2 {
		t.Errorf("they are in %v", zones)
	}
}

// Fewer than were asked for are a success that says why.
func TestLaunchOfFewer(t *testing.T) {
	r := newRig(t, computetest.Options{}, nil)
	r.SetCapacity(zoneA, "n2-standard-2", true, 2)
	result, err := r.launch("t1", 5, r.offers(providers.Spot, "n2-standard-2", zoneA)...)
	if err != nil || len(result.Instances) != 2 || len(result.Failures) == 0 || result.Failures[0].Code != providers.CodeCapacity {
		t.Errorf("%+v, %v", result, err)
	}
}

// The project's GPU quota is told from a region's.
func TestLaunchGPUQuota(t *testing.T) {
	r := newRig(t, computetest.Options{}, nil)
	offers := r.offersFor(providers.Need{GPUs: 1, GPUType: "l4"}, providers.Spot, "g2-standard-4", zoneA)
	r.SetQuota("", "GPUS_ALL_REGIONS", 0)
	code, message := codeOf(r.launch("t1", 1, offers...))
	if code != providers.CodeQuota || !strings.Contains(message, "GPUS_ALL_REGIONS") {
		t.Errorf("%s: %s", code, message)
	}
}

// Errors of the HTTP answer: those that pass are tried again, those that name a
// permission end the run with it.
func TestLaunchAnswers(t *testing.T) {
	const bulkInsert = "compute.regionInstances.bulkInsert"
	for name, c := range map[string]struct {
		fault computetest.Fault
		code  providers.Code // "" is a success
		say   string
	}{
		"403 rateLimitExceeded, twice": {computetest.Fault{Status: http.StatusForbidden, Reason: "rateLimitExceeded", Times: 2}, "", ""},
		"429, once":                    {computetest.Fault{Status: http.StatusTooManyRequests, Reason: "rateLimitExceeded", Times: 1}, "", ""},
		"503, once":                    {computetest.Fault{Status: http.StatusServiceUnavailable, Reason: "backendError", Times: 1}, "", ""},
		"500, once":                    {computetest.Fault{Status: http.StatusInternalServerError, Reason: "internalError", Times: 1}, "", ""},
		"an answer lost":               {computetest.Fault{LoseAnswer: true, Times: 1}, "", ""},
		"403 quotaExceeded":            {computetest.Fault{Status: http.StatusForbidden, Reason: "quotaExceeded"}, providers.CodeQuota, ""},
		"403 forbidden": {computetest.Fault{
			Status: http.StatusForbidden, Reason: "forbidden",
			Message: "Required 'compute.instances.create' permission for 'projects/p/zones/z/instances/i'",
		}, providers.CodeDenied, "compute.instances.create"},
		"400 invalid": {computetest.Fault{Status: http.StatusBadRequest, Reason: "invalid", Message: "Invalid value for field"}, providers.CodeConfiguration, "Invalid value"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, computetest.Options{}, nil)
			offers := r.offers(providers.Spot, "n2-standard-2", zoneA)
			c.fault.Method = bulkInsert
			r.Inject(c.fault)
			result, err := r.launch("t1", 2, offers...)
			if c.code == "" {
				if err != nil || len(result.Instances) != 2 || len(r.Living()) != 2 {
					t.Errorf("%+v, %v; %d live", result, err, len(r.Living()))
				}
				return
			}
			code, message := codeOf(result, err)
			if code != c.code || !strings.Contains(message, c.say) {
				t.Errorf("%s, not %s: %s", code, c.code, message)
			}
		})
	}
}

// Every permission that is missing is named, by whichever call lacks it.
func TestMissingPermissions(t *testing.T) {
	r := newRig(t, computetest.Options{}, nil)
	in, _ := r.one("t1")
	lifecycle := func(r *rig, token string) error {
		offers, err := r.provider.Offers(t.Context(), r.fleet, providers.Need{})
		if err == nil && len(offers) > 0 {
			var result providers.LaunchResult
			result, err = r.launch(token, 1, r.offers(providers.Spot, "n2-standard-2", zoneA)...)
			if code, message := codeOf(result, err); err == nil && len(result.Instances) == 0 {
				err = &providers.Error{Code: code, Message: message}
			}
		}
		if err == nil {
			_, err = r.provider.List(t.Context(), r.fleet, tags)
		}
		if err == nil {
			_, err = r.provider.Evidence(t.Context(), r.fleet, []string{in.ID})
		}
		return err
	}
	if err := lifecycle(r, "t2"); err != nil {
		t.Fatal(err)
	}
	used := r.UsedPermissions()
	for i, missing := range used {
		t.Run(missing, func(t *testing.T) {
			other := newRig(t, computetest.Options{}, nil)
			allowed := append(append([]string{}, used[:i]...), used[i+1:]...)
			other.Permit(allowed...)
			err := lifecycle(other, fmt.Sprint("p", i))
			if providers.CodeOf(err) != providers.CodeDenied || !strings.Contains(err.Error(), missing) {
				t.Errorf("without %s: %v", missing, err)
			}
		})
	}
}
