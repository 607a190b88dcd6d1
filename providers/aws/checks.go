package aws

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/providers"
)

// Checks implements providers.Checker: what Check looks at, and quotas and
// clock, each with what was found.
func (p *Provider) Checks(ctx context.Context, fleet providers.Fleet) ([]providers.Check, error) {
	const op = "checks"
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, err)
	}
	c, faults := readConfig(fleet.Config)
	if len(faults) > 0 {
		return providers.CheckOfFaults("configuration", faults), nil
	}
	s, err := p.session(ctx, op, c)
	if err != nil {
		x := &examination{}
		x.note(err, "The AWS configuration cannot be read")
		return x.linesOf(step{name: "configuration"}), x.err
	}
	x := &examination{p: p, s: s, c: c, op: op}
	checks := x.checks(ctx)
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, err)
	}
	return checks, nil
}

// checks goes through the steps, also past one that AWS did not answer.
func (x *examination) checks(ctx context.Context) []providers.Check {
	var checks []providers.Check
	for i, step := range x.steps() {
		x.lines, x.err, x.found, x.skipped = nil, nil, "", false
		step.look(ctx)
		checks = append(checks, x.linesOf(step)...)
		if i > 0 {
			if step.name == "image" {
				checks = append(checks, x.quotas(ctx)...)
			}
			continue
		}
		if ahead, known := x.s.clock.offset(); known {
			checks = append(checks, providers.CheckOfClock(ahead))
		}
		if x.denied || x.err != nil {
			return checks
		}
	}
	return checks
}

// linesOf a step that was gone through.
func (x *examination) linesOf(s step) []providers.Check {
	switch {
	case x.err != nil:
		return []providers.Check{{
			Name: s.name, Result: providers.CheckFailed, Detail: "AWS did not answer: " + x.err.Error(),
			Advice: "See that this machine reaches AWS in the fleet's region, then check again.",
		}}
	case len(x.lines) > 0:
		for i := range x.lines {
			x.lines[i].Name = s.name
			if x.lines[i].Advice == "" {
				x.lines[i].Advice = s.advice
			}
		}
		return x.lines
	case x.skipped:
		return nil
	case x.found == "":
		return []providers.Check{{Name: s.name, Result: providers.CheckWarning, Detail: "not looked at, since something before it failed", Advice: "Mend what failed, then check again."}}
	}
	return []providers.Check{{Name: s.name, Result: providers.CheckOK, Detail: x.found}}
}

// quotas are a check for each capacity type of each family that the fleet may
// rent from.
func (x *examination) quotas(ctx context.Context) []providers.Check {
	unknown := providers.Check{Name: "quotas", Result: providers.CheckWarning}
	machines, err := x.s.catalogue(ctx, x.op, x.c)
	if err != nil {
		unknown.Detail = "the instance types cannot be listed: " + err.Error()
		unknown.Advice = "Mend that, then check again."
		return []providers.Check{unknown}
	}
	table, err := x.p.quotaTable(ctx, x.s, x.op)
	if err != nil || !table.known {
		unknown.Detail = "they cannot be read, so a launch beyond one says so first"
		unknown.Advice = "Allow servicequotas:ListServiceQuotas; docs/aws.md has the whole policy."
		return []providers.Check{unknown}
	}
	var checks []providers.Check
	for _, capacity := range []providers.CapacityType{providers.Spot, providers.OnDemand} {
		checks = append(checks, quotasOf(x.c, machines, table, capacity)...)
	}
	return checks
}

// quotasOf one capacity type. A family without room is a failure when spot has
// none at all; runs begin on spot, and what is left serves them otherwise.
func quotasOf(c config, machines []machine, table quotaTable, capacity providers.CapacityType) []providers.Check {
	var checks []providers.Check
	some := false
	for _, family := range quotaFamilies {
		smallest, ok := smallestOf(c, machines, family, capacity)
		value, known := table.values[family.code(capacity)]
		if !ok || !known {
			continue
		}
		check := providers.Check{
			Name: string(capacity) + " quota " + family.name, Result: providers.CheckOK,
			Detail: fmt.Sprintf("%g vCPUs (%s)", value, family.code(capacity)),
		}
		if int(value) < smallest.cpus {
			check.Result = providers.CheckWarning
			check.Detail += fmt.Sprintf("; the smallest of the fleet's types, %s, has %d", smallest.name, smallest.cpus)
			check.Advice = fmt.Sprintf("Ask for more: aws service-quotas request-service-quota-increase --service-code ec2 --quota-code %s --desired-value 64 --region %s.", family.code(capacity), c.Region)
			if capacity == providers.OnDemand {
				check.Advice += " Until then on_demand_attempts = 0 keeps tasks from waiting for it."
			}
		} else {
			some = true
		}
		checks = append(checks, check)
	}
	for i := range checks {
		if capacity == providers.Spot && !some {
			checks[i].Result = providers.CheckFailed
		}
	}
	return checks
}

// smallestOf the machines of a family that the fleet may rent.
func smallestOf(c config, machines []machine, family quotaFamily, capacity providers.CapacityType) (machine, bool) {
	fits := slices.DeleteFunc(slices.Clone(machines), func(m machine) bool {
		of, _ := familyOf(m.name)
		rentable := m.spot
		if capacity == providers.OnDemand {
			rentable = m.onDemand
		}
		return of.name != family.name || !rentable || !m.allowed(c, providers.Need{}) || !m.serves(providers.Need{})
	})
	if len(fits) == 0 {
		return machine{}, false
	}
	return slices.MinFunc(fits, func(a, b machine) int {
		if a.cpus != b.cpus {
			return a.cpus - b.cpus
		}
		return strings.Compare(a.name, b.name)
	}), true
}

// sentence begins with a capital and ends with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
