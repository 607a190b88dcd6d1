package store

import (
	"context"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// ControllersPrefix is the prefix of the documents of serving controllers.
const ControllersPrefix = "controllers/"

// ControllerKey is what a serving controller says of itself.
func ControllerKey(id string) string { return ControllersPrefix + id }

// Member is controllers/<id>: a controller that serves this bucket. It is
// rewritten at each beat and removed when the controller ends; one that stands
// still is of a controller that died.
type Member struct {
	Version int    `json:"version"`
	ID      string `json:"id"`             // random, of this process
	Name    string `json:"name,omitempty"` // for people: user@host
	Host    string `json:"host,omitempty"`
	Counter int64  `json:"counter"` // of beats
	// Beat is how often it is rewritten.
	Beat job.Duration `json:"beat"`
	// Runs it controls, of Most at most; 0: as many as there are.
	Runs int `json:"runs"`
	Most int `json:"most,omitempty"`
}

// WriteMember writes a controller's document, of which that controller is the
// only writer. Errors are the bucket's. May be repeated.
func WriteMember(ctx context.Context, b bucket.Bucket, member Member) error {
	member.Version = job.SpecVersion
	data, err := encode(member)
	if err != nil {
		return err
	}
	_, err = writeObject(ctx, b, ControllerKey(member.ID), data, bucket.Condition{})
	return err
}

// ReadMember reads a controller's document. Errors: bucket.ErrNotFound when it
// ended, ErrVersion, ErrCorrupt. May be repeated.
func ReadMember(ctx context.Context, b bucket.Bucket, id string) (Member, error) {
	member, _, err := read[Member](ctx, b, ControllerKey(id))
	return member, err
}

// RemoveMember takes a controller's document away. Errors are the bucket's. May
// be repeated.
func RemoveMember(ctx context.Context, b bucket.Bucket, id string) error {
	return b.Delete(ctx, ControllerKey(id))
}

// ListMembers gives the objects of all serving controllers' documents by their
// ids; an object's Version changes at each beat. May be repeated.
func ListMembers(ctx context.Context, b bucket.Bucket) (map[string]bucket.Object, error) {
	found := map[string]bucket.Object{}
	for object, err := range b.List(ctx, ControllersPrefix, "") {
		if err != nil {
			return nil, err
		}
		found[strings.TrimPrefix(object.Key, ControllersPrefix)] = object
	}
	return found, nil
}
