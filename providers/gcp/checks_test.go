package gcp_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/gcp"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// at is a server in front of another whose answers are dated otherwise.
func at(t *testing.T, address string, off time.Duration) string {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(response *http.Response) error {
		response.Header.Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// Each fault has its line with what to do, the others are right, and nothing is
// rented.
func TestChecks(t *testing.T) {
	for name, c := range map[string]struct {
		more  map[string]any
		quota map[string]float64
		deny  string
		off   time.Duration

		check  string
		result providers.CheckResult
		says   string
	}{
		"fine":           {},
		"project":        {more: map[string]any{"project": "somebody-else"}, check: "identity", result: providers.CheckFailed, says: "fleet's project"},
		"denied":         {deny: "compute.networks.get", check: "network", result: providers.CheckFailed, says: "compute.networks.get"},
		"network gone":   {more: map[string]any{"subnetwork": "no-such"}, check: "network", result: providers.CheckFailed, says: "no-such"},
		"image gone":     {more: map[string]any{"image": "projects/spotrelay-test/global/images/no-such"}, check: "image", result: providers.CheckFailed, says: "no-such"},
		"machine types":  {more: map[string]any{"machine_types": []string{"n2-*", "z9-*"}}, check: "machine types", result: providers.CheckFailed, says: "z9-*"},
		"spot quota":     {more: map[string]any{"machine_types": []string{"n2-*"}}, quota: map[string]float64{"PREEMPTIBLE_CPUS": 1}, check: "spot quota PREEMPTIBLE_CPUS", result: providers.CheckFailed, says: "Ask for more of PREEMPTIBLE_CPUS"},
		"family quota":   {more: map[string]any{"machine_types": []string{"n2-*"}}, quota: map[string]float64{"N2_CPUS": 0}, check: "on-demand quota N2_CPUS", result: providers.CheckWarning, says: "on_demand_attempts = 0"},
		"addresses":      {quota: map[string]float64{"IN_USE_ADDRESSES": 0}, check: "quotas", result: providers.CheckFailed, says: "external_ip = false"},
		"prices":         {more: map[string]any{"billing_endpoint": ""}, check: "prices", result: providers.CheckWarning, says: "cloudbilling"},
		"clock, minutes": {off: 3 * time.Minute, check: "clock", result: providers.CheckWarning, says: "NTP"},
		"clock, far off": {off: -time.Hour, check: "clock", result: providers.CheckFailed, says: "ahead of"},
	} {
		t.Run(name, func(t *testing.T) {
			s := computetest.Start(t, computetest.Options{Anonymous: true, TolerateFaults: true})
			fleet := fleetOf(t, s, c.more)
			if c.off != 0 {
				fleet = fleetOf(t, s, map[string]any{"endpoint": at(t, s.URL, c.off)})
			}
			for metric, limit := range c.quota {
				s.SetQuota("us-central1", metric, limit)
			}
			if c.deny != "" {
				s.Inject(computetest.Fault{Method: c.deny, Status: http.StatusForbidden, Reason: "forbidden", Message: "Required '" + c.deny + "' permission for 'projects/p'"})
			}
			checks, err := gcp.New(gcp.Options{CacheDir: t.TempDir()}).Checks(t.Context(), fleet)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Instances()) > 0 {
				t.Error("something was rented")
			}
			found := false
			for _, check := range checks {
				if (check.Result == providers.CheckOK) != (check.Advice == "") || check.Detail == "" {
					t.Errorf("%+v", check)
				}
				switch {
				case check.Name == c.check:
					found = check.Result == c.result && strings.Contains(check.Detail+" "+check.Advice, c.says)
					if !found {
						t.Errorf("%+v; want %s and %q", check, c.result, c.says)
					}
				case check.Result == providers.CheckFailed:
					t.Errorf("%+v; only %q should fail", check, c.check)
				}
			}
			if !found && c.check != "" {
				t.Errorf("no check %q in %+v", c.check, checks)
			}
			if name == "fine" {
				for _, check := range checks {
					t.Logf("%-30s %-8s %s", check.Name, check.Result, check.Detail)
				}
			}
		})
	}
}
