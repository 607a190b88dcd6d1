package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/store"
)

// storage is the bucket as one actor reaches it.
type storage struct {
	actor *actor
	under bucket.Bucket
}

var _ bucket.Bucket = (*storage)(nil)

// unreachable makes the error of a call that the network lost.
func unreachable(op, key string) func(error) error {
	return func(err error) error {
		return &bucket.Error{Code: bucket.CodeUnavailable, Op: op, Key: key, Err: err}
	}
}

// call is a call to the bucket.
func (s *storage) call(op, key string, writes bool) call {
	return call{
		service: s.actor.world.faults().bucketService(), op: op, about: key, kind: kindOf(key),
		writes: writes, meets: writes, lost: unreachable(op, key),
	}
}

// kindOf is what a key holds, as Faults.Focus has it.
func kindOf(key string) string {
	switch {
	case strings.Contains(key, "/journal/"):
		return focusJournal
	case strings.HasSuffix(key, store.DesiredName):
		return focusDesired
	case strings.HasSuffix(key, store.StatusName):
		return focusStatus
	case strings.HasSuffix(key, "lease.json"):
		return focusLease
	}
	return ""
}

func (s *storage) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	var body io.ReadCloser
	var object bucket.Object
	c := s.call("get", key, false)
	c.effect = func() (err error) {
		body, object, err = s.under.Get(context.WithoutCancel(ctx), key, offset, length)
		return err
	}
	if err := s.actor.do(ctx, c); err != nil {
		return nil, bucket.Object{}, err
	}
	return body, object, nil
}

func (s *storage) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	content, err := io.ReadAll(body)
	if err != nil {
		return bucket.Object{}, err
	}
	w := s.actor.world
	if key == store.LeaseKey(w.spec.Run) && s.actor.sleeps() {
		return bucket.Object{Key: key, Version: fmt.Sprint("asleep ", time.Now()), Modified: time.Now()}, nil
	}
	var object bucket.Object
	c := s.call("put", key, true)
	c.effect = func() error {
		if f := w.faults(); w.seed.happens(f.BucketFull/6, "full", w.slot()) {
			return &bucket.Error{Code: bucket.CodeFull, Op: "put", Key: key}
		}
		written, err := s.write(key, content, cond)
		if err == nil {
			object = written
		}
		return err
	}
	if err = s.actor.do(ctx, c); err != nil {
		return bucket.Object{}, err
	}
	return object, nil
}

// write writes, and the witness sees it in the order of writes.
func (s *storage) write(key string, content []byte, cond bucket.Condition) (bucket.Object, error) {
	w := s.actor.world
	w.writing.Lock()
	defer w.writing.Unlock()
	written, err := s.under.Put(context.Background(), key, bytes.NewReader(content), cond)
	if err == nil {
		w.witness.wrote(s.actor, key, content)
	}
	return written, err
}

func (s *storage) List(ctx context.Context, prefix, after string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		var found []bucket.Object
		c := s.call("list", prefix, false)
		c.effect = func() error {
			found = nil
			for object, err := range s.under.List(context.WithoutCancel(ctx), prefix, after) {
				if err != nil {
					return err
				}
				found = append(found, object)
			}
			return nil
		}
		if err := s.actor.do(ctx, c); err != nil {
			yield(bucket.Object{}, err)
			return
		}
		for _, object := range found {
			if !yield(object, nil) {
				return
			}
		}
	}
}

func (s *storage) Delete(ctx context.Context, key string) error {
	c := s.call("delete", key, true)
	c.effect = func() error { return s.under.Delete(context.Background(), key) }
	return s.actor.do(ctx, c)
}

func (s *storage) Describe() bucket.Description { return s.under.Describe() }

func (s *storage) Close() error { return nil }
