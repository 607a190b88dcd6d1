package store

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an Error is.
type Code string

const (
	// CodeVersion: the document is of a version that this program does not know.
	CodeVersion Code = "version"
	// CodeCorrupt: the document cannot be read, or is not what its key says.
	CodeCorrupt Code = "corrupt"
	// CodeExists: what is written once has been written already, with other
	// content.
	CodeExists Code = "exists"
	// CodeStale: a newer document is there; what was to be written is out of
	// date and has no effect.
	CodeStale Code = "stale"
	// CodeLost: another controller wrote the journal's next entry, or the lease.
	CodeLost Code = "lost"
)

// Error is a failure that is not the bucket's own (those are *bucket.Error and
// come as they are).
type Error struct {
	Code Code
	Op   string // "read", "write", "append"
	Key  string // of the document
	Hint string // what to do about it; may be empty
	Err  error  // the cause; may be nil
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %s", e.Op, e.Key, e.Code)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrLost) and its siblings compare by code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Op == "" && t.Key == "" && t.Err == nil && t.Code == e.Code
}

// Targets for errors.Is.
var (
	ErrVersion = &Error{Code: CodeVersion}
	ErrCorrupt = &Error{Code: CodeCorrupt}
	ErrExists  = &Error{Code: CodeExists}
	ErrStale   = &Error{Code: CodeStale}
	ErrLost    = &Error{Code: CodeLost}
)

func corrupt(key, format string, args ...any) error {
	return &Error{
		Code: CodeCorrupt, Op: "read", Key: key, Err: fmt.Errorf(format, args...),
		Hint: "something else wrote it, or the store lost a part; nothing was changed",
	}
}

func unknownVersion(key string, found, known int) error {
	if found == 0 {
		return corrupt(key, "it has no version")
	}
	return &Error{
		Code: CodeVersion, Op: "read", Key: key,
		Err:  fmt.Errorf("the document has version %d, this program knows %d", found, known),
		Hint: "use a version of spotrelay that is not older than the one that wrote it",
	}
}

func isCorruptOrUnknown(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion)
}
