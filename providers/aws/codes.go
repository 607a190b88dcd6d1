package aws

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/spotrelay/spotrelay/providers"
)

// meaning is what an error code of AWS means, and what can be done.
type meaning struct {
	code providers.Code
	hint string
}

const (
	hintQuota       = "terminated instances count for a while; ask AWS for more under Service Quotas, or add a fleet in another region"
	hintCredentials = "check the credentials that the AWS CLI would use here: aws sts get-caller-identity"
	hintServiceRole = "let an administrator create it once: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
)

// errorCodes says what EC2's errors mean for a plan ("Error codes for the
// Amazon EC2 API"). The exact code comes first, then errorPrefixes.
var errorCodes = map[string]meaning{
	// Another pool may have what this one lacks.
	"InsufficientInstanceCapacity": {code: providers.CodeCapacity},
	"UnfulfillableCapacity":        {code: providers.CodeCapacity},
	"InsufficientCapacity":         {code: providers.CodeCapacity},
	"InsufficientHostCapacity":     {code: providers.CodeCapacity},
	"SpotMaxPriceTooLow":           {providers.CodePrice, "raise max_price of the fleet or leave it out; the default is the on-demand price"},
	"Unsupported":                  {code: providers.CodeUnsupported},
	"UnsupportedOperation":         {code: providers.CodeUnsupported},
	"InvalidInstanceType":          {code: providers.CodeUnsupported},

	"InsufficientFreeAddressesInSubnet": {providers.CodeSubnet, "give the fleet larger subnets, or more of them"},

	// Another zone does not help.
	"MaxSpotInstanceCountExceeded": {providers.CodeQuota, hintQuota},
	"VcpuLimitExceeded":            {providers.CodeQuota, hintQuota},
	"InstanceLimitExceeded":        {providers.CodeQuota, hintQuota},
	"VolumeLimitExceeded":          {providers.CodeQuota, hintQuota},
	"MaxIOPSLimitExceeded":         {providers.CodeQuota, hintQuota},

	// Later.
	"MaxFleetCountExceeded": {code: providers.CodeThrottled},
	"RequestLimitExceeded":  {code: providers.CodeThrottled},

	// May pass by itself.
	"InternalError":      {code: providers.CodeUnavailable},
	"InternalFailure":    {code: providers.CodeUnavailable},
	"ServiceUnavailable": {code: providers.CodeUnavailable},
	"Unavailable":        {code: providers.CodeUnavailable},
	"RequestTimeout":     {code: providers.CodeUnavailable},

	// The identity may not.
	"UnauthorizedOperation": {code: providers.CodeDenied},
	"AccessDenied":          {code: providers.CodeDenied},
	"AccessDeniedException": {code: providers.CodeDenied},
	"UnauthorizedAccess":    {code: providers.CodeDenied},
	"AuthFailure":           {providers.CodeDenied, hintCredentials},
	"InvalidClientTokenId":  {providers.CodeDenied, hintCredentials},
	"SignatureDoesNotMatch": {providers.CodeDenied, hintCredentials + "; and this machine's clock"},
	"IncompleteSignature":   {providers.CodeDenied, hintCredentials},
	"ExpiredToken":          {providers.CodeDenied, "sign in again: the credentials have expired"},
	"ExpiredTokenException": {providers.CodeDenied, "sign in again: the credentials have expired"},
	"RequestExpired":        {providers.CodeDenied, "set this machine's clock, or sign in again"},
	"OptInRequired":         {providers.CodeDenied, "sign the account up for the service, or accept the image's terms in the AWS Marketplace"},
	"PendingVerification":   {providers.CodeDenied, "AWS is still verifying the account for this region; it takes up to four hours"},
	"Blocked":               {providers.CodeDenied, "AWS has blocked the account; contact AWS Support"},

	"AuthFailure.ServiceLinkedRoleCreationNotPermitted": {providers.CodeDenied, hintServiceRole},

	// The fleet or the request is wrong.
	"InvalidFleetConfig":        {code: providers.CodeConfiguration},
	"InvalidFleetConfiguration": {code: providers.CodeConfiguration},
	"ValidationError":           {code: providers.CodeConfiguration},
	"ValidationException":       {code: providers.CodeConfiguration},
	"NoSuchResourceException":   {code: providers.CodeConfiguration},
	"ParameterNotFound":         {code: providers.CodeConfiguration},
	"OperationNotPermitted":     {providers.CodeConfiguration, "turn the instance's termination protection off"},
	"VPCIdNotSpecified":         {providers.CodeConfiguration, "the region has no default VPC: give the fleet subnets"},
	"VPCResourceNotSpecified":   {providers.CodeConfiguration, "give the fleet subnets"},
	"DefaultVpcDoesNotExist":    {providers.CodeConfiguration, "the region has no default VPC: give the fleet subnets"},

	// The token.
	"IdempotentParameterMismatch":  {code: providers.CodeTokenMismatch},
	"IdempotentInstanceTerminated": {code: providers.CodeTokenMismatch},

	"InvalidInstanceID.NotFound":  {code: providers.CodeNotFound},
	"InvalidInstanceID.Malformed": {code: providers.CodeNotFound},
	"InvalidInstanceId":           {code: providers.CodeNotFound},
}

// errorPrefixes are families of codes: InvalidAMIID.NotFound and its like.
var errorPrefixes = []struct {
	prefix string
	meaning
}{
	{"InvalidAMIID.", meaning{providers.CodeConfiguration, "name an image of the fleet's region; an id is good in one region alone"}},
	{"InvalidParameter", meaning{code: providers.CodeConfiguration}},
	{"InvalidUserData.", meaning{code: providers.CodeConfiguration}},
	{"InvalidSubnetID.", meaning{providers.CodeConfiguration, "correct the fleet's subnets"}},
	{"InvalidGroup.", meaning{providers.CodeConfiguration, "correct the fleet's security_groups"}},
	{"InvalidSecurityGroupID.", meaning{providers.CodeConfiguration, "correct the fleet's security_groups"}},
	{"InvalidKeyPair.", meaning{providers.CodeConfiguration, "correct the fleet's key_name"}},
	{"InvalidLaunchTemplate", meaning{providers.CodeConfiguration, "correct the fleet's launch_template"}},
	{"AuthFailure.", meaning{providers.CodeDenied, hintCredentials}},
	{"UnrecognizedClient", meaning{providers.CodeDenied, hintCredentials}},
	{"MissingAuthentication", meaning{providers.CodeDenied, hintCredentials}},
	{"Invalid", meaning{code: providers.CodeConfiguration}},
	{"Missing", meaning{code: providers.CodeConfiguration}},
	{"Malformed", meaning{code: providers.CodeConfiguration}},
	{"Unknown", meaning{code: providers.CodeConfiguration}},
}

// poolErrors are codes that mean something narrower when CreateFleet gives
// them for one of its overrides: there InvalidFleetConfiguration says that the
// zone does not have the instance type.
var poolErrors = map[string]meaning{
	"InvalidFleetConfiguration": {code: providers.CodeUnsupported},
	"InvalidFleetConfig":        {code: providers.CodeUnsupported},
}

// meaningOf is what an error code means; false for one that nobody here knows.
func meaningOf(code string) (meaning, bool) {
	if m, ok := errorCodes[code]; ok {
		return m, true
	}
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
		return meaning{code: providers.CodeThrottled}, true
	}
	for _, p := range errorPrefixes {
		if strings.HasPrefix(code, p.prefix) {
			return p.meaning, true
		}
	}
	return meaning{}, false
}

// poolMeaningOf is the same for an error of one override.
func poolMeaningOf(code string) (meaning, bool) {
	if m, ok := poolErrors[code]; ok {
		return m, true
	}
	return meaningOf(code)
}
