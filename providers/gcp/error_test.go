package gcp

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"google.golang.org/api/googleapi"

	"github.com/spotrelay/spotrelay/providers"
)

// The rows of the reference on launch errors: what each blocks.
var launchErrors = []struct {
	code  string
	want  providers.Code
	reach reach
}{
	{"ZONE_RESOURCE_POOL_EXHAUSTED", providers.CodeCapacity, reachZone},
	{"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", providers.CodeCapacity, reachZone},
	{"insufficientCapacity", providers.CodeCapacity, reachZone},
	{"UNSUPPORTED_OPERATION", providers.CodeCapacity, reachZone},
	{"STOCKOUT", providers.CodeCapacity, reachZone},
	{"VM_MIN_COUNT_NOT_REACHED", providers.CodeCapacity, reachZone},
	{"RESOURCE_POOL_EXHAUSTED", providers.CodeCapacity, reachZone},
	{"IP_SPACE_EXHAUSTED", providers.CodeSubnet, reachSubnet},
	{"IP_SPACE_EXHAUSTED_WITH_DETAILS", providers.CodeSubnet, reachSubnet},
	{"QUOTA_EXCEEDED", providers.CodeQuota, reachRegion},
	{"quotaExceeded", providers.CodeQuota, reachRegion},
	{"limitExceeded", providers.CodeQuota, reachRegion},
	{"RATE_LIMIT_EXCEEDED", providers.CodeThrottled, reachCall},
	{"rateLimitExceeded", providers.CodeThrottled, reachCall},
	{"userRateLimitExceeded", providers.CodeThrottled, reachCall},
	{"RESOURCE_OPERATION_RATE_EXCEEDED", providers.CodeThrottled, reachCall},
	{"OPERATION_RATE_EXCEEDED", providers.CodeThrottled, reachCall},
	{"INTERNAL_ERROR", providers.CodeUnavailable, reachCall},
	{"internalError", providers.CodeUnavailable, reachCall},
	{"backendError", providers.CodeUnavailable, reachCall},
	{"SERVICE_UNAVAILABLE", providers.CodeUnavailable, reachCall},
	{"RESOURCE_NOT_READY", providers.CodeUnavailable, reachCall},
	{"resourceNotReady", providers.CodeUnavailable, reachCall},
	{"RESOURCE_ALREADY_EXISTS", providers.CodeTokenMismatch, reachCall},
	{"alreadyExists", providers.CodeTokenMismatch, reachCall},
	{"IAM_PERMISSION_DENIED", providers.CodeDenied, reachNever},
	{"PERMISSIONS_ERROR", providers.CodeDenied, reachNever},
	{"SERVICE_ACCOUNT_ACCESS_DENIED", providers.CodeDenied, reachNever},
	{"forbidden", providers.CodeDenied, reachNever},
	{"accessNotConfigured", providers.CodeDenied, reachNever},
	{"VPC_NOT_FOUND", providers.CodeConfiguration, reachNever},
	{"RESOURCE_NOT_FOUND", providers.CodeConfiguration, reachNever},
	{"INVALID_FIELD_VALUE", providers.CodeConfiguration, reachNever},
	{"INVALID_USAGE", providers.CodeConfiguration, reachNever},
	{"CONDITION_NOT_MET", providers.CodeConfiguration, reachNever},
	{"required", providers.CodeConfiguration, reachNever},
	{"invalid", providers.CodeConfiguration, reachNever},
	{"badRequest", providers.CodeConfiguration, reachNever},
	{"UNSUPPORTED_MACHINE_TYPE", providers.CodeUnsupported, reachZone},
}

func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range launchErrors {
		seen[row.code] = true
		if got := codeOfOperation(row.code); got != row.want {
			t.Errorf("%s in an operation is %s; want %s", row.code, got, row.want)
		}
		if got := codeOfAnswer(http.StatusTeapot, []string{"unheard-of", row.code}); got != row.want {
			t.Errorf("%s as the reason of an answer is %s; want %s", row.code, got, row.want)
		}
		if got := rules[row.code].reach; got != row.reach {
			t.Errorf("%s blocks the %s; want the %s", row.code, got, row.reach)
		}
	}
	for code := range rules {
		if !seen[code] {
			t.Errorf("the rule for %s has no row here", code)
		}
	}
	if got := codeOfOperation("UNHEARD_OF"); got != providers.CodeUnavailable {
		t.Errorf("an error that is new is %s", got)
	}
}

func TestAnswers(t *testing.T) {
	for status, want := range map[int]providers.Code{
		400: providers.CodeConfiguration, 401: providers.CodeDenied, 403: providers.CodeDenied, 404: providers.CodeNotFound,
		408: providers.CodeUnavailable, 409: providers.CodeTokenMismatch, 412: providers.CodeConfiguration,
		429: providers.CodeThrottled, 500: providers.CodeUnavailable, 502: providers.CodeUnavailable, 503: providers.CodeUnavailable,
	} {
		if got := codeOfAnswer(status, []string{"unheard-of"}); got != want {
			t.Errorf("%d is %s; want %s", status, got, want)
		}
	}
	if got := codeOfAnswer(401, []string{"required"}); got != providers.CodeDenied {
		t.Errorf("a login that is required is %s", got)
	}
}

func TestWrap(t *testing.T) {
	answer := &googleapi.Error{
		Code: 403, Message: "Required 'compute.instances.create' permission for 'projects/p/zones/z/instances/i'",
		Header: http.Header{"Retry-After": {"7"}},
	}
	var got *providers.Error
	if !errors.As(wrap("launch", "regionInstances.bulkInsert", answer), &got) {
		t.Fatal("it is no *providers.Error")
	}
	if got.Code != providers.CodeDenied || got.Call != "compute.regionInstances.bulkInsert" || got.After != 7*time.Second ||
		got.Hint != "grant compute.instances.create to the identity that spotrelay runs as (it is in roles/compute.instanceAdmin.v1)" {
		t.Errorf("%+v", got)
	}
	for message, want := range map[string]string{
		"Required 'iam.serviceAccounts.actAs' permission for 'x'": "grant iam.serviceAccounts.actAs on the instances' service account (role roles/iam.serviceAccountUser)",
		"Permission 'compute.images.useReadOnly' denied on 'x'":   "grant compute.images.useReadOnly to the identity that spotrelay runs as (it is in roles/compute.instanceAdmin.v1)",
		"no": "see docs/gcp.md for the permissions that spotrelay needs, and whether the Compute Engine API is enabled in the project",
	} {
		if got := hintFor(providers.CodeDenied, message); got != want {
			t.Errorf("%q: %q", message, got)
		}
	}
	if got := providers.CodeOf(wrap("list", "", errors.New("connection refused"))); got != providers.CodeUnavailable {
		t.Errorf("no answer is %s", got)
	}
}
