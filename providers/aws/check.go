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
	lines  []providers.Check // one for each fault, without its name
	err    error
	denied bool // the credentials are not accepted: nothing else can be asked

	found   string // what the step found, where all is well
	skipped bool   // the step had nothing to look at, or could not
	badBase bool   // the launch template cannot be used, so the image is not known
}

// step is one thing to look at.
type step struct {
	name   string
	look   func(context.Context)
	advice string // where an error has no hint of its own
}

func (x *examination) steps() []step {
	return []step{
		{"identity", x.identity, "Sign in as for the AWS CLI: aws sts get-caller-identity shows who you are."},
		{"subnets", x.subnets, "Correct the fleet's subnets."},
		{"security groups", x.securityGroups, "Correct the fleet's security_groups."},
		{"key pair", x.keyPair, "Correct the fleet's key_name, or leave it out."},
		{"launch template", x.launchTemplate, "Correct the fleet's launch_template."},
		{"image", x.image, "Correct the fleet's image: it must be there, in this region, and shared with this account."},
		{"prices", x.prices, "Correct what keeps prices from being read."},
		{"launch", x.permissions, "Correct what EC2 refuses; docs/aws.md has the policy that a launch needs."},
	}
}

func (x *examination) all(ctx context.Context) {
	for _, step := range x.steps() {
		if x.err != nil || x.denied {
			return
		}
		step.look(ctx)
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
	x.lines = append(x.lines, providers.Check{Result: providers.CheckFailed, Detail: summary + ": " + e.Message, Advice: sentence(e.Hint)})
	x.faults = append(x.faults, providers.Fault{Severity: providers.SeverityError, Path: path, Summary: summary, Detail: detail})
	return false
}

// warn adds a warning.
func (x *examination) warn(summary, detail string, path ...string) {
	x.lines = append(x.lines, providers.Check{Result: providers.CheckWarning, Detail: summary, Advice: detail})
	x.faults = append(x.faults, providers.Fault{Severity: providers.SeverityWarning, Path: path, Summary: summary, Detail: detail})
}

// blocked reports whether a fault was found so far.
func (x *examination) blocked() bool {
	return slices.ContainsFunc(x.faults, func(f providers.Fault) bool { return f.Severity == providers.SeverityError })
}

func (x *examination) identity(ctx context.Context) {
	out, err := ask(ctx, x.s, call{x.op, "sts:GetCallerIdentity"}, x.s.sts.GetCallerIdentity, &sts.GetCallerIdentityInput{})
	var path []string
	switch {
	case x.c.role().ARN != "":
		path = []string{"assume_role", "0", "arn"}
	case x.c.Profile != "":
		path = []string{"profile"}
	}
	if x.denied = !x.note(err, "AWS does not accept the credentials", path...); !x.denied {
		x.found = aws.ToString(out.Arn)
	}
}

func (x *examination) subnets(ctx context.Context) {
	subnets, err := x.s.network(ctx, x.op, x.c)
	if !x.note(err, "The subnets cannot be used", named("subnets", x.c.Subnets, wordsOf(err))...) {
		return
	}
	zones := zonesOf(subnets)
	x.found = fmt.Sprintf("%d in %s: %s", len(subnets), subnets[0].vpc, strings.Join(zones, ", "))
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
		x.found = "the VPC's own"
		return
	}
	out, err := ask(ctx, x.s, call{x.op, "ec2:DescribeSecurityGroups"}, x.s.ec2.DescribeSecurityGroups,
		&ec2.DescribeSecurityGroupsInput{GroupIds: x.c.SecurityGroups})
	if !x.note(err, "The security groups cannot be used", named("security_groups", x.c.SecurityGroups, wordsOf(err))...) {
		return
	}
	x.found = strings.Join(x.c.SecurityGroups, ", ")
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
	if x.skipped = x.c.KeyName == ""; x.skipped {
		return
	}
	x.found = x.c.KeyName
	_, err := ask(ctx, x.s, call{x.op, "ec2:DescribeKeyPairs"}, x.s.ec2.DescribeKeyPairs, &ec2.DescribeKeyPairsInput{KeyNames: []string{x.c.KeyName}})
	x.note(err, "The key pair cannot be used", "key_name")
}

func (x *examination) launchTemplate(ctx context.Context) {
	given, err := x.s.givenTemplate(ctx, x.op, x.c)
	x.badBase = !x.note(err, "The launch template cannot be used", "launch_template", "0")
	x.skipped = !x.badBase && given == nil
	x.found = orElse(x.c.template().ID, x.c.template().Name)
}

func (x *examination) image(ctx context.Context) {
	if x.badBase {
		return
	}
	name, err := x.s.imageWanted(ctx, x.op, x.c, providers.Need{})
	if err == nil {
		var found image
		if found, err = x.s.image(ctx, x.op, name, ""); err == nil {
			x.found = name + ", " + found.id
		}
	}
	x.note(err, "The image cannot be used", "image")
}

func (x *examination) prices(ctx context.Context) {
	list, err := x.p.onDemandPrices(ctx, x.s, x.op)
	if err != nil {
		x.note(err, "The price list cannot be read")
		return
	}
	x.found = "AWS's price list"
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
	x.found = fmt.Sprintf("EC2 would start instances; %d offers", len(offers))
	cheapest := slices.MinFunc(offers, func(a, b providers.Offer) int { return cmp.Compare(a.Price, b.Price) })
	x.tryLaunch(ctx, cheapest)
}
