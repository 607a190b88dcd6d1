package checkpointing

import "fmt"

// Code says what kind of failure an Error is.
type Code string

const (
	// CodeCorrupt: what the bucket holds is not what was saved.
	CodeCorrupt Code = "corrupt"
	// CodeMissing: a manifest or a chunk it names is not there.
	CodeMissing Code = "missing"
	// CodeUnsafe: the manifest would write outside its directory, or names a
	// kind of file that is never restored.
	CodeUnsafe Code = "unsafe"
	// CodeUnsettled: a file kept changing while it was read.
	CodeUnsettled Code = "unsettled"
	// CodeConflict: the manifest's key is taken by other content.
	CodeConflict Code = "conflict"
	// CodeInvalid: the call itself is wrong.
	CodeInvalid Code = "invalid"
	// CodeFull: the local disk is full.
	CodeFull Code = "full"
	// CodeVersion: the manifest is of a format this engine does not know.
	CodeVersion Code = "version"
	// CodeLocal: the local file system refused a read or a write.
	CodeLocal Code = "local"
)

// Error is a failure of a save or a restore that is not the bucket's (those
// are *bucket.Error and are wrapped as they are).
type Error struct {
	Code Code
	Op   string // "save", "restore", "inspect", "collect"
	What string // the file, chunk or manifest in question
	Hint string
	Err  error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s: %s", e.Op, e.What, e.Code)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: ...}) compare by code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Op == "" && t.What == "" && t.Err == nil && t.Code == e.Code
}
