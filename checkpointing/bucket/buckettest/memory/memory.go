// Package memory is a bucket in memory, for tests and simulations: it keeps all
// of bucket.Bucket's promises, touches no disk and no network, and so runs on
// the virtual time of testing/synctest.
package memory

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"net/url"
	"sync"
	"time"

	"github.com/tidwall/btree"
	"github.com/zeebo/blake3"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// Bucket is an empty bucket by New. Its methods may be called from any number of
// goroutines.
type Bucket struct {
	description bucket.Description

	mu      sync.Mutex
	objects btree.Map[string, stored]
}

var _ bucket.Bucket = (*Bucket)(nil)

type stored struct {
	object  bucket.Object
	content []byte
}

// New makes an empty bucket. Its URL names it and opens nothing.
func New(name string) *Bucket {
	return &Bucket{description: bucket.Description{URL: "memory://" + name, Pace: time.Second, Poll: time.Second}}
}

func fail(code bucket.Code, op, key, what string) error {
	return &bucket.Error{Code: code, Op: op, Key: key, Err: errors.New(what)}
}

// Get implements bucket.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	if err := begin(ctx, "get", key); err != nil {
		return nil, bucket.Object{}, err
	}
	b.mu.Lock()
	found, ok := b.objects.Get(key)
	b.mu.Unlock()
	if !ok {
		return nil, bucket.Object{}, fail(bucket.CodeNotFound, "get", key, "there is no such object")
	}
	size := int64(len(found.content))
	if offset < 0 || length < -1 {
		return nil, bucket.Object{}, fail(bucket.CodeInvalid, "get", key, "there is no such range")
	}
	begin, end := min(offset, size), size
	if length >= 0 && length < end-begin {
		end = begin + length
	}
	return io.NopCloser(bytes.NewReader(found.content[begin:end])), found.object, nil
}

// Put implements bucket.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if err := begin(ctx, "put", key); err != nil {
		return bucket.Object{}, err
	}
	if cond.Absent && cond.Version != "" {
		return bucket.Object{}, fail(bucket.CodeInvalid, "put", key, "there are two conditions")
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return bucket.Object{}, fail(bucket.CodeInvalid, "put", key, "the content cannot be read: "+err.Error())
	}
	sum := blake3.Sum256(content)
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.objects.Get(key)
	switch {
	case cond.Absent && ok:
		return bucket.Object{}, fail(bucket.CodeConflict, "put", key, "there is such an object")
	case cond.Version != "" && found.object.Version != cond.Version:
		return bucket.Object{}, fail(bucket.CodeConflict, "put", key, "the object is another one")
	}
	// As with S3, the version is that of the content.
	object := bucket.Object{Key: key, Size: int64(len(content)), Version: hex.EncodeToString(sum[:16]), Modified: time.Now()}
	b.objects.Set(key, stored{object: object, content: content})
	return object, nil
}

// List implements bucket.Bucket. It yields what was there when it began.
func (b *Bucket) List(ctx context.Context, prefix, startAfter string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		if err := errors.Join(ended(ctx, "list", prefix), bucket.CheckPrefix(prefix)); err != nil {
			yield(bucket.Object{}, err)
			return
		}
		b.mu.Lock()
		now := b.objects.Copy()
		b.mu.Unlock()
		now.Ascend(max(prefix, startAfter), func(key string, found stored) bool {
			switch {
			case key == startAfter:
				return true
			case len(key) < len(prefix) || key[:len(prefix)] != prefix:
				return key < prefix
			}
			if err := ended(ctx, "list", prefix); err != nil {
				yield(bucket.Object{}, err)
				return false
			}
			return yield(found.object, nil)
		})
	}
}

// Delete implements bucket.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := begin(ctx, "delete", key); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects.Delete(key)
	return nil
}

// Describe implements bucket.Bucket.
func (b *Bucket) Describe() bucket.Description { return b.description }

// Close implements bucket.Bucket. The content stays.
func (b *Bucket) Close() error { return nil }

// Size is the content of all objects together, in bytes.
func (b *Bucket) Size() (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects.Scan(func(_ string, found stored) bool {
		n += found.object.Size
		return true
	})
	return n
}

// Len is how many objects there are.
func (b *Bucket) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.objects.Len()
}

func begin(ctx context.Context, op, key string) error {
	if err := ended(ctx, op, key); err != nil {
		return err
	}
	return bucket.CheckKey(op, key)
}

func ended(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return &bucket.Error{Code: bucket.CodeUnavailable, Op: op, Key: key, Err: err}
	}
	return nil
}

func init() {
	bucket.Register("memory", func(_ context.Context, address *url.URL) (bucket.Bucket, error) {
		return nil, fail(bucket.CodeUnsupported, "open", address.String(), "a bucket in memory cannot be opened by its address")
	})
}
