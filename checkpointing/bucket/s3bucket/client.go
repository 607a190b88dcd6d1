package s3bucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/internal/transport"
)

const (
	// anyRegion is what an endpoint of one's own is signed for when nothing
	// names a region.
	anyRegion = "us-east-1"

	lookupTimeout = 10 * time.Second
)

// newClient makes the client by the default chain (environment, shared files,
// single sign-on, container and instance roles) and completes s with what the
// chain says, so that the bucket's URL means the same on another machine.
func newClient(ctx context.Context, s *settings) (*s3.Client, *http.Client, error) {
	var options []func(*config.LoadOptions) error
	if s.region != "" {
		options = append(options, config.WithRegion(s.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, nil, &configError{err}
	}
	client, err := httpClient(cfg)
	if err != nil {
		return nil, nil, err
	}
	// The environment and the shared files may name an endpoint too.
	if s.endpoint == "" {
		if endpoint := s3.NewFromConfig(cfg).Options().BaseEndpoint; endpoint != nil {
			s.endpoint = *endpoint
		}
	}
	if s.region, err = region(ctx, client, *s, cfg.Region); err != nil {
		return nil, nil, err
	}
	made := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = client
		o.Region = s.region
		if s.endpoint != "" {
			o.BaseEndpoint = aws.String(s.endpoint)
		}
		o.Retryer = newStandard()
		o.UsePathStyle = s.usesPathStyle()
		if cfg.Credentials != nil {
			o.Credentials = &credentials{from: cfg.Credentials}
		}
		// Objects are put with a checksum of our own, and what is read is
		// verified by its readers.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		// A round trip before each large put costs more than the rare refusal.
		o.ContinueHeaderThresholdBytes = -1
	})
	return made, client, nil
}

// httpClient is a tuned client with the certificates that the SDK was told to
// trust (AWS_CA_BUNDLE, ca_bundle), which it can only put into one of its own.
func httpClient(cfg aws.Config) (*http.Client, error) {
	base := awshttp.NewBuildableClient()
	if cfg.HTTPClient != nil {
		own, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
		if !ok {
			return nil, fmt.Errorf("the SDK's configuration has an HTTP client of type %T, which cannot be tuned", cfg.HTTPClient)
		}
		base = own
	}
	t := base.GetTransport()
	transport.Tune(t)
	return &http.Client{
		Transport: t,
		// A redirect is to another region, for which the request would have
		// to be signed anew: it is reported with the region's name.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// region is the bucket's: as the address says, or any for an endpoint of one's
// own, or as S3 says, which tells it to everybody, or else the configured one.
func region(ctx context.Context, client *http.Client, s settings, configured string) (string, error) {
	switch {
	case s.region != "":
		return s.region, nil
	case s.endpoint != "" && configured != "":
		return configured, nil
	case s.endpoint != "":
		return anyRegion, nil
	}
	found, err := lookupRegion(ctx, client, "https://s3."+anyRegion+".amazonaws.com/"+s.name)
	if found != "" {
		return found, nil
	}
	if configured != "" {
		return configured, nil
	}
	return "", &regionError{name: s.name, err: err}
}

// lookupRegion asks without credentials; S3 names the bucket's region in
// refusals as well.
func lookupRegion(ctx context.Context, client *http.Client, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address, http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	return answer.Header.Get(regionHeader), nil
}

// configError is a fault of the user's AWS configuration.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// regionError: the bucket's region could not be found out.
type regionError struct {
	name string
	err  error // may be nil
}

func (e *regionError) Error() string {
	if e.err == nil {
		return "S3 knows no bucket " + e.name
	}
	return "the region of bucket " + e.name + " could not be found out: " + e.err.Error()
}

func (e *regionError) Unwrap() error { return e.err }

// credentials tells a machine that has none from one whose source of
// credentials is away for a while.
type credentials struct {
	from aws.CredentialsProvider
	had  atomic.Bool
}

// Retrieve implements aws.CredentialsProvider.
func (c *credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := c.from.Retrieve(ctx)
	switch {
	case err == nil:
		c.had.Store(true)
	case ctx.Err() == nil && !errors.Is(err, context.Canceled):
		err = &credentialsError{err: err, had: c.had.Load()}
	}
	return found, err
}

// credentialsError: there are no credentials, or there are none any more.
type credentialsError struct {
	err error
	had bool
}

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }
