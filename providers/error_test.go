package providers_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
)

func TestErrorText(t *testing.T) {
	for want, e := range map[string]providers.Error{
		"launch: capacity: none left": {Code: providers.CodeCapacity, Op: "launch", Message: "none left"},
		"launch (ec2:CreateFleet): denied: no (ask for it)": {
			Code: providers.CodeDenied, Op: "launch", Call: "ec2:CreateFleet", Message: "no", Hint: "ask for it",
		},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestErrorIsComparesCodes(t *testing.T) {
	err := fmt.Errorf("around: %w", &providers.Error{Code: providers.CodeQuota, Op: "launch", Message: "m"})
	for _, c := range []struct {
		target error
		want   bool
	}{
		{&providers.Error{Code: providers.CodeQuota}, true},
		{&providers.Error{Code: providers.CodePrice}, false},
		{&providers.Error{Code: providers.CodeQuota, Op: "launch"}, false}, // another error, not a pattern
		{io.EOF, false},
	} {
		if got := errors.Is(err, c.target); got != c.want {
			t.Errorf("errors.Is with %#v is %v", c.target, got)
		}
	}
}

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want providers.Code
	}{
		{nil, ""},
		{io.EOF, providers.CodeUnavailable},
		{&providers.Error{Code: providers.CodeDenied}, providers.CodeDenied},
		{fmt.Errorf("%w: %w", io.EOF, &providers.Error{Code: providers.CodeSubnet}), providers.CodeSubnet},
	} {
		if got := providers.CodeOf(c.err); got != c.want {
			t.Errorf("CodeOf(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestFinalCodes(t *testing.T) {
	for code, want := range map[providers.Code]bool{
		providers.CodeDenied: true, providers.CodeConfiguration: true,
		providers.CodeCapacity: false, providers.CodeUnavailable: false, providers.CodeThrottled: false,
		providers.CodeQuota: false, providers.CodeTokenMismatch: false, "": false,
	} {
		if code.Final() != want {
			t.Errorf("%q.Final() is %v", code, !want)
		}
	}
}

func TestHas(t *testing.T) {
	d := providers.Description{Capabilities: []providers.Capability{providers.CapabilityConsole}}
	if !d.Has(providers.CapabilityConsole) || d.Has(providers.CapabilityPreempt) {
		t.Errorf("%+v", d)
	}
}

func TestPool(t *testing.T) {
	offer := providers.Offer{Zone: "z", InstanceType: "t", Capacity: providers.Spot, Price: 1, CPUs: 2}
	if got, want := offer.Pool(), (providers.Pool{Zone: "z", InstanceType: "t", Capacity: providers.Spot}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
