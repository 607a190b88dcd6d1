package gcp

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/spotrelay/spotrelay/providers"
)

// reach is what an error blocks.
type reach string

const (
	reachZone   reach = "zone"
	reachSubnet reach = "subnet"
	reachRegion reach = "region"
	reachCall   reach = "call" // nothing: the call can be repeated
	reachNever  reach = "never"
)

// rule is what an error means for the plan.
type rule struct {
	code  providers.Code
	reach reach
}

// rules are the error codes of operations (Error.Errors[].Code) and the reasons
// of answers (error.errors[].reason). Compute writes some of them in two ways.
// Sources: https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-vm-creation
// and https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-bulk-create.
var rules = map[string]rule{
	"ZONE_RESOURCE_POOL_EXHAUSTED":              {providers.CodeCapacity, reachZone},
	"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": {providers.CodeCapacity, reachZone},
	"insufficientCapacity":                      {providers.CodeCapacity, reachZone},
	"STOCKOUT":                                  {providers.CodeCapacity, reachZone},
	"VM_MIN_COUNT_NOT_REACHED":                  {providers.CodeCapacity, reachZone},
	"UNSUPPORTED_OPERATION":                     {providers.CodeCapacity, reachZone}, // preempted while being created
	"RESOURCE_POOL_EXHAUSTED":                   {providers.CodeCapacity, reachZone},

	"IP_SPACE_EXHAUSTED":              {providers.CodeSubnet, reachSubnet},
	"IP_SPACE_EXHAUSTED_WITH_DETAILS": {providers.CodeSubnet, reachSubnet},

	"QUOTA_EXCEEDED": {providers.CodeQuota, reachRegion},
	"quotaExceeded":  {providers.CodeQuota, reachRegion},
	"limitExceeded":  {providers.CodeQuota, reachRegion},

	"RATE_LIMIT_EXCEEDED":              {providers.CodeThrottled, reachCall},
	"rateLimitExceeded":                {providers.CodeThrottled, reachCall},
	"userRateLimitExceeded":            {providers.CodeThrottled, reachCall},
	"RESOURCE_OPERATION_RATE_EXCEEDED": {providers.CodeThrottled, reachCall},
	"OPERATION_RATE_EXCEEDED":          {providers.CodeThrottled, reachCall},

	"INTERNAL_ERROR":          {providers.CodeUnavailable, reachCall},
	"internalError":           {providers.CodeUnavailable, reachCall},
	"backendError":            {providers.CodeUnavailable, reachCall},
	"SERVICE_UNAVAILABLE":     {providers.CodeUnavailable, reachCall},
	"RESOURCE_NOT_READY":      {providers.CodeUnavailable, reachCall},
	"resourceNotReady":        {providers.CodeUnavailable, reachCall},
	"RESOURCE_ALREADY_EXISTS": {providers.CodeTokenMismatch, reachCall}, // the caller looks whose it is
	"alreadyExists":           {providers.CodeTokenMismatch, reachCall},

	"IAM_PERMISSION_DENIED":         {providers.CodeDenied, reachNever},
	"PERMISSIONS_ERROR":             {providers.CodeDenied, reachNever},
	"SERVICE_ACCOUNT_ACCESS_DENIED": {providers.CodeDenied, reachNever},
	"forbidden":                     {providers.CodeDenied, reachNever},
	"required":                      {providers.CodeConfiguration, reachNever},
	"accessNotConfigured":           {providers.CodeDenied, reachNever},
	"VPC_NOT_FOUND":                 {providers.CodeConfiguration, reachNever},
	"RESOURCE_NOT_FOUND":            {providers.CodeConfiguration, reachNever},
	"INVALID_FIELD_VALUE":           {providers.CodeConfiguration, reachNever},
	"INVALID_USAGE":                 {providers.CodeConfiguration, reachNever},
	"CONDITION_NOT_MET":             {providers.CodeConfiguration, reachNever},
	"invalid":                       {providers.CodeConfiguration, reachNever},
	"badRequest":                    {providers.CodeConfiguration, reachNever},
	"UNSUPPORTED_MACHINE_TYPE":      {providers.CodeUnsupported, reachZone},
}

// codeOfAnswer is what an HTTP answer means; its reasons count before its
// status, since 403 is all of denied, throttled and out of quota.
func codeOfAnswer(status int, reasons []string) providers.Code {
	if status == http.StatusUnauthorized { // its reason, "required", is also that of a missing field
		return providers.CodeDenied
	}
	for _, reason := range reasons {
		if r, ok := rules[reason]; ok {
			return r.code
		}
	}
	switch {
	case status == http.StatusForbidden:
		return providers.CodeDenied
	case status == http.StatusNotFound:
		return providers.CodeNotFound
	case status == http.StatusConflict:
		return providers.CodeTokenMismatch
	case status == http.StatusTooManyRequests:
		return providers.CodeThrottled
	case status == http.StatusRequestTimeout, status >= 500:
		return providers.CodeUnavailable
	}
	return providers.CodeConfiguration
}

// codeOfOperation is what an error in an operation means. One that is not in
// the rules says nothing for certain, and may pass.
func codeOfOperation(text string) providers.Code {
	if r, ok := rules[text]; ok {
		return r.code
	}
	return providers.CodeUnavailable
}

var missingPermission = regexp.MustCompile(`[Rr]equired '([a-zA-Z.]+)' permission|[Pp]ermission '([a-zA-Z.]+)' denied`)

// hintFor says what a user can do. Compute names a missing permission in its
// message and nowhere else; the hint is for people, no decision hangs on it.
func hintFor(code providers.Code, message string) string {
	switch code {
	case providers.CodeDenied:
		if m := missingPermission.FindStringSubmatch(message); m != nil {
			permission := orText(m[1], m[2])
			if permission == "iam.serviceAccounts.actAs" {
				return "grant iam.serviceAccounts.actAs on the instances' service account (role roles/iam.serviceAccountUser)"
			}
			return "grant " + permission + " to the identity that spotrelay runs as (it is in roles/compute.instanceAdmin.v1)"
		}
		return "see docs/gcp.md for the permissions that spotrelay needs, and whether the Compute Engine API is enabled in the project"
	case providers.CodeQuota:
		if strings.Contains(message, "GPUS_ALL_REGIONS") || strings.Contains(message, "GPUS-ALL-REGIONS") {
			return "the quota is the project's in all regions: ask for more, or end other GPU instances"
		}
		return "ask for more quota in this region, or name a fleet in another one"
	case providers.CodeSubnet:
		return "the subnetwork has no free addresses: widen it, or use another one"
	}
	return ""
}
