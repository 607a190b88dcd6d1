package providers

import (
	"context"
	"fmt"
	"time"
)

// Checker is what a provider with CapabilityChecks offers beside: it tells what
// it looked at, also where all is well. For one without it, CheckOfFaults makes
// the same of what Check finds.
type Checker interface {
	// Checks looks at everything that a launch in the fleet will need, without
	// renting or making anything: who is asking, quotas, network, image, clock.
	// What cannot be looked at is a Check that says so; an error is for a call
	// that came to nothing. May be repeated.
	Checks(ctx context.Context, fleet Fleet) ([]Check, error)
}

// CheckResult is how a Check came out.
type CheckResult string

const (
	CheckOK CheckResult = "ok"
	// CheckWarning: a run works, though not as one would expect.
	CheckWarning CheckResult = "warning"
	// CheckFailed: a run in the fleet would fail, or wait in vain.
	CheckFailed CheckResult = "failed"
)

// Check is one thing that was looked at.
type Check struct {
	Name   string      `json:"name"` // what was looked at: "subnets", "spot quota standard"
	Result CheckResult `json:"result"`
	Detail string      `json:"detail,omitempty"` // what was found
	Advice string      `json:"advice,omitempty"` // what to do about it; empty when ok
}

// CheckOfFaults is what Check found, as checks by a name: a single one that is
// ok where it found nothing.
func CheckOfFaults(name string, faults []Fault) []Check {
	if len(faults) == 0 {
		return []Check{{Name: name, Result: CheckOK}}
	}
	var checks []Check
	for _, f := range faults {
		check := Check{Name: name, Result: CheckFailed, Detail: f.Summary, Advice: f.Detail}
		if f.Severity == SeverityWarning {
			check.Result = CheckWarning
		}
		checks = append(checks, check)
	}
	return checks
}

// How far a clock may be off. AWS and Google refuse signatures and assertions
// of another time: AWS after five minutes ("Elements of an AWS API request
// signature"), Google after ten.
const (
	ClockWarning = time.Minute
	ClockFailure = 5 * time.Minute
)

// CheckOfClock is the check of this machine's clock, which is ahead of the
// cloud's by so much; negative is behind. Answers carry whole seconds.
func CheckOfClock(ahead time.Duration) Check {
	check := Check{Name: "clock", Result: CheckOK, Detail: "right within seconds"}
	off, way := ahead, "ahead of"
	if ahead < 0 {
		off, way = -ahead, "behind"
	}
	if off > 5*time.Second {
		check.Detail = fmt.Sprintf("this machine's clock is %s %s the cloud's", off.Round(time.Second), way)
	}
	if off <= ClockWarning {
		return check
	}
	check.Result, check.Advice = CheckWarning, "Set this machine's clock by NTP (timedatectl set-ntp true)."
	if off > ClockFailure {
		check.Result = CheckFailed
		check.Advice = "Set this machine's clock by NTP (timedatectl set-ntp true): the cloud refuses what is signed at another time."
	}
	return check
}
