package buckettest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// IgnoreConditions is b as a store that takes every Put for unconditional.
func IgnoreConditions(b bucket.Bucket) bucket.Bucket { return &ignoresConditions{b} }

type ignoresConditions struct{ bucket.Bucket }

func (b *ignoresConditions) Put(ctx context.Context, key string, body io.ReadSeeker, _ bucket.Condition) (bucket.Object, error) {
	return b.Bucket.Put(ctx, key, body, bucket.Condition{})
}

// Operation is a method of a bucket, for the wrappers that choose among them.
type Operation string

// The operations.
const (
	Get    Operation = "get"
	Put    Operation = "put"
	List   Operation = "list"
	Delete Operation = "delete"
)

// Faults is a bucket whose calls fail as Fail says. The embedded bucket does
// the rest.
type Faults struct {
	bucket.Bucket
	// Fail is asked before each call; an error is its result. It may block,
	// and may be called from several goroutines.
	Fail func(ctx context.Context, op Operation, key string) error
}

// Get implements bucket.Bucket.
func (b *Faults) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	if err := b.Fail(ctx, Get, key); err != nil {
		return nil, bucket.Object{}, err
	}
	return b.Bucket.Get(ctx, key, offset, length)
}

// Put implements bucket.Bucket.
func (b *Faults) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if err := b.Fail(ctx, Put, key); err != nil {
		return bucket.Object{}, err
	}
	return b.Bucket.Put(ctx, key, body, cond)
}

// List implements bucket.Bucket.
func (b *Faults) List(ctx context.Context, prefix, startAfter string) iter.Seq2[bucket.Object, error] {
	if err := b.Fail(ctx, List, prefix); err != nil {
		return func(yield func(bucket.Object, error) bool) { yield(bucket.Object{}, err) }
	}
	return b.Bucket.List(ctx, prefix, startAfter)
}

// Delete implements bucket.Bucket.
func (b *Faults) Delete(ctx context.Context, key string) error {
	if err := b.Fail(ctx, Delete, key); err != nil {
		return err
	}
	return b.Bucket.Delete(ctx, key)
}

// FailNth is b whose nth call of op, counted from 1, fails with code; n 0
// fails all.
func FailNth(b bucket.Bucket, op Operation, n int64, code bucket.Code) bucket.Bucket {
	var calls atomic.Int64
	return &Faults{Bucket: b, Fail: func(_ context.Context, called Operation, key string) error {
		if called != op {
			return nil
		}
		if call := calls.Add(1); n != 0 && call != n {
			return nil
		}
		return &bucket.Error{Code: code, Op: string(op), Key: key, Err: errors.New("a fault of the test")}
	}}
}

// Slow is b whose every call begins delay later.
func Slow(b bucket.Bucket, delay time.Duration) bucket.Bucket {
	return &Faults{Bucket: b, Fail: func(ctx context.Context, op Operation, key string) error {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return &bucket.Error{Code: bucket.CodeUnavailable, Op: string(op), Key: key, Err: ctx.Err()}
		}
	}}
}

// CutAfterBytes is b on a disk that has room for n more bytes: the Put that
// would exceed them fails with CodeFull, and nothing of it is kept.
func CutAfterBytes(b bucket.Bucket, n int64) bucket.Bucket { return &cutAfterBytes{Bucket: b, left: n} }

type cutAfterBytes struct {
	bucket.Bucket
	mu   sync.Mutex
	left int64
}

func (b *cutAfterBytes) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return bucket.Object{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key, Err: err}
	}
	b.mu.Lock()
	b.left -= int64(len(data))
	full := b.left < 0
	b.mu.Unlock()
	if full {
		return bucket.Object{}, &bucket.Error{Code: bucket.CodeFull, Op: "put", Key: key, Err: errors.New("no space left, says the test")}
	}
	return b.Bucket.Put(ctx, key, bytes.NewReader(data), cond)
}

// LoseAnswers is b whose Puts of keys with prefix take place and are then
// reported as unavailable, once for each key.
func LoseAnswers(b bucket.Bucket, prefix string) bucket.Bucket {
	return &losesAnswers{Bucket: b, prefix: prefix, lost: map[string]bool{}}
}

type losesAnswers struct {
	bucket.Bucket
	prefix string
	mu     sync.Mutex
	lost   map[string]bool
}

func (b *losesAnswers) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	o, err := b.Bucket.Put(ctx, key, body, cond)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil && strings.HasPrefix(key, b.prefix) && !b.lost[key] {
		b.lost[key] = true
		return bucket.Object{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key, Err: errors.New("the answer was lost, says the test")}
	}
	return o, err
}

// Damage changes the object at key by change, as a bad disk would: it is
// written anew, whatever wrote it.
func Damage(ctx context.Context, b bucket.Bucket, key string, change func(data []byte) []byte) error {
	body, _, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	_, err = b.Put(ctx, key, bytes.NewReader(change(data)), bucket.Condition{})
	return err
}

// FlipBit is a change for Damage: bit n of the object, modulo its length.
func FlipBit(n int) func([]byte) []byte {
	return func(data []byte) []byte {
		if len(data) > 0 {
			n %= 8 * len(data)
			data[n/8] ^= 1 << (n % 8)
		}
		return data
	}
}
