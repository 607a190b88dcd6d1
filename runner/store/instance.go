package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// swaps is how often a compare-and-swap of a desired document is tried anew
// before the bucket is held to be at fault: it has one writer at a time, and
// two while a lease changes hands.
const swaps = 8

// Names of the documents of an instance, as InstanceOf gives them.
const (
	DesiredName = "desired.json"
	StatusName  = "status.json"
)

// ReadDesired reads what an instance should do, with the object it was read
// from. Errors: bucket.ErrNotFound, ErrVersion, ErrCorrupt. May be repeated.
func ReadDesired(ctx context.Context, b bucket.Bucket, run, instance string) (job.Desired, bucket.Object, error) {
	if err := checkInstance(instance); err != nil {
		return job.Desired{}, bucket.Object{}, err
	}
	desired, object, _, err := ReadDesiredUnless(ctx, b, run, instance, "")
	return desired, object, err
}

// ReadDesiredUnless is ReadDesired unless the document still has the version
// given, and then reports false. It is one read, whose body is not fetched when
// nothing has changed: a twelfth of the price of a listing.
func ReadDesiredUnless(ctx context.Context, b bucket.Bucket, run, instance, version string) (desired job.Desired, object bucket.Object, changed bool, err error) {
	if err := checkInstance(instance); err != nil {
		return job.Desired{}, bucket.Object{}, false, err
	}
	body, object, err := b.Get(ctx, DesiredKey(run, instance), 0, -1)
	if err != nil {
		return job.Desired{}, object, false, err
	}
	defer body.Close()
	if version != "" && object.Version == version {
		return job.Desired{}, object, false, nil
	}
	desired, object, err = readDesired(body, object, run, instance)
	return desired, object, true, err
}

func readDesired(body io.Reader, object bucket.Object, run, instance string) (job.Desired, bucket.Object, error) {
	data, err := io.ReadAll(io.LimitReader(body, maxDocument))
	if err != nil {
		return job.Desired{}, object, &bucket.Error{Code: bucket.CodeUnavailable, Op: "get", Key: object.Key, Err: err}
	}
	desired, err := decode[job.Desired](object.Key, data)
	if err == nil && (desired.Run != run || desired.Instance != instance) {
		err = corrupt(object.Key, "it is for instance %q of run %q", desired.Instance, desired.Run)
	}
	return desired, object, err
}

// DesiredAt is a desired document that was seen or written: its place in the
// order and the version of its object. The zero value is none.
type DesiredAt struct {
	Epoch    int64
	Sequence int64
	Version  string
}

// WriteDesired writes what an instance should do, over a document with a lower
// (Epoch, Sequence) or over none. known is the document that was last seen; it
// saves a read and need not be the newest. Errors: ErrStale when a document that
// is not lower is there (the same one is a success, so a write of unknown
// outcome may be repeated); those of the bucket.
func WriteDesired(ctx context.Context, b bucket.Bucket, desired job.Desired, known DesiredAt) (DesiredAt, error) {
	if err := checkInstance(desired.Instance); err != nil {
		return known, err
	}
	desired.Version = job.SpecVersion
	data, err := encode(desired)
	if err != nil {
		return known, err
	}
	key := DesiredKey(desired.Run, desired.Instance)
	written := DesiredAt{Epoch: desired.Epoch, Sequence: desired.Sequence}
	version := known.Version
	if version != "" && !DesiredLess(job.Desired{Epoch: known.Epoch, Sequence: known.Sequence}, desired) {
		version = "" // not to be written over: what is there is looked at
	}
	for range swaps {
		cond := bucket.IfAbsent()
		if version != "" {
			cond = bucket.IfVersion(version)
		}
		object, putErr := writeObject(ctx, b, key, data, cond)
		if putErr == nil {
			written.Version = object.Version
			return written, nil
		}
		err = putErr
		refused := errors.Is(putErr, bucket.ErrConflict) || errors.Is(putErr, bucket.ErrNotFound)
		if !refused && !errors.Is(putErr, bucket.ErrUnavailable) {
			return known, putErr
		}
		found, done, readErr := supersedes(ctx, b, key, data, desired)
		if readErr != nil {
			return known, readErr
		}
		if done {
			written.Version = found.Version
			return written, nil
		}
		if !refused {
			return known, putErr // not written, and not for want of a version
		}
		version = found.Version
	}
	return known, err
}

// supersedes looks at what is at key: ours (done), one that is not lower (an
// error), or one that may be replaced.
func supersedes(ctx context.Context, b bucket.Bucket, key string, ours []byte, desired job.Desired) (object bucket.Object, done bool, err error) {
	data, object, err := readObject(ctx, b, key)
	if errors.Is(err, bucket.ErrNotFound) {
		return bucket.Object{}, false, nil
	}
	if err != nil {
		return object, false, err
	}
	if bytes.Equal(data, ours) {
		return object, true, nil
	}
	found, err := decode[job.Desired](key, data)
	switch {
	case errors.Is(err, ErrCorrupt):
		// What cannot be read orders nothing, and would stay for ever: its
		// only writer writes it anew. An agent keeps to the highest it has read.
		return object, false, nil
	case err != nil:
		return object, false, err
	}
	if !DesiredLess(found, desired) {
		return object, false, &Error{
			Code: CodeStale, Op: "write", Key: key,
			Err: fmt.Errorf("epoch %d, entry %d is there, and %d, %d is not above it", found.Epoch, found.Sequence, desired.Epoch, desired.Sequence),
		}
	}
	return object, false, nil
}

// DesiredLess reports whether a is older than b: by epoch, then by sequence.
func DesiredLess(a, b job.Desired) bool {
	if a.Epoch != b.Epoch {
		return a.Epoch < b.Epoch
	}
	return a.Sequence < b.Sequence
}

// ReadStatus reads what an instance does and did. Errors: bucket.ErrNotFound,
// ErrVersion, ErrCorrupt. May be repeated.
func ReadStatus(ctx context.Context, b bucket.Bucket, run, instance string) (job.Status, bucket.Object, error) {
	if err := checkInstance(instance); err != nil {
		return job.Status{}, bucket.Object{}, err
	}
	key := StatusKey(run, instance)
	status, object, err := read[job.Status](ctx, b, key)
	if err == nil && (status.Run != run || status.Instance != instance) {
		err = corrupt(key, "it is of instance %q of run %q", status.Instance, status.Run)
	}
	return status, object, err
}

// WriteStatus writes an instance's status, whole, over the one that its agent,
// its only writer, wrote last: version is that one's, "" when none is known. A
// write that its agent was told had failed may still have its effect, and long
// after the next one; being conditional, it cannot bury that. Errors are the
// bucket's. May be repeated.
func WriteStatus(ctx context.Context, b bucket.Bucket, status job.Status, version string) (bucket.Object, error) {
	if err := checkInstance(status.Instance); err != nil {
		return bucket.Object{}, err
	}
	status.Version = job.SpecVersion
	data, err := encode(status)
	if err != nil {
		return bucket.Object{}, err
	}
	key := StatusKey(status.Run, status.Instance)
	for range swaps {
		cond := bucket.IfAbsent()
		if version != "" {
			cond = bucket.IfVersion(version)
		}
		object, putErr := writeObject(ctx, b, key, data, cond)
		if putErr == nil || !errors.Is(putErr, bucket.ErrConflict) && !errors.Is(putErr, bucket.ErrNotFound) {
			return object, putErr
		}
		// One of our own that was held to have failed, or an earlier life's.
		err = putErr
		found, object, readErr := readObject(ctx, b, key)
		switch {
		case errors.Is(readErr, bucket.ErrNotFound):
			version = ""
		case readErr != nil:
			return bucket.Object{}, readErr
		case bytes.Equal(found, data):
			return object, nil
		default:
			version = object.Version
		}
	}
	return bucket.Object{}, err
}

// Document is one document of an instance, as a listing shows it.
type Document struct {
	Instance string
	Name     string // DesiredName, StatusName, ExecName
	Object   bucket.Object
}

// ListDocuments lists the documents of a run's instances by their names
// alone, in order of instance and name. The sequence ends after its first
// error. May be repeated.
func ListDocuments(ctx context.Context, b bucket.Bucket, run string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		for object, err := range b.List(ctx, InstancesPrefix(run), "") {
			if err != nil {
				yield(Document{}, err)
				return
			}
			instance, name, ok := InstanceOf(run, object.Key)
			if ok && !yield(Document{Instance: instance, Name: name, Object: object}, nil) {
				return
			}
		}
	}
}

func checkInstance(instance string) error {
	if instance != "" && !strings.Contains(instance, "/") {
		return nil
	}
	return &bucket.Error{
		Code: bucket.CodeInvalid, Op: "open", Key: instance,
		Err: fmt.Errorf("%q cannot be the id of an instance: it is empty or has a slash", instance),
	}
}

// DecodeDesired reads a desired document; key is for the error. Errors:
// ErrVersion, ErrCorrupt.
func DecodeDesired(key string, data []byte) (job.Desired, error) {
	return decode[job.Desired](key, data)
}

// DecodeStatus reads a status document; key is for the error. Errors:
// ErrVersion, ErrCorrupt.
func DecodeStatus(key string, data []byte) (job.Status, error) {
	return decode[job.Status](key, data)
}
