package aws

import (
	"slices"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
)

// launchErrors is the reference's table of launch errors, row by row: what each
// code means for a pool, and for the whole call.
var launchErrors = []struct {
	code        string
	pool, whole providers.Code
}{
	{"InsufficientInstanceCapacity", providers.CodeCapacity, providers.CodeCapacity},
	{"UnfulfillableCapacity", providers.CodeCapacity, providers.CodeCapacity},
	{"SpotMaxPriceTooLow", providers.CodePrice, providers.CodePrice},
	{"Unsupported", providers.CodeUnsupported, providers.CodeUnsupported},
	{"InsufficientFreeAddressesInSubnet", providers.CodeSubnet, providers.CodeSubnet},
	{"MaxSpotInstanceCountExceeded", providers.CodeQuota, providers.CodeQuota},
	{"VcpuLimitExceeded", providers.CodeQuota, providers.CodeQuota},
	{"InstanceLimitExceeded", providers.CodeQuota, providers.CodeQuota},
	{"MaxFleetCountExceeded", providers.CodeThrottled, providers.CodeThrottled},
	{"RequestLimitExceeded", providers.CodeThrottled, providers.CodeThrottled},
	{"UnauthorizedOperation", providers.CodeDenied, providers.CodeDenied},
	{"InvalidAMIID.NotFound", providers.CodeConfiguration, providers.CodeConfiguration},
	{"InvalidAMIID.Unavailable", providers.CodeConfiguration, providers.CodeConfiguration},
	{"InvalidAMIID.Malformed", providers.CodeConfiguration, providers.CodeConfiguration},
	{"InvalidParameterValue", providers.CodeConfiguration, providers.CodeConfiguration},
	{"InvalidUserData.Malformed", providers.CodeConfiguration, providers.CodeConfiguration},
	{"AuthFailure.ServiceLinkedRoleCreationNotPermitted", providers.CodeDenied, providers.CodeDenied},
	// Beside the table: what else was seen to come.
	{"InvalidFleetConfiguration", providers.CodeUnsupported, providers.CodeConfiguration},
	{"IdempotentParameterMismatch", providers.CodeTokenMismatch, providers.CodeTokenMismatch},
	{"InternalError", providers.CodeUnavailable, providers.CodeUnavailable},
	{"NeverHeardOf", providers.CodeUnavailable, providers.CodeUnavailable},
}

// TestPoolErrors has CreateFleet give each error for one pool of two: the other
// is rented, and the failure names the pool.
func TestPoolErrors(t *testing.T) {
	for _, row := range launchErrors {
		t.Run(row.code, func(t *testing.T) {
			r := newRig(t, ec2test.Options{}, "")
			offers := r.offers(providers.Need{}, providers.Spot, "m5.large", "c5.large")
			r.cloud.Inject(ec2test.Fault{Operation: "CreateFleet", Code: row.code, Pool: &ec2test.Pool{InstanceType: "c5.large"}})
			r.cloud.SetCapacity(ec2test.Pool{Zone: "us-east-1a", InstanceType: "m5.large", Lifecycle: "spot"}, 1)
			r.cloud.SetCapacity(ec2test.Pool{Zone: "us-east-1b", InstanceType: "m5.large", Lifecycle: "spot"}, 0)
			r.cloud.SetCapacity(ec2test.Pool{Zone: "us-east-1c", InstanceType: "m5.large", Lifecycle: "spot"}, 0)
			result, err := r.provider.Launch(t.Context(), r.fleet, r.request("tok", 2, offers))
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Instances) != 1 || result.Instances[0].Offer.InstanceType != "m5.large" || result.Instances[0].Offer.Zone != "us-east-1a" {
				t.Errorf("rented: %+v", result.Instances)
			}
			for _, zone := range []string{"us-east-1a", "us-east-1b", "us-east-1c"} {
				pool := providers.Pool{Zone: zone, InstanceType: "c5.large", Capacity: providers.Spot}
				if !slices.ContainsFunc(result.Failures, func(f providers.Failure) bool {
					return f.Pool == pool && f.Code == row.pool && strings.Contains(f.Message, row.code)
				}) {
					t.Errorf("no failure of %v with code %q: %+v", pool, row.pool, result.Failures)
				}
			}
		})
	}
}

// TestCallErrors has CreateFleet fail as a whole with each error. Nothing is
// rented, and what cannot pass by itself is asked for once.
func TestCallErrors(t *testing.T) {
	for _, row := range launchErrors {
		t.Run(row.code, func(t *testing.T) {
			r := newRig(t, ec2test.Options{}, "")
			request := r.request("tok", 1, r.offers(providers.Need{}, providers.Spot, "m5.large"))
			status := 400
			if row.code == "InsufficientInstanceCapacity" || row.code == "InternalError" {
				status = 500 // as EC2 has it
			}
			r.provider.frozen.life = 0 // the request is made anew: its digest is not what is tested
			r.cloud.Inject(ec2test.Fault{Operation: "CreateFleet", Code: row.code, Status: status})
			_, err := r.provider.Launch(t.Context(), r.fleet, request)
			e := wantCode(t, err, row.whole)
			if e.Call != "ec2:CreateFleet" || e.Op != "launch" || !strings.Contains(e.Message, row.code) {
				t.Errorf("the error does not say what failed: %+v", e)
			}
			if row.whole == providers.CodeDenied && e.Hint == "" {
				t.Errorf("a denied call without a hint: %+v", e)
			}
			if row.whole == providers.CodeThrottled && e.After <= 0 {
				t.Errorf("throttled, and not for how long: %+v", e)
			}
			want := 1
			if row.whole == providers.CodeUnavailable || row.code == "RequestLimitExceeded" {
				want = tries
			}
			if calls := r.cloud.Calls("CreateFleet"); len(calls) != want {
				t.Errorf("CreateFleet was called %d times; want %d", len(calls), want)
			}
			if live := r.cloud.Live(); len(live) > 0 {
				t.Errorf("something was rented: %v", live)
			}
		})
	}
}

// TestNoCodeIsOverlooked: each exact code of the table is tested above, or is
// not one of a launch.
func TestNoCodeIsOverlooked(t *testing.T) {
	tested := map[string]bool{}
	for _, row := range launchErrors {
		tested[row.code] = true
	}
	// The reference's rows, in its words.
	for _, code := range strings.Fields(`InsufficientInstanceCapacity UnfulfillableCapacity SpotMaxPriceTooLow Unsupported
		InsufficientFreeAddressesInSubnet MaxSpotInstanceCountExceeded VcpuLimitExceeded InstanceLimitExceeded MaxFleetCountExceeded
		RequestLimitExceeded UnauthorizedOperation InvalidParameterValue InvalidUserData.Malformed
		AuthFailure.ServiceLinkedRoleCreationNotPermitted`) {
		if !tested[code] {
			t.Errorf("the row %s has no test", code)
		}
		if _, known := meaningOf(code); !known {
			t.Errorf("the row %s has no meaning", code)
		}
	}
	for code, m := range errorCodes {
		if m.code == "" {
			t.Errorf("%s means nothing", code)
		}
		got, _ := meaningOf(code)
		if got != m {
			t.Errorf("%s: a prefix goes before the exact code", code)
		}
	}
	for _, code := range []string{"Throttling", "ThrottlingException", "RequestThrottled", "TooManyRequestsException"} {
		if m, _ := meaningOf(code); m.code != providers.CodeThrottled {
			t.Errorf("%s means %q", code, m.code)
		}
	}
}

func TestDeniedNamesTheAction(t *testing.T) {
	for message, want := range map[string]string{
		"You are not authorized to perform this operation. User: arn:aws:iam::1:user/u is not authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:us-east-1:1:instance/* because no identity-based policy allows the ec2:RunInstances action": "ec2:RunInstances",
		"User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/agent":                                                                                                                          "iam:PassRole",
		"You are not authorized to perform this operation. Encoded authorization failure message: 4GIOHlTkIaWHQD0Q":                                                                                                                                        "iam:PassRole",
		"You are not authorized to perform this operation.": "ec2:CreateFleet",
	} {
		e := denied(providers.Error{Code: providers.CodeDenied, Call: "ec2:CreateFleet", Message: message})
		if !strings.Contains(e.Hint, want) {
			t.Errorf("%q: the hint %q does not name %s", message, e.Hint, want)
		}
		if strings.Contains(e.Message, "4GIOHlTkIaWHQD0Q") {
			t.Errorf("the encoded text is shown: %q", e.Message)
		}
	}
}
