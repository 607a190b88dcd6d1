package aws

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/startup"
)

const (
	templatePrefix  = "spotrelay-"
	templateVersion = "1"
	givenLife       = 5 * time.Minute
)

// givenTemplate is a launch template that the fleet starts from.
type givenTemplate struct {
	data types.ResponseLaunchTemplateData
}

// givenTemplate reads the fleet's launch template; nil for none.
func (s *session) givenTemplate(ctx context.Context, op string, c config) (*givenTemplate, error) {
	t := c.template()
	if t == (templateBlock{}) {
		return nil, nil
	}
	return s.given.get(ctx, t.ID+" "+t.Name+" "+t.Version, givenLife, func(ctx context.Context) (*givenTemplate, error) {
		in := &ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{t.Version}}
		if t.ID != "" {
			in.LaunchTemplateId = aws.String(t.ID)
		} else {
			in.LaunchTemplateName = aws.String(t.Name)
		}
		out, err := ask(ctx, s, call{op, "ec2:DescribeLaunchTemplateVersions"}, s.ec2.DescribeLaunchTemplateVersions, in)
		if err != nil {
			return nil, err
		}
		if len(out.LaunchTemplateVersions) == 0 || out.LaunchTemplateVersions[0].LaunchTemplateData == nil {
			return nil, refuse(op, providers.CodeConfiguration, "the launch template "+t.ID+t.Name+" has no version "+t.Version, "correct the fleet's launch_template")
		}
		data := *out.LaunchTemplateVersions[0].LaunchTemplateData
		if aws.ToString(data.UserData) != "" {
			return nil, refuse(op, providers.CodeConfiguration, "the launch template "+t.ID+t.Name+" has user data of its own",
				"the agent is started by the user data: move what it does into the image or into the job's setup")
		}
		return &givenTemplate{data}, nil
	})
}

// template is a launch template of ours: its name says what is in it.
type template struct {
	name string
	data *types.RequestLaunchTemplateData
	tags map[string]string
}

// templateFor makes the template that a request's instances of one
// architecture start from. Runs of a fleet share nothing in it, launches of a
// run all: what differs among those is in tags.
func (s *session) templateFor(ctx context.Context, op string, c config, r providers.LaunchRequest, arch string) (template, error) {
	name, err := s.imageWanted(ctx, op, c, r.Need)
	if err != nil {
		return template{}, err
	}
	found, err := s.image(ctx, op, name, arch)
	if err != nil {
		return template{}, err
	}
	if found.arch != arch {
		return template{}, refuse(op, providers.CodeConfiguration, fmt.Sprintf("the image %s is for %s, the instance type for %s", name, found.arch, arch),
			"name an image for "+arch+", or leave such instance types out")
	}
	given, err := s.givenTemplate(ctx, op, c)
	if err != nil {
		return template{}, err
	}
	script, err := userData(r)
	if err != nil {
		return template{}, refuse(op, providers.CodeConfiguration, err.Error(), "")
	}
	data, err := startFrom(given)
	if err != nil {
		return template{}, refuse(op, providers.CodeConfiguration, "the launch template cannot be copied: "+err.Error(), "leave launch_template out")
	}
	fill(data, c, r, found)
	data.UserData = aws.String(base64.StdEncoding.EncodeToString(script))
	tags := templateTags(c, r.Tags)
	markSpotRequests(data, tags, r.Offers[0].Capacity)
	return nameTemplate(data, tags)
}

// userData starts the agent. It is the same for all launches of a run in a
// fleet, whose Bootstrap and MaxLife are the same.
func userData(r providers.LaunchRequest) ([]byte, error) {
	script, err := startup.Script(r.Bootstrap, startup.Options{
		Metadata: startup.MetadataEC2, BootTimeout: bootTimeout, MaxLife: r.MaxLife, Leave: leave(),
	})
	if err != nil {
		return nil, err
	}
	return startup.UserData(script)
}

// nameTemplate names a template by what is in it.
func nameTemplate(data *types.RequestLaunchTemplateData, tags map[string]string) (template, error) {
	content, err := json.Marshal(data)
	if err != nil {
		return template{}, err
	}
	sum := sha256.Sum256(content)
	return template{name: templatePrefix + hex.EncodeToString(sum[:16]), data: data, tags: tags}, nil
}

// templateTags are the tags of a template: those of a launch without the
// launch's own.
func templateTags(c config, tags map[string]string) map[string]string {
	kept := maps.Clone(c.Tags)
	if kept == nil {
		kept = map[string]string{}
	}
	for _, key := range []string{providers.TagBucket, providers.TagRun, providers.TagFleet} {
		if tags[key] != "" {
			kept[key] = tags[key]
		}
	}
	return kept
}

// tagList is tags as AWS has them, in the order of their names.
func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, key := range sortedKeys(tags) {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}

// templates are those that are known to be there.
type templates struct {
	mu    sync.Mutex
	known map[string]bool
	swept map[string]time.Time // by bucket
}

func (t *templates) knows(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[name]
}

func (t *templates) set(name string, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[string]bool{}
	}
	t.known[name] = known
}

// ensure has the template there. One of its name has its content.
func (s *session) ensure(ctx context.Context, op string, t template) error {
	if s.templates.knows(t.name) {
		return nil
	}
	_, err := ask(ctx, s, call{op, "ec2:CreateLaunchTemplate"}, s.ec2.CreateLaunchTemplate, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String(t.name), LaunchTemplateData: t.data, VersionDescription: aws.String("made by spotrelay"),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeLaunchTemplate, Tags: tagList(t.tags)}},
	})
	if err != nil && !codeIs(err, "InvalidLaunchTemplateName.AlreadyExistsException") {
		return err
	}
	s.templates.set(t.name, true)
	return nil
}
