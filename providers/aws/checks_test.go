package aws

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
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

// TestChecks: each fault has its line with what to do, the others are right,
// and nothing is rented or made.
func TestChecks(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		deny   string
		fault  *ec2test.Fault
		quota  map[string]float64
		off    time.Duration

		check  string
		result providers.CheckResult
		says   string // in detail and advice
		also   string // a check that fails by the same
	}{
		"sound":          {},
		"denied":         {deny: "ec2:CreateFleet", check: "launch", result: providers.CheckFailed, says: "ec2:CreateFleet"},
		"no quotas":      {deny: "servicequotas:ListServiceQuotas", check: "quotas", result: providers.CheckWarning, says: "servicequotas:ListServiceQuotas"},
		"spot quota":     {quota: map[string]float64{"L-34B43A08": 0}, check: "spot quota standard", result: providers.CheckFailed, says: "--quota-code L-34B43A08"},
		"small quota":    {quota: map[string]float64{"L-1216C47A": 1}, check: "on-demand quota standard", result: providers.CheckWarning, says: "on_demand_attempts = 0"},
		"subnet gone":    {config: `{"subnets": ["subnet-0123456789abcdef0"]}`, check: "subnets", result: providers.CheckFailed, says: "subnet-0123456789abcdef0"},
		"image gone":     {config: `{"image": "ami-0123456789abcdef0"}`, check: "image", result: providers.CheckFailed, says: "ami-0123456789abcdef0"},
		"template gone":  {config: `{"launch_template": [{"name": "nothing"}]}`, check: "launch template", result: providers.CheckFailed, says: "nothing"},
		"identity":       {fault: &ec2test.Fault{Operation: "GetCallerIdentity", Code: "InvalidClientTokenId", Status: 403}, check: "identity", result: providers.CheckFailed, says: "aws sts get-caller-identity"},
		"no answer":      {fault: &ec2test.Fault{Operation: "DescribeSubnets", Code: "RequestLimitExceeded", Status: 503}, check: "subnets", result: providers.CheckFailed, says: "did not answer", also: "launch"},
		"clock, minutes": {off: -2 * time.Minute, check: "clock", result: providers.CheckWarning, says: "NTP"},
		"clock, far off": {off: 20 * time.Minute, check: "clock", result: providers.CheckFailed, says: "behind", also: "image"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, ec2test.Options{}, c.config)
			if c.off != 0 {
				r.configure(`{"endpoint": "` + at(t, r.cloud.URL, c.off) + `"}`)
			}
			if c.deny != "" {
				r.cloud.Deny(c.deny)
			}
			if c.fault != nil {
				r.cloud.Inject(*c.fault)
			}
			for code, vcpus := range c.quota {
				r.cloud.SetQuota(code, vcpus)
			}
			checks, err := connect(t, r.provider).Checks(t.Context(), r.fleet)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.cloud.Instances()) > 0 || len(r.cloud.Templates()) > 0 {
				t.Error("something was made")
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
				case check.Result == providers.CheckFailed && check.Name != c.also:
					t.Errorf("%+v; only %q should fail", check, c.check)
				}
			}
			if !found && c.check != "" {
				t.Errorf("no check %q in %+v", c.check, checks)
			}
			if name == "sound" {
				for _, check := range checks {
					t.Logf("%-26s %-8s %s", check.Name, check.Result, check.Detail)
				}
			}
		})
	}
}

// TestChecksOfAConfiguration that says nothing of use make no call.
func TestChecksOfAConfiguration(t *testing.T) {
	r := newRig(t, ec2test.Options{}, `{"subnets": ["nothing"]}`)
	checks, err := r.provider.Checks(t.Context(), r.fleet)
	if err != nil || len(checks) != 1 || checks[0].Result != providers.CheckFailed || checks[0].Name != "configuration" {
		t.Errorf("%+v, %v", checks, err)
	}
	if calls := r.cloud.Calls(""); len(calls) > 0 {
		t.Errorf("%d calls", len(calls))
	}
}
