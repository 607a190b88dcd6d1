package aws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/spotrelay/spotrelay/providers"
)

// identity is what fleets must share to share a session.
type identity struct {
	region, profile, endpoint string
	role                      roleBlock
}

func (c config) identity() identity {
	return identity{c.Region, c.Profile, c.Endpoint, c.role()}
}

// session is one identity in one region: its clients, rate limits and what is
// known of the region. All of it is made anew after a restart.
type session struct {
	identity
	credentials aws.CredentialsProvider
	signedIn    atomic.Bool
	limits      limits
	pause       time.Duration // the first between two tries
	clock       *clock

	ec2     *ec2.Client
	ssm     *ssm.Client
	sts     *sts.Client
	pricing *pricing.Client
	quotas  *servicequotas.Client

	machines  cache[[]machine]
	places    cache[map[string][]string] // zones by instance type
	spot      cache[map[zoneType]float64]
	onDemand  cache[priceList]
	limited   cache[quotaTable]
	networks  cache[[]subnet]
	images    cache[image]
	given     cache[*givenTemplate]
	templates templates
	full      crowded
}

// sessions are those of the process.
type sessions struct {
	mu   sync.Mutex
	open map[identity]*session
}

// of is the session of a config; it makes no call.
func (p *Provider) session(ctx context.Context, op string, c config) (*session, error) {
	p.sessions.mu.Lock()
	defer p.sessions.mu.Unlock()
	if s := p.sessions.open[c.identity()]; s != nil {
		return s, nil
	}
	s, err := openSession(ctx, c)
	if err != nil {
		return nil, refuse(op, providers.CodeConfiguration, "the AWS configuration cannot be read: "+err.Error(),
			"check the fleet's profile, and ~/.aws/config and ~/.aws/credentials")
	}
	s.pause, s.full.life = p.pause, crowdedLife
	if p.sessions.open == nil {
		p.sessions.open = map[identity]*session{}
	}
	p.sessions.open[c.identity()] = s
	return s, nil
}

func openSession(ctx context.Context, c config) (*session, error) {
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithRegion(c.Region),
		awsconfig.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		awsconfig.WithAppID("spotrelay"),
		awsconfig.WithLogger(logging.Nop{}), // errors are answers; its warnings of connections are not for users
	}
	if c.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(c.Profile))
	}
	if c.Endpoint != "" {
		options = append(options, awsconfig.WithBaseEndpoint(c.Endpoint))
	}
	told := &clock{}
	options = append(options, awsconfig.WithAPIOptions([]func(*middleware.Stack) error{told.listen}))
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	if role := c.role(); role.ARN != "" {
		loaded.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(loaded), role.ARN,
			func(o *stscreds.AssumeRoleOptions) {
				o.RoleSessionName = orElse(role.SessionName, "spotrelay")
				if role.ExternalID != "" {
					o.ExternalID = aws.String(role.ExternalID)
				}
			}))
	}
	return &session{
		identity: c.identity(), clock: told, credentials: loaded.Credentials,
		ec2: ec2.NewFromConfig(loaded), ssm: ssm.NewFromConfig(loaded), sts: sts.NewFromConfig(loaded),
		quotas:  servicequotas.NewFromConfig(loaded),
		pricing: pricing.NewFromConfig(loaded, func(o *pricing.Options) { o.Region = pricingRegion(c.Region) }),
	}, nil
}

// signIn has the credentials at hand. Where there never were any the call is
// denied; where there were, their source may come back.
func (s *session) signIn(ctx context.Context, c call) error {
	_, err := s.credentials.Retrieve(ctx)
	if err == nil {
		s.signedIn.Store(true)
		return nil
	}
	var answer smithy.APIError
	if errors.As(err, &answer) || s.signedIn.Load() || ctx.Err() != nil {
		return call{c.op, "sts:AssumeRole"}.fault(err)
	}
	return &providers.Error{
		Code: providers.CodeDenied, Op: c.op, Call: c.api, Message: "there are no AWS credentials: " + err.Error(),
		Hint: "sign in as for the AWS CLI (aws configure, aws sso login, AWS_PROFILE), or run on an instance with a role",
	}
}

// pricingRegion is where the price list is served for a region ("AWS Price
// List service endpoints").
func pricingRegion(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "cn-northwest-1"
	case strings.HasPrefix(region, "eu-"):
		return "eu-central-1"
	case strings.HasPrefix(region, "ap-"):
		return "ap-south-1"
	}
	return "us-east-1"
}

// priceSource tells price lists of different servers apart: an emulator's must
// not be taken for AWS's.
func (s *session) priceSource() string {
	address := s.endpoint
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_PRICING"} {
		if text := os.Getenv(name); text != "" && s.endpoint == "" {
			address = text
		}
	}
	if address == "" {
		return s.region
	}
	sum := sha256.Sum256([]byte(address))
	return s.region + "-" + hex.EncodeToString(sum[:6])
}
