package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/spotrelay/spotrelay/providers"
)

// Check implements providers.Provider. It asks AWS for everything that the
// config block names, and has it try the calls of a launch without effect.
func (p *Provider) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	const op = "check"
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, err)
	}
	c, faults := readConfig(fleet.Config)
	if len(faults) > 0 {
		return faults, nil
	}
	s, err := p.session(ctx, op, c)
	if err != nil {
		x := &examination{}
		x.note(err, "The AWS configuration cannot be read", "profile")
		return x.faults, x.err
	}
	x := &examination{p: p, s: s, c: c, op: op}
	x.all(ctx)
	return x.faults, wrap(op, x.err)
}

// examination is a check under way. It ends at the first error that is no
// finding, since then AWS has not answered.
type examination struct {
	p  *Provider
	s  *session
	c  config
	op string

	faults []providers.Fault
	err    error
	denied bool // the credentials are not accepted: nothing else can be asked
}

func (x *examination) all(ctx context.Context) {
	steps := []func(context.Context){
		x.identity, x.subnets, x.securityGroups, x.keyPair, x.launchTemplate, x.image, x.prices, x.permissions,
	}
	for _, step := range steps {
		if x.err != nil || x.denied {
			return
		}
		step(ctx)
	}
}

// note makes an error a fault at a path; one that may pass ends the check. It
// reports whether there was none.
func (x *examination) note(err error, summary string, path ...string) bool {
	if err == nil {
		return true
	}
	var e *providers.Error
	if !errors.As(err, &e) || e.Code == providers.CodeUnavailable || e.Code == providers.CodeThrottled {
		x.err = err
		return false
	}
	detail := e.Message
	if e.Hint != "" {
		detail += "; " + e.Hint
	}
	x.faults = append(x.faults, providers.Fault{Severity: providers.SeverityError, Path: path, Summary: summary, Detail: detail})
	return false
}

// warn adds a warning.
func (x *examination) warn(summary, detail string, path ...string) {
	x.faults = append(x.faults, providers.Fault{Severity: providers.SeverityWarning, Path: path, Summary: summary, Detail: detail})
}

// blocked reports whether a fault was found so far.
func (x *examination) blocked() bool {
	return slices.ContainsFunc(x.faults, func(f providers.Fault) bool { return f.Severity == providers.SeverityError })
}

func (x *examination) identity(ctx context.Context) {
	_, err := ask(ctx, x.s, call{x.op, "sts:GetCallerIdentity"}, x.s.sts.GetCallerIdentity, &sts.GetCallerIdentityInput{})
	var path []string
	switch {
	case x.c.role().ARN != "":
		path = []string{"assume_role", "0", "arn"}
	case x.c.Profile != "":
		path = []string{"profile"}
	}
	x.denied = !x.note(err, "AWS does not accept the credentials", path...)
}

func (x *examination) subnets(ctx context.Context) {
	subnets, err := x.s.network(ctx, x.op, x.c)
	if !x.note(err, "The subnets cannot be used", named("subnets", x.c.Subnets, wordsOf(err))...) {
		return
	}
	for _, n := range subnets {
		if n.vpc != subnets[0].vpc {
			x.note(refuse(x.op, providers.CodeConfiguration, subnets[0].id+" is in "+subnets[0].vpc+", "+n.id+" in "+n.vpc,
				"keep the subnets of one VPC, or make two fleets"), "The subnets are of several VPCs", "subnets")
			return
		}
		if n.free == 0 {
			x.warn("The subnet "+n.id+" has no free addresses", "No instance can be launched in it until some are free.", named("subnets", x.c.Subnets, n.id)...)
		}
	}
}

// named is the path of the element of a list that AWS names, or of the list. It
// is for the place of a fault alone.
func named(attribute string, ids []string, words string) []string {
	for i, id := range ids {
		if strings.Contains(words, id) {
			return []string{attribute, fmt.Sprint(i)}
		}
	}
	return []string{attribute}
}

// wordsOf are AWS's own words in an error.
func wordsOf(err error) string {
	var e *providers.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

func (x *examination) securityGroups(ctx context.Context) {
	if len(x.c.SecurityGroups) == 0 {
		return
	}
	out, err := ask(ctx, x.s, call{x.op, "ec2:DescribeSecurityGroups"}, x.s.ec2.DescribeSecurityGroups,
		&ec2.DescribeSecurityGroupsInput{GroupIds: x.c.SecurityGroups})
	if !x.note(err, "The security groups cannot be used", named("security_groups", x.c.SecurityGroups, wordsOf(err))...) {
		return
	}
	subnets, ok := x.s.networks.peek(networkKey(x.c))
	if !ok || len(subnets) == 0 {
		return // told before
	}
	for _, group := range out.SecurityGroups {
		if id, vpc := aws.ToString(group.GroupId), aws.ToString(group.VpcId); vpc != subnets[0].vpc {
			x.note(refuse(x.op, providers.CodeConfiguration, id+" is in "+vpc+", the subnets are in "+subnets[0].vpc, "name groups of the subnets' VPC"),
				"The security group is of another VPC", named("security_groups", x.c.SecurityGroups, id)...)
		}
	}
}

func (x *examination) keyPair(ctx context.Context) {
	if x.c.KeyName == "" {
		return
	}
	_, err := ask(ctx, x.s, call{x.op, "ec2:DescribeKeyPairs"}, x.s.ec2.DescribeKeyPairs, &ec2.DescribeKeyPairsInput{KeyNames: []string{x.c.KeyName}})
	x.note(err, "The key pair cannot be used", "key_name")
}

func (x *examination) launchTemplate(ctx context.Context) {
	_, err := x.s.givenTemplate(ctx, x.op, x.c)
	x.note(err, "The launch template cannot be used", "launch_template", "0")
}

func (x *examination) image(ctx context.Context) {
	if x.blocked() {
		return
	}
	name, err := x.s.imageWanted(ctx, x.op, x.c, providers.Need{})
	if err == nil {
		_, err = x.s.image(ctx, x.op, name, "")
	}
	x.note(err, "The image cannot be used", "image")
}

func (x *examination) prices(ctx context.Context) {
	list, err := x.p.onDemandPrices(ctx, x.s, x.op)
	if err != nil {
		x.note(err, "The price list cannot be read")
		return
	}
	if list.builtIn {
		x.warn("On-demand prices are the built-in table's",
			fmt.Sprintf("It is of us-east-1 on %s and has the common families alone; the others get no on-demand offers. AWS did not give its price list: %v.", builtInDate, list.err))
	}
}

// permissions has AWS try the calls of a launch without effect.
func (x *examination) permissions(ctx context.Context) {
	if x.blocked() {
		return
	}
	offers, err := x.p.offers(ctx, x.s, x.op, x.c, providers.Need{})
	if !x.note(err, "Offers cannot be looked up") {
		return
	}
	if len(offers) == 0 {
		x.note(refuse(x.op, providers.CodeConfiguration, "no instance type is left that the zones have, the quotas allow and the image runs on",
			"widen instance_types, or ask AWS for a larger quota"), "The fleet has nothing to offer", "instance_types")
		return
	}
	cheapest := slices.MinFunc(offers, func(a, b providers.Offer) int { return cmp.Compare(a.Price, b.Price) })
	x.tryLaunch(ctx, cheapest)
}
