package gcp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/googleapi"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	// callTimeout bounds one request.
	callTimeout = 60 * time.Second
	// hangTimeout bounds one that waits for an operation: the server answers
	// within two minutes.
	hangTimeout = 150 * time.Second
	// tries of a call that may be repeated, with pauses from firstPause on.
	tries        = 5
	firstPause   = 250 * time.Millisecond
	longestPause = 20 * time.Second
)

// noRetry turns the library's own retries off: it knows neither our rate nor
// what an error means.
var noRetry = gax.WithRetry(func() gax.Retryer { return nil })

// ask makes a call that may be repeated, within the rate of its group, and
// tries again what may pass by itself. The error is a *providers.Error.
func (c *cloud) ask(ctx context.Context, op, call string, group api, f func(context.Context) error) error {
	for failures := 0; ; {
		err := c.once(ctx, op, call, group, f)
		if err == nil {
			return nil
		}
		failures++
		code := providers.CodeOf(err)
		if failures == tries || ctx.Err() != nil || code != providers.CodeThrottled && code != providers.CodeUnavailable {
			return err
		}
		var known *providers.Error
		after := time.Duration(0)
		if errors.As(err, &known) {
			after = known.After
		}
		if !pause(ctx, max(after, backoff(failures))) {
			return err
		}
	}
}

// hang is ask for a request about an operation, which the server holds for up to
// two minutes.
func (c *cloud) hang(ctx context.Context, op, call string, f func(context.Context) error) error {
	return c.ask(ctx, op, call, apiOperation, f)
}

// once makes a call a single time.
func (c *cloud) once(ctx context.Context, op, call string, group api, f func(context.Context) error) error {
	if err := c.limits[group].Wait(ctx); err != nil {
		return wrap(op, call, err)
	}
	limit := callTimeout
	if group == apiOperation {
		limit = hangTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return wrap(op, call, f(bounded))
}

// backoff doubles with each failure, with jitter.
func backoff(failures int) time.Duration {
	most := min(firstPause<<min(failures-1, 10), longestPause)
	return most/2 + rand.N(most/2+1)
}

// pause waits; false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// wrap makes any error of a call a provider's.
func wrap(op, call string, err error) error {
	if err == nil {
		return nil
	}
	var known *providers.Error
	if errors.As(err, &known) {
		return known
	}
	if call != "" {
		call = "compute." + call
	}
	var answer *googleapi.Error
	if !errors.As(err, &answer) {
		hint := "no answer came from Compute; it is tried again"
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			hint = "the call's time was over; it may be repeated"
		}
		return &providers.Error{Code: providers.CodeUnavailable, Op: op, Call: call, Message: err.Error(), Hint: hint}
	}
	reasons := make([]string, 0, len(answer.Errors))
	for _, item := range answer.Errors {
		reasons = append(reasons, item.Reason)
	}
	code := codeOfAnswer(answer.Code, reasons)
	message := answer.Message
	if message == "" {
		message = http.StatusText(answer.Code)
	}
	return &providers.Error{
		Code: code, Op: op, Call: call, Message: message,
		Hint: hintFor(code, message), After: retryAfter(answer.Header),
	}
}

// retryAfter reads the header of that name.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, time.Minute)
}
