package gcp

import (
	"context"
	"fmt"

	"github.com/spotrelay/spotrelay/providers"
)

// Checks implements providers.Checker: what Check looks at, and the quotas of
// each capacity type and the clock, each with what was found.
func (p *Provider) Checks(ctx context.Context, fleet providers.Fleet) ([]providers.Check, error) {
	const op = "checks"
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, "", err)
	}
	config, faults := readConfig(fleet.Config)
	if len(faults) > 0 {
		return providers.CheckOfFaults("configuration", faults), nil
	}
	c, err := p.cloud(ctx, op, config)
	if err != nil {
		faults, err := asFaults(err, nil)
		return providers.CheckOfFaults("identity", faults), err
	}
	k := &checker{p: p, c: c, config: config}
	checks := k.checks(ctx)
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, "", err)
	}
	return checks, nil
}

// checks goes through the steps, also past one that Compute did not answer.
func (k *checker) checks(ctx context.Context) []providers.Check {
	var checks []providers.Check
	for i, step := range k.steps() {
		k.faults, k.failed, k.found, k.skipped = nil, nil, "", false
		step.look(ctx)
		checks = append(checks, k.linesOf(step)...)
		if step.name == "quotas" && k.region != nil {
			for _, capacity := range []providers.CapacityType{providers.Spot, providers.OnDemand} {
				checks = append(checks, k.quotasOf(capacity)...)
			}
		}
		if i > 0 {
			continue
		}
		if ahead, known := k.c.clock.offset(); known {
			checks = append(checks, providers.CheckOfClock(ahead))
		}
		if k.failed != nil || len(k.faults) > 0 {
			return checks
		}
	}
	return checks
}

// linesOf a step that was gone through.
func (k *checker) linesOf(s step) []providers.Check {
	switch {
	case k.failed != nil:
		return []providers.Check{{
			Name: s.name, Result: providers.CheckFailed, Detail: "Compute did not answer: " + k.failed.Error(),
			Advice: "See that this machine reaches Google Cloud, then check again.",
		}}
	case len(k.faults) > 0:
		return providers.CheckOfFaults(s.name, k.faults)
	case k.skipped:
		return []providers.Check{{Name: s.name, Result: providers.CheckWarning, Detail: "not looked at, since something before it failed", Advice: "Mend what failed, then check again."}}
	}
	return []providers.Check{{Name: s.name, Result: providers.CheckOK, Detail: k.found}}
}

// quotasOf one capacity type: a check for each quota that the fleet's machines
// count against. One without room is a failure when spot has none at all, since
// runs begin there, and a warning where the fleet names its machine types or
// none is left.
func (k *checker) quotasOf(capacity providers.CapacityType) []providers.Check {
	least := map[string]float64{} // the smallest share of a machine
	some := false                 // a machine has room in all its quotas
	for _, machines := range k.byZone {
		for _, m := range machines {
			named := len(k.config.MachineTypes) > 0
			if !k.config.allows(m.base) || !k.config.boots(m, providers.Need{}) || m.gpus > 0 && !named {
				continue
			}
			for metric, each := range k.region.takes(m, capacity) {
				if before, ok := least[metric]; !ok || each < before {
					least[metric] = each
				}
			}
			_, room := k.region.limit(m, capacity)
			some = some || room
		}
	}
	var checks []providers.Check
	for _, metric := range keysOf(least) {
		limit := k.region.quotas[metric]
		check := providers.Check{Name: string(capacity) + " quota " + metric, Result: providers.CheckOK, Detail: fmt.Sprintf("%g", limit)}
		if limit < least[metric] {
			check.Detail += fmt.Sprintf("; the smallest machine of the fleet takes %g", least[metric])
			check.Result, check.Advice = k.withoutRoom(capacity, metric, some)
		}
		checks = append(checks, check)
	}
	return checks
}

func (k *checker) withoutRoom(capacity providers.CapacityType, metric string, some bool) (providers.CheckResult, string) {
	advice := fmt.Sprintf("Ask for more of %s in %s, under IAM & Admin, Quotas.", metric, k.config.Region)
	switch {
	case some && len(k.config.MachineTypes) == 0:
		return providers.CheckOK, ""
	case capacity == providers.Spot && !some:
		return providers.CheckFailed, advice
	case capacity == providers.OnDemand && !some:
		return providers.CheckWarning, advice + " Until then on_demand_attempts = 0 keeps tasks from waiting for it."
	}
	return providers.CheckWarning, advice
}
