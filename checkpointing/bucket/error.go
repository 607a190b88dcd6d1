package bucket

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an Error is. Decide on the code, never on the
// text.
type Code string

const (
	// CodeNotFound: there is no such object, or no such bucket.
	CodeNotFound Code = "not-found"
	// CodeConflict: the condition of a Put did not hold (S3 answers 409 or
	// 412; GCS 412).
	CodeConflict Code = "conflict"
	// CodeDenied: the identity may not do that.
	CodeDenied Code = "denied"
	// CodeFull: no room (ENOSPC, EDQUOT).
	CodeFull Code = "full"
	// CodeInvalid: the call itself is wrong (an ill-formed key or URL).
	CodeInvalid Code = "invalid"
	// CodeUnsupported: the store ignores or lacks something spotrelay needs.
	CodeUnsupported Code = "unsupported"
	// CodeUnavailable: anything that may pass. The operation may or may not
	// have taken place.
	CodeUnavailable Code = "unavailable"
)

// Error is the error of every bucket operation.
type Error struct {
	Code Code
	Op   string // "get", "put", "list", "delete", "open", "probe"
	Key  string // the key or URL in question
	Hint string // what the user can do about it; may be empty
	Err  error  // the cause; may be nil
}

func (e *Error) Error() string {
	text := fmt.Sprintf("bucket: %s %s: %s", e.Op, e.Key, e.Code)
	if e.Err != nil {
		text = fmt.Sprintf("bucket: %s %s: %v", e.Op, e.Key, e.Err)
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, bucket.ErrNotFound) and its siblings work: two
// Errors are alike when the target has nothing but a code and the codes agree.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Op == "" && t.Key == "" && t.Err == nil && t.Code == e.Code
}

// Targets for errors.Is.
var (
	ErrNotFound    = &Error{Code: CodeNotFound}
	ErrConflict    = &Error{Code: CodeConflict}
	ErrDenied      = &Error{Code: CodeDenied}
	ErrFull        = &Error{Code: CodeFull}
	ErrInvalid     = &Error{Code: CodeInvalid}
	ErrUnsupported = &Error{Code: CodeUnsupported}
	ErrUnavailable = &Error{Code: CodeUnavailable}
)

// CodeOf is the code of err, CodeUnavailable for an error that carries none,
// and "" for nil.
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
