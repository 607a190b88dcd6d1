package aws

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	// templateAge is after what time a template of ours is removed. A run that
	// still uses it makes it again.
	templateAge = 7 * 24 * time.Hour
	// templateSweep is the time between two removals, and templatesAtOnce the
	// most that one removes.
	templateSweep   = 24 * time.Hour
	templatesAtOnce = 10
)

// removeOldTemplates removes templates of the same bucket that are old. They
// cost nothing, but an account may have only 5,000; so it is not urgent, and
// that it may not be done is no fault.
func (p *Provider) removeOldTemplates(ctx context.Context, s *session, op, bucket string) {
	if !s.templates.sweepDue(bucket) {
		return
	}
	in := &ec2.DescribeLaunchTemplatesInput{Filters: []types.Filter{filter("tag:"+providers.TagBucket, escape(bucket))}, MaxResults: aws.Int32(200)}
	for removed := 0; removed < templatesAtOnce; {
		out, err := ask(ctx, s, call{op, "ec2:DescribeLaunchTemplates"}, s.ec2.DescribeLaunchTemplates, in)
		if err != nil {
			p.log.Info("old launch templates are left", "error", err)
			return
		}
		for _, t := range out.LaunchTemplates {
			if removed == templatesAtOnce || !s.isOld(t) {
				continue
			}
			_, err := ask(ctx, s, call{op, "ec2:DeleteLaunchTemplate"}, s.ec2.DeleteLaunchTemplate, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: t.LaunchTemplateName})
			if err != nil && !isTemplateGone(codeOf(err)) {
				p.log.Info("an old launch template is left", "template", aws.ToString(t.LaunchTemplateName), "error", err)
				return
			}
			removed++
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return
		}
	}
}

// isOld reports whether a template is ours, old, and not in use by this
// process.
func (s *session) isOld(t types.LaunchTemplate) bool {
	name := aws.ToString(t.LaunchTemplateName)
	return strings.HasPrefix(name, templatePrefix) && !s.templates.knows(name) && time.Since(aws.ToTime(t.CreateTime)) > templateAge
}

// sweepDue reports, once a day for each bucket, that it is time.
func (t *templates) sweepDue(bucket string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.swept[bucket]) < templateSweep {
		return false
	}
	if t.swept == nil {
		t.swept = map[string]time.Time{}
	}
	t.swept[bucket] = time.Now()
	return true
}
