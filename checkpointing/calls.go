package checkpointing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

const (
	// tries is how often a call to the bucket is made before its failure is
	// the engine's: over some eight seconds, so that what passes by itself (a
	// store that is restarted, a route that changes) fails no save.
	tries = 10
	// firstTry is the pause after the first of them, which grows by half each
	// time.
	firstTry = 100 * time.Millisecond
)

// get reads a whole object of at most limit bytes.
func (e *engine) get(ctx context.Context, key string, limit int64) ([]byte, error) {
	return retry(ctx, func() ([]byte, error) {
		body, o, err := e.bucket.Get(ctx, key, 0, -1)
		if err != nil {
			return nil, err
		}
		defer body.Close()
		if o.Size > limit {
			return nil, &Error{Code: CodeCorrupt, Op: "get", What: key, Err: errors.New("it is larger than any that spotrelay writes"), Hint: hintOlder}
		}
		data := bytes.NewBuffer(make([]byte, 0, o.Size+bytes.MinRead))
		if _, err := data.ReadFrom(io.LimitReader(body, limit+1)); err != nil {
			return nil, &bucket.Error{Code: bucket.CodeUnavailable, Op: "get", Key: key, Err: err}
		}
		return data.Bytes(), nil
	})
}

// retry repeats a call to the bucket while it is unavailable.
func retry[T any](ctx context.Context, call func() (T, error)) (T, error) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = firstTry
	pause.MaxInterval = 5 * time.Second
	return backoff.Retry(ctx, func() (T, error) {
		result, err := call()
		if err != nil && (ctx.Err() != nil || bucket.CodeOf(err) != bucket.CodeUnavailable || isOurs(err)) {
			return result, backoff.Permanent(err)
		}
		return result, err
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(tries))
}

// isOurs: an *Error is final, whatever the bucket says about it.
func isOurs(err error) bool {
	var ours *Error
	return errors.As(err, &ours)
}

// drain reads a body to its end, so that its connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, body)
	_ = body.Close() // nothing was written
}

// put makes a call that puts an object until it is there. A store may refuse a
// body before it has come, and break the connection under it, so that the
// refusal is lost: again and again, after a first answer that was lost too. So
// a put that must find no object is repeated only when there is none; an
// object is answered with bucket.CodeConflict, whoever put it.
func (e *engine) put(ctx context.Context, key string, condition bucket.Condition, call func() error) error {
	again := false
	_, err := retry(ctx, func() (struct{}, error) {
		if again && condition.Absent {
			_, err := e.sizeNow(ctx, key)
			if err == nil {
				err = &bucket.Error{Code: bucket.CodeConflict, Op: "put", Key: key, Err: errors.New("it is there, and the answer to the put was lost")}
			}
			if !errors.Is(err, bucket.ErrNotFound) {
				return struct{}{}, err
			}
		}
		again = true
		return struct{}{}, call()
	})
	return err
}

// size is that of a stored object.
func (e *engine) size(ctx context.Context, key string) (int64, error) {
	return retry(ctx, func() (int64, error) { return e.sizeNow(ctx, key) })
}

// sizeNow asks once.
func (e *engine) sizeNow(ctx context.Context, key string) (int64, error) {
	body, o, err := e.bucket.Get(ctx, key, 0, 1)
	if err != nil {
		return 0, err
	}
	drain(body)
	return o.Size, nil
}
