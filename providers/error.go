package providers

import (
	"errors"
	"fmt"
	"time"
)

// Code says what a failure means for the plan.
type Code string

const (
	// CodeCapacity: this pool has none now; another may.
	CodeCapacity Code = "capacity"
	// CodePrice: the maximum price is too low for this pool.
	CodePrice Code = "price"
	// CodeSubnet: the subnet has no addresses; another zone may.
	CodeSubnet Code = "subnet"
	// CodeQuota: a limit of the whole region, for this capacity type.
	CodeQuota Code = "quota"
	// CodeUnsupported: never in this pool.
	CodeUnsupported Code = "unsupported"
	// CodeThrottled: too many calls; later.
	CodeThrottled Code = "throttled"
	// CodeUnavailable: may pass by itself; whether the call had its effect is
	// unknown.
	CodeUnavailable Code = "unavailable"
	// CodeDenied: the identity may not do that. The run fails with Message.
	CodeDenied Code = "denied"
	// CodeConfiguration: the fleet or the request is wrong. The run fails.
	CodeConfiguration Code = "configuration"
	// CodeTokenMismatch: the token was used with another request.
	CodeTokenMismatch Code = "token-mismatch"
	// CodeNotFound: no such instance.
	CodeNotFound Code = "not-found"
	// CodeNotOurs: the instance does not bear our tags.
	CodeNotOurs Code = "not-ours"
)

// Final reports whether repeating cannot help.
func (c Code) Final() bool { return c == CodeDenied || c == CodeConfiguration }

// Error is the error of every provider call; it crosses the plugin boundary
// whole.
type Error struct {
	Code    Code
	Op      string        // "launch", "list", ...
	Call    string        // the cloud's API call, "ec2:CreateFleet"; may be empty
	Message string        // the cloud's own words
	Hint    string        // what the user can do; may be empty
	After   time.Duration // wait at least so long before a repetition; 0: unknown
}

func (e *Error) Error() string {
	text := e.Op
	if e.Call != "" {
		text += " (" + e.Call + ")"
	}
	text = fmt.Sprintf("%s: %s: %s", text, e.Code, e.Message)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Is makes errors.Is(err, &Error{Code: ...}) compare by code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Op == "" && t.Message == "" && t.Code == e.Code
}

// CodeOf is the code of err: CodeUnavailable for one that carries none, "" for
// nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeUnavailable
}
