package store

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// LivePrefix is the prefix of the marks of runs that are not over.
const LivePrefix = "live/"

// LiveKey is the mark of a run that is not over. It is empty, and says nothing
// by itself: it is there so that one listing finds the runs to control among
// any number that are over.
func LiveKey(run string) string { return LivePrefix + run }

// MarkLive marks a run as not over. It comes before the specification, so that
// a run without a mark is over. Errors are the bucket's. May be repeated.
func MarkLive(ctx context.Context, b bucket.Bucket, run string) error {
	_, err := b.Put(ctx, LiveKey(run), bytes.NewReader(nil), bucket.IfAbsent())
	if errors.Is(err, bucket.ErrConflict) {
		return nil
	}
	return err
}

// UnmarkLive takes the mark of a run away: the journal says that it is over, or
// there is no such run. Errors are the bucket's. May be repeated.
func UnmarkLive(ctx context.Context, b bucket.Bucket, run string) error {
	return b.Delete(ctx, LiveKey(run))
}

// Live is a run that bears the mark.
type Live struct {
	Run    string
	Marked time.Time // by the store's clock
}

// ListLive is every run that bears the mark, oldest first, by one listing. Some
// may be over, or have no specification yet. May be repeated.
func ListLive(ctx context.Context, b bucket.Bucket) ([]Live, error) {
	var found []Live
	for object, err := range b.List(ctx, LivePrefix, "") {
		if err != nil {
			return nil, err
		}
		run := strings.TrimPrefix(object.Key, LivePrefix)
		if job.ValidRunID(run) {
			found = append(found, Live{Run: run, Marked: object.Modified})
		}
	}
	return found, nil
}
