package store

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// ReadLog writes what the bucket holds of an attempt's log to w; one that
// wrote nothing is empty. Errors: the bucket's, w's, and ErrCorrupt, which
// names the part. May be repeated.
func ReadLog(ctx context.Context, b bucket.Bucket, run string, id job.AttemptID, w io.Writer) error {
	return ReadLogAt(ctx, b, LogPrefix(run, id), w)
}

// ReadLogAt is ReadLog of the log whose parts have a prefix.
func ReadLogAt(ctx context.Context, b bucket.Bucket, prefix string, w io.Writer) error {
	_, err := readLogAfter(ctx, b, prefix, "", w)
	return err
}

// FollowLog writes an attempt's log to w as it grows, looking every poll, until
// ended reports that the attempt has ended and all its parts were written, or
// ctx ends. Errors as of ReadLog, and ended's; what the bucket answers as
// unavailable is tried again.
func FollowLog(ctx context.Context, b bucket.Bucket, run string, id job.AttemptID, w io.Writer, poll time.Duration, ended func(context.Context) (bool, error)) error {
	return FollowLogAt(ctx, b, LogPrefix(run, id), w, poll, ended)
}

// FollowLogAt is FollowLog of the log whose parts have a prefix.
func FollowLogAt(ctx context.Context, b bucket.Bucket, prefix string, w io.Writer, poll time.Duration, ended func(context.Context) (bool, error)) error {
	after := ""
	for {
		// Asked first: what it wrote before its end is in the listing after.
		over, err := ended(ctx)
		if err != nil {
			return err
		}
		after, err = readLogAfter(ctx, b, prefix, after, w)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, bucket.ErrUnavailable):
			return err
		case err == nil && over:
			return nil
		}
		if err := wait(ctx, poll); err != nil {
			return err
		}
	}
}

// readLogAfter writes the parts behind a key to w; last is the key of the last
// one that was written.
func readLogAfter(ctx context.Context, b bucket.Bucket, prefix, after string, w io.Writer) (last string, err error) {
	last = after
	for object, err := range b.List(ctx, prefix, after) {
		if err != nil {
			return last, err
		}
		data, _, err := readObject(ctx, b, object.Key)
		if err != nil {
			return last, err
		}
		plain, err := decompress(object.Key, data)
		if err != nil {
			return last, err
		}
		if _, err := w.Write(plain); err != nil {
			return last, err
		}
		last = object.Key
	}
	return last, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
