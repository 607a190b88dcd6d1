package checkpointing

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/time/rate"
)

// fetch reads and verifies a chunk. The content may lie in buffer.
func (e *engine) fetch(ctx context.Context, op string, c chunk, buffer []byte, limiter *rate.Limiter) ([]byte, error) {
	key := c.key()
	stored, err := e.get(ctx, key, int64(c.Size)+1)
	if err != nil {
		var ours *Error
		if errors.As(err, &ours) {
			return nil, e.corrupt(op, key, ours.Err)
		}
		return nil, e.lost(op, key, err)
	}
	if err := pace(ctx, limiter, len(stored)); err != nil {
		return nil, err
	}
	content, err := e.codec.decode(buffer, stored, c.Size)
	if err != nil {
		return nil, e.corrupt(op, key, err)
	}
	if d := digestOf(content); !bytes.Equal(d[:], c.Digest[:]) {
		return nil, e.corrupt(op, key, fmt.Errorf("its content has the digest %s", d))
	}
	return content, nil
}

// corrupt reports a damaged chunk and keeps later saves from relying on it.
func (e *engine) corrupt(op, key string, err error) error {
	e.setDamaged(key, true)
	return &Error{Code: CodeCorrupt, Op: op, What: key, Err: err, Hint: hintOlder}
}

// lost is missing for a chunk, which later saves must not rely on either.
func (e *engine) lost(op, key string, err error) error {
	err = missing(op, key, err)
	if isOurs(err) {
		e.setDamaged(key, true)
	}
	return err
}

// pace waits until n bytes may have been fetched.
func pace(ctx context.Context, limiter *rate.Limiter, n int) error {
	if limiter == nil {
		return nil
	}
	for n > 0 {
		step := min(n, limiter.Burst())
		if err := limiter.WaitN(ctx, step); err != nil {
			return err
		}
		n -= step
	}
	return nil
}
