package store

import (
	"context"
	"errors"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Lease is runs/<run>/lease.json: who controls the run. The object is never
// deleted, so that epochs only rise.
type Lease struct {
	Version int `json:"version"`
	// Epoch rises by one with every new holder.
	Epoch int64 `json:"epoch"`
	// Counter rises with every renewal. Who sees it stand still for Duration,
	// by a monotonic clock of its own, may take the lease over.
	Counter  int64        `json:"counter"`
	Duration job.Duration `json:"duration"`
	Holder   Holder       `json:"holder"`
	// Released: the holder has given it up; it may be taken at once.
	Released bool `json:"released,omitempty"`
}

// Holder is a controller. Host, Boot, PID and Start let another controller on
// the same host see that it is dead.
type Holder struct {
	ID    string `json:"id"`              // random, of this tenure
	Host  string `json:"host"`            // its name, for people
	Boot  string `json:"boot,omitempty"`  // the kernel's boot id; "": unknown
	PID   int    `json:"pid"`             // in its own PID namespace
	Start string `json:"start,omitempty"` // when the process started, in the kernel's ticks; "": unknown
	// Namespace of its process ids; "": unknown.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"` // for people: user@host, "ci"
	// Controller is the id of the serving controller that it belongs to; "":
	// it carries this run alone.
	Controller string `json:"controller,omitempty"`
}

// ReadLease reads a run's lease, with the object whose Version SwapLease
// takes. Errors: bucket.ErrNotFound when nobody ever held it, ErrVersion,
// ErrCorrupt. May be repeated.
func ReadLease(ctx context.Context, b bucket.Bucket, run string) (Lease, bucket.Object, error) {
	return read[Lease](ctx, b, LeaseKey(run))
}

// SwapLease writes a lease over the version last seen, "" for none. After a
// refusal or a lost answer it reads the lease back, and finding its own is a
// success. Errors: ErrLost when another's is there; the bucket's when nothing
// was written. May be repeated after those.
func SwapLease(ctx context.Context, b bucket.Bucket, run string, lease Lease, version string) (bucket.Object, error) {
	lease.Version = job.SpecVersion
	data, err := encode(lease)
	if err != nil {
		return bucket.Object{}, err
	}
	cond := bucket.IfAbsent()
	if version != "" {
		cond = bucket.IfVersion(version)
	}
	object, err := writeObject(ctx, b, LeaseKey(run), data, cond)
	if err == nil {
		return object, nil
	}
	found, object, readErr := ReadLease(ctx, b, run)
	switch {
	case readErr == nil && found == lease:
		return object, nil
	case readErr == nil && object.Version != version:
		return object, &Error{Code: CodeLost, Op: "write", Key: LeaseKey(run), Err: err}
	case errors.Is(readErr, bucket.ErrNotFound) && version == "":
		return bucket.Object{}, err // nothing there before and now
	case errors.Is(readErr, ErrCorrupt), errors.Is(readErr, ErrVersion):
		return bucket.Object{}, readErr
	}
	return bucket.Object{}, err
}
