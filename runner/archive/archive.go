// Package archive moves a run between buckets by a file: a tar, packed by zstd,
// of all objects of the run and of what its manifests name.
//
// # The file
//
// Its first entry, spotrelay-run.json, is a Header. Then come the objects under
// their keys: those below runs/<run>/ but the lease and the specification, the
// packs below data/, agent programs if wanted, and runs/<run>/spec.json, each
// group in the order of the keys. Each entry has the SHA-256 of its bytes in the
// PAX record SPOTRELAY.sha256, ahead of them. The last entry,
// spotrelay-index.json, lists them all, so that an end that is missing is seen.
// The same run in the same bucket gives the same bytes.
//
// # Importing
//
// An object is written when its bytes are whole, and only if none has its key;
// the specification, which makes it a run, comes when the index has agreed. So
// an import that stops can be repeated, and leaves no run before it is whole.
package archive

import (
	"fmt"
	"path"
	"strings"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	formatVersion = 1
	headerName    = "spotrelay-run.json"
	indexName     = "spotrelay-index.json"
	digestRecord  = "SPOTRELAY.sha256"
	dataPrefix    = "data/"
	agentPrefix   = "agents/"
	// mostDocument bounds what is held in memory: header, index and
	// specification.
	mostDocument = 256 << 20
)

// Header says what an archive holds.
type Header struct {
	Version int    `json:"version"`
	Run     string `json:"run"`
	Job     string `json:"job"`
	// Spec is the SHA-256 of the specification, in hex.
	Spec string `json:"spec"`
	// Objects and Bytes are what follows, without the index.
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// Entry is an object in the index.
type Entry struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type index struct {
	Version int     `json:"version"`
	Entries []Entry `json:"entries"`
}

// Progress is how far an export or import has come.
type Progress struct {
	Objects, ObjectsTotal int
	Bytes, BytesTotal     int64
}

// Code says what is wrong.
type Code string

const (
	// CodeLive: the run is not over.
	CodeLive Code = "live"
	// CodeDamaged: the file is cut off, changed or none of ours.
	CodeDamaged Code = "damaged"
	// CodeVersion: the file was made by a later program.
	CodeVersion Code = "version"
	// CodeExists: the bucket has another run, or another object, there.
	CodeExists Code = "exists"
)

// Error is a failure that is not the bucket's own.
type Error struct {
	Code Code
	Op   string // "export", "import"
	What string // the run, or the entry
	Hint string // what to do; may be empty
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.What, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrDamaged) and its siblings compare by code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Err == nil && t.Code == e.Code
}

// Targets for errors.Is.
var (
	ErrLive    = &Error{Code: CodeLive}
	ErrDamaged = &Error{Code: CodeDamaged}
	ErrVersion = &Error{Code: CodeVersion}
	ErrExists  = &Error{Code: CodeExists}
)

func damaged(what, format string, args ...any) error {
	return &Error{Code: CodeDamaged, Op: "import", What: what, Err: fmt.Errorf(format, args...),
		Hint: "export the run once more; what was written so far is no run, and does no harm"}
}

// allowed reports whether an archive of a run may hold a key: it cannot reach
// what is another run's, or the bucket's own.
func allowed(run, key string) bool {
	if key == "" || path.Clean(key) != key || strings.ContainsAny(key, "\\\x00") || strings.HasPrefix(key, "/") || strings.HasPrefix(key, "../") {
		return false
	}
	if key == store.LeaseKey(run) {
		return false // who controlled it elsewhere says nothing here
	}
	return strings.HasPrefix(key, store.RunPrefix(run)) || strings.HasPrefix(key, agentPrefix) ||
		strings.HasPrefix(key, dataPrefix) && !strings.Contains(key[len(dataPrefix):], ".")
}

// programsOf are the keys of a run's agent programs.
func programsOf(spec *job.Spec) map[string]bool {
	keys := map[string]bool{}
	for _, program := range spec.Agent {
		keys[program.Key] = true
	}
	return keys
}
