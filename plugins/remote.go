package plugins

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spotrelay/spotrelay/plugins/bridge"
	"github.com/spotrelay/spotrelay/providers"
)

// remote is a provider whose plugin is started when a call needs it. Each call
// has its deadline; one whose process died is repeated once if the contract
// says that it may be.
type remote struct {
	host    *host
	options Options
}

var (
	_ providers.Provider  = (*remote)(nil)
	_ providers.Console   = (*remote)(nil)
	_ providers.Preempter = (*remote)(nil)
	_ providers.Checker   = (*remote)(nil)
)

// call is one call's name and rules.
type call struct {
	op      string
	repeat  bool // may be repeated by itself
	timeout time.Duration
}

// invoke makes a call at the plugin. Errors are the plugin's own, or a
// *providers.Error with CodeUnavailable when it gave none: whether the call had
// its effect is unknown. When ctx ended, its error is wrapped too.
func invoke[T any](ctx context.Context, r *remote, c call, f func(context.Context, *bridge.Client) (T, error)) (T, error) {
	for again := c.repeat; ; again = false {
		session, err := r.host.session(ctx)
		if err != nil {
			var none T
			return none, startError(ctx, c.op, err)
		}
		result, err := attempt(ctx, r, session, c, f)
		if again && errors.Is(err, bridge.ErrConnection) && ctx.Err() == nil {
			continue
		}
		return result, err
	}
}

func attempt[T any](ctx context.Context, r *remote, s *session, c call, f func(context.Context, *bridge.Client) (T, error)) (T, error) {
	deadline, cancel := context.WithTimeout(bridge.WithTimeout(ctx, c.timeout), c.timeout+r.options.Grace)
	defer cancel()
	result, err := f(deadline, s.provider)
	switch {
	case err == nil || ctx.Err() != nil:
		return result, err
	case errors.Is(err, context.DeadlineExceeded) && earlier(ctx, deadline):
		// The plugin counts the caller's time too, and may be a moment ahead.
		return result, err
	case errors.Is(err, bridge.ErrConnection):
		r.host.lose(s, "connection lost during "+c.op)
		return result, fmt.Errorf("%w: %w", bridge.ErrConnection, &providers.Error{
			Code: providers.CodeUnavailable, Op: c.op,
			Message: fmt.Sprintf("plugin %s ended during the call (%s)", s.name, s.process.end()),
			Hint:    s.process.tail.hint(),
		})
	case errors.Is(err, context.DeadlineExceeded):
		r.host.lose(s, "no answer to "+c.op)
		return result, &providers.Error{
			Code: providers.CodeUnavailable, Op: c.op,
			Message: fmt.Sprintf("plugin %s did not answer within %s and was killed; the next call starts it again", s.name, c.timeout),
			Hint:    s.process.tail.hint(),
		}
	}
	return result, err
}

// earlier reports whether the caller's own deadline comes before the call's.
func earlier(caller, call context.Context) bool {
	own, limited := caller.Deadline()
	last, _ := call.Deadline()
	return limited && !own.After(last)
}

// startError gives an error of a start the name of the call that wanted it.
func startError(ctx context.Context, op string, err error) error {
	var e *providers.Error
	if errors.As(err, &e) {
		named := *e
		named.Op = op
		return &named
	}
	return fmt.Errorf("%w: %w", &providers.Error{
		Code: providers.CodeUnavailable, Op: op, Message: "waiting for the plugin to start",
	}, context.Cause(ctx))
}

// call with the usual deadline.
func (r *remote) call(op string, repeat bool) call {
	return call{op: op, repeat: repeat, timeout: r.options.CallTimeout}
}

// Describe implements providers.Provider.
func (r *remote) Describe(ctx context.Context) (providers.Description, error) {
	return invoke(ctx, r, r.call("describe", true), func(ctx context.Context, c *bridge.Client) (providers.Description, error) {
		return c.Describe(ctx)
	})
}

// Check implements providers.Provider.
func (r *remote) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	return invoke(ctx, r, r.call("check", true), func(ctx context.Context, c *bridge.Client) ([]providers.Fault, error) {
		return c.Check(ctx, fleet)
	})
}

// Offers implements providers.Provider.
func (r *remote) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	return invoke(ctx, r, r.call("offers", true), func(ctx context.Context, c *bridge.Client) ([]providers.Offer, error) {
		return c.Offers(ctx, fleet, need)
	})
}

// Launch implements providers.Provider. It is never repeated here: the token's
// window is the caller's to watch.
func (r *remote) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	rules := call{op: "launch", timeout: r.options.LaunchTimeout}
	return invoke(ctx, r, rules, func(ctx context.Context, c *bridge.Client) (providers.LaunchResult, error) {
		return c.Launch(ctx, fleet, request)
	})
}

// List implements providers.Provider.
func (r *remote) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	return invoke(ctx, r, r.call("list", true), func(ctx context.Context, c *bridge.Client) ([]providers.Instance, error) {
		return c.List(ctx, fleet, tags)
	})
}

// Terminate implements providers.Provider.
func (r *remote) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	_, err := invoke(ctx, r, r.call("terminate", true), func(ctx context.Context, c *bridge.Client) (struct{}, error) {
		return struct{}{}, c.Terminate(ctx, fleet, ids)
	})
	return err
}

// Evidence implements providers.Provider.
func (r *remote) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	return invoke(ctx, r, r.call("evidence", true), func(ctx context.Context, c *bridge.Client) ([]providers.Evidence, error) {
		return c.Evidence(ctx, fleet, ids)
	})
}

// Console implements providers.Console.
func (r *remote) Console(ctx context.Context, fleet providers.Fleet, id string) (string, error) {
	return invoke(ctx, r, r.call("console", true), func(ctx context.Context, c *bridge.Client) (string, error) {
		return c.Console(ctx, fleet, id)
	})
}

// Preempt implements providers.Preempter. It is not repeated here: a second
// notice may find the instance gone.
func (r *remote) Preempt(ctx context.Context, fleet providers.Fleet, id string, notice time.Duration) error {
	_, err := invoke(ctx, r, r.call("preempt", false), func(ctx context.Context, c *bridge.Client) (struct{}, error) {
		return struct{}{}, c.Preempt(ctx, fleet, id, notice)
	})
	return err
}

// Checks implements providers.Checker.
func (r *remote) Checks(ctx context.Context, fleet providers.Fleet) ([]providers.Check, error) {
	return invoke(ctx, r, r.call("checks", true), func(ctx context.Context, c *bridge.Client) ([]providers.Check, error) {
		return c.Checks(ctx, fleet)
	})
}
