// Package bucket is the narrow view of object storage that spotrelay stands
// on: whole objects, conditional writes and a listing that shows what changed.
// Everything else (journal, documents, checkpoints, logs) is built from it.
//
// A Bucket keeps these promises, and the suite in buckettest holds every
// implementation to them:
//
//   - a write is whole or absent: no reader ever sees a part of an object;
//   - a read or a listing that starts after a write was acknowledged sees it
//     (S3 since 2020, GCS always, a local folder);
//   - of any number of concurrent IfAbsent writes of a key exactly one wins;
//   - an IfMatch write wins only over the version it names.
package bucket

import (
	"context"
	"io"
	"iter"
	"time"
)

// Bucket is one bucket, or one prefix of it. Its methods may be called from
// any number of goroutines. Keys are slash-separated, relative, without empty,
// "." or ".." elements; an ill-formed key is CodeInvalid.
//
// Every error is an *Error and carries the operation, the key and a hint at
// what to do.
type Bucket interface {
	// Get opens an object from offset on; length -1 means to its end. Errors:
	// CodeNotFound. May be repeated.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error)

	// Put writes a whole object of size bytes from body under a condition.
	// Errors: CodeConflict when the condition did not hold; CodeUnknownOutcome
	// is never returned: a failure whose outcome is unknown is CodeUnavailable,
	// and the caller reads the object back before it concludes anything.
	// Repeating an unconditional put of the same content is harmless.
	Put(ctx context.Context, key string, body io.ReadSeeker, cond Condition) (Object, error)

	// List yields the objects whose key starts with prefix, in byte order of
	// their keys, from the first key after startAfter on. The sequence ends
	// after its first error.
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[Object, error]

	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error

	// Describe tells what the bucket is and how it likes to be used. It does
	// no I/O.
	Describe() Description

	// Close gives up what the bucket holds on this side.
	Close() error
}

// Object is what a listing or a read tells of an object.
type Object struct {
	Key  string
	Size int64

	// Version names this content for IfMatch, and changes with every write of
	// another content. S3's is made from the content and comes back with it, so
	// a document that is swapped carries a number that grows. It is opaque (S3:
	// the ETag; GCS: the generation; folder: inode, time and size). Compare for
	// equality only.
	Version string

	// Modified is the store's own time of the write. It is for people and for
	// ages computed against another time of the same store, never against a
	// local clock. That of a Put may differ by the time which the Put took from
	// that of a later Get (S3 tells only when it answered), and either may be
	// in whole seconds.
	Modified time.Time
}

// Condition is what must hold for a Put to take place. The zero value is
// unconditional.
type Condition struct {
	// Absent: no object is there (S3: If-None-Match *; GCS: generation 0).
	Absent bool
	// Version: the object there has exactly this version (S3: If-Match; GCS:
	// generation match).
	Version string
}

// IfAbsent is the condition that no object is there yet.
func IfAbsent() Condition { return Condition{Absent: true} }

// IfVersion is the condition that the object there is still at version.
func IfVersion(version string) Condition { return Condition{Version: version} }

// Description is what a bucket says of itself.
type Description struct {
	// URL reopens the bucket with Open, on this or another machine that can
	// reach it. It carries no secret.
	URL string
	// Pace is the shortest sensible time between two writes of one object
	// (GCS: one second), and between two listings that look for changes.
	Pace time.Duration
	// Poll is how often a reader that waits for a change should look.
	Poll time.Duration
}
