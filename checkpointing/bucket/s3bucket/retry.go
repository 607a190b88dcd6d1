package s3bucket

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// maxPause bounds the wait between two tries of a call; the callers have
// patience of their own above it.
const maxPause = 2 * time.Second

// newStandard retries the calls that may be repeated.
func newStandard() *retry.Standard {
	return retry.NewStandard(func(r *retry.StandardOptions) {
		r.MaxBackoff = maxPause
		r.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(hopeless)}, r.Retryables...)
	})
}

// hopeless says of what only the user can mend that it is not retried; the SDK
// takes it for trouble with the connection.
func hopeless(err error) aws.Ternary {
	var (
		noCredentials *credentialsError
		unknownCA     x509.UnknownAuthorityError
		wrongName     x509.HostnameError
	)
	if errors.As(err, &noCredentials) || errors.As(err, &unknownCA) || errors.As(err, &wrongName) || errors.Is(err, http.ErrSchemeMismatch) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// newCareful retries a conditional write only when the one before it has
// certainly not taken place. After a lost answer a second try would be refused
// because of the first, and look like a lost race.
func newCareful() aws.Retryer { return &onlyRefused{newStandard()} }

// onlyRefused retries nothing but what was refused or never sent.
type onlyRefused struct{ *retry.Standard }

// IsErrorRetryable implements aws.Retryer.
func (r *onlyRefused) IsErrorRetryable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var opError *net.OpError
	if errors.As(err, &opError) && opError.Op == "dial" {
		return true
	}
	switch codeOf(err) {
	case directoryConflict, "SlowDown", "RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled", "RequestTimeTooSkewed":
		return true
	}
	return false
}

var _ aws.RetryerV2 = (*onlyRefused)(nil)
