package bridge

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spotrelay/spotrelay/plugins/proto"
	"github.com/spotrelay/spotrelay/providers"
)

// ErrConnection marks an error that the plugin did not give: its process or the
// connection to it ended. The error is a providers.Error with CodeUnavailable
// as well: whether the call had its effect is unknown.
var ErrConnection = errors.New("connection to the plugin lost")

// grpcCodes is for those who look at the wire; only the detail is ever read.
var grpcCodes = map[providers.Code]codes.Code{
	providers.CodeCapacity:      codes.ResourceExhausted,
	providers.CodePrice:         codes.ResourceExhausted,
	providers.CodeSubnet:        codes.ResourceExhausted,
	providers.CodeQuota:         codes.ResourceExhausted,
	providers.CodeUnsupported:   codes.FailedPrecondition,
	providers.CodeThrottled:     codes.Unavailable,
	providers.CodeUnavailable:   codes.Unavailable,
	providers.CodeDenied:        codes.PermissionDenied,
	providers.CodeConfiguration: codes.InvalidArgument,
	providers.CodeTokenMismatch: codes.AlreadyExists,
	providers.CodeNotFound:      codes.NotFound,
	providers.CodeNotOurs:       codes.PermissionDenied,
}

// toStatus makes err, which a provider returned from op, a status with an Error
// as its detail. An error that is no *providers.Error becomes one with
// CodeUnavailable.
func toStatus(op string, err error) error {
	var e *providers.Error
	if !errors.As(err, &e) {
		e = &providers.Error{Code: providers.CodeUnavailable, Op: op, Message: err.Error()}
	}
	code, known := grpcCodes[e.Code]
	if !known {
		code = codes.Unknown
	}
	detailed, detailErr := status.New(code, words(e.Error())).WithDetails(&proto.Error{
		Code:    string(e.Code),
		Op:      words(e.Op),
		Call:    words(e.Call),
		Message: words(e.Message),
		Hint:    words(e.Hint),
		After:   toDuration(e.After),
	})
	if detailErr != nil {
		return status.Error(codes.Internal, detailErr.Error())
	}
	return detailed.Err()
}

// fromStatus is toStatus's inverse. What has no detail is the connection's or
// the plugin author's fault, or that ctx ended.
func fromStatus(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	answer := status.Convert(err)
	for _, detail := range answer.Details() {
		if e, ok := detail.(*proto.Error); ok {
			return &providers.Error{
				Code:    providers.Code(e.GetCode()),
				Op:      e.GetOp(),
				Call:    e.GetCall(),
				Message: e.GetMessage(),
				Hint:    e.GetHint(),
				After:   fromDuration(e.GetAfter()),
			}
		}
	}
	e := &providers.Error{Code: providers.CodeUnavailable, Op: op, Message: answer.Message()}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", e, ctx.Err())
	case answer.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("%w: %w", e, context.DeadlineExceeded)
	case answer.Code() == codes.Unimplemented:
		e.Code = providers.CodeUnsupported
		e.Hint = "the plugin does not know this call; a newer version of it may"
		return e
	case answer.Code() == codes.Unavailable:
		return fmt.Errorf("%w: %w", ErrConnection, e)
	}
	e.Hint = "the plugin failed without saying how; this is for its author"
	return e
}

// unsupported answers a call that the provider has no capability for.
func unsupported(op string, capability providers.Capability) error {
	return &providers.Error{
		Code:    providers.CodeUnsupported,
		Op:      op,
		Message: fmt.Sprintf("the provider has no capability %q", capability),
		Hint:    "ask Describe for its capabilities first",
	}
}
