package aws

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/cenkalti/backoff/v5"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	// tries of a call that is throttled or has no answer, with pauses that
	// double from firstPause on.
	tries      = 5
	firstPause = 500 * time.Millisecond
	mostPause  = 15 * time.Second
	// throttledAfter is what a caller is asked to wait once the tries are used
	// up.
	throttledAfter = 10 * time.Second
)

// call is a request to one API on behalf of one method of the provider.
type call struct {
	op  string // the provider's method: "launch"
	api string // "ec2:CreateFleet"
}

// ask makes a call: within the rate limit, and again while AWS throttles or
// does not answer. That may be, as every API here either changes nothing, or
// carries a token, or has its effect once. Its error is a *providers.Error.
func ask[In, Out, Opt any](ctx context.Context, s *session, c call, f func(context.Context, *In, ...func(*Opt)) (*Out, error), in *In) (*Out, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = s.pause, mostPause
	out, err := backoff.Retry(ctx, func() (*Out, error) {
		if err := s.limits.wait(ctx, c.api); err != nil {
			return nil, backoff.Permanent(c.fault(err))
		}
		if err := s.signIn(ctx, c); err != nil {
			return nil, backoff.Permanent(err)
		}
		out, err := f(ctx, in)
		if err == nil {
			return out, nil
		}
		fault := c.fault(err)
		if ctx.Err() == nil && (fault.Code == providers.CodeThrottled || fault.Code == providers.CodeUnavailable) && !settled(err) {
			return nil, fault
		}
		return nil, backoff.Permanent(fault)
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(0))
	if err != nil {
		return nil, c.fault(err)
	}
	return out, nil
}

// settled reports whether an error is not to be repeated at once, though it may
// pass: it takes minutes, or is a dry run's success.
func settled(err error) bool { return codeIs(err, "MaxFleetCountExceeded", codeDryRun) }

// codeIs reports whether err is an answer of AWS with one of the codes.
func codeIs(err error, codes ...string) bool {
	code := codeOf(err)
	for _, c := range codes {
		if code == c {
			return true
		}
	}
	return false
}

// codeOf is AWS's error code, "" for an error without one.
func codeOf(err error) string {
	var known *fault
	if errors.As(err, &known) {
		return known.code
	}
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

// fault is a provider's error that still knows AWS's code.
type fault struct {
	providerError
	code string
}

// providerError by another name, since a field Error would hide the method.
type providerError = providers.Error

// As makes errors.As find the provider's error, which is what crosses the
// plugin's border.
func (f *fault) As(target any) bool {
	if t, ok := target.(**providers.Error); ok {
		*t = &f.providerError
		return true
	}
	return false
}

// fault makes any error one of the provider's.
func (c call) fault(err error) *fault {
	var known *fault
	if errors.As(err, &known) {
		return known
	}
	f := &fault{providerError: providers.Error{Code: providers.CodeUnavailable, Op: c.op, Call: c.api, Message: err.Error()}}
	var own *providers.Error
	if errors.As(err, &own) {
		f.providerError = *own
		return f
	}
	var answer smithy.APIError
	switch {
	case errors.As(err, &answer):
		f.code, f.Message = answer.ErrorCode(), answer.ErrorCode()+": "+answer.ErrorMessage()
		f.judge(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		f.Hint = "the call's time was over; it may be repeated"
	}
	return f
}

// judge sets the code and the hint by AWS's code.
func (f *fault) judge(err error) {
	m, known := meaningOf(f.code)
	if !known {
		var response *smithyhttp.ResponseError
		if errors.As(err, &response) && response.HTTPStatusCode() == http.StatusForbidden {
			m = meaning{code: providers.CodeDenied}
		} else {
			m = meaning{code: providers.CodeUnavailable}
		}
	}
	f.Code, f.Hint = m.code, m.hint
	switch f.Code {
	case providers.CodeDenied:
		f.providerError = denied(f.providerError)
	case providers.CodeThrottled:
		f.After = throttledAfter
	}
}

// actionDenied finds the action in the words of IAM's refusal.
var actionDenied = regexp.MustCompile(`not authorized to perform:? ([a-z0-9-]+:[A-Za-z0-9]+)`)

// denied says which action is missing. A refusal that AWS has encoded names
// none; then it is the call's own.
func denied(e providers.Error) providers.Error {
	if e.Hint != "" {
		return e
	}
	action := e.Call
	if found := actionDenied.FindStringSubmatch(e.Message); found != nil {
		action = found[1]
	}
	e.Hint = "the identity needs the action " + action + "; docs/aws.md has the whole policy"
	if i := strings.Index(e.Message, "Encoded authorization failure message:"); i >= 0 {
		e.Message = strings.TrimSpace(e.Message[:i])
		e.Hint += ", and to launch also ec2:RunInstances, ec2:CreateTags and iam:PassRole of the instance profile's role"
	}
	return e
}

// wrap makes any error a *providers.Error of a method.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	f := call{op: op}.fault(err)
	e := f.providerError
	return &e
}

// refuse is an error of this package's own.
func refuse(op string, code providers.Code, message, hint string) error {
	return &providers.Error{Code: code, Op: op, Message: message, Hint: hint}
}
