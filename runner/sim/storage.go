package sim

import (
	"bytes"
	"context"
	"io"
	"iter"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
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

func (s *storage) Get(ctx context.Context, key string, offset, length int64) (body io.ReadCloser, object bucket.Object, err error) {
	err = s.actor.call(ctx, s.actor.world.bucketService(), "get", key, false, func() (err error) {
		body, object, err = s.under.Get(context.WithoutCancel(ctx), key, offset, length)
		return err
	}, unreachable("get", key))
	if err != nil {
		return nil, bucket.Object{}, err
	}
	return body, object, nil
}

func (s *storage) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	content, err := io.ReadAll(body)
	if err != nil {
		return bucket.Object{}, err
	}
	var object bucket.Object
	err = s.actor.call(ctx, s.actor.world.bucketService(), "put", key, true, func() error {
		written, err := s.under.Put(context.WithoutCancel(ctx), key, bytes.NewReader(content), cond)
		if err != nil {
			return err
		}
		object = written
		return s.actor.world.witness.wrote(s.actor, key, content)
	}, unreachable("put", key))
	if err != nil {
		return bucket.Object{}, err
	}
	return object, nil
}

func (s *storage) List(ctx context.Context, prefix, after string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		var found []bucket.Object
		err := s.actor.call(ctx, s.actor.world.bucketService(), "list", prefix, false, func() error {
			found = found[:0]
			for object, err := range s.under.List(context.WithoutCancel(ctx), prefix, after) {
				if err != nil {
					return err
				}
				found = append(found, object)
			}
			return nil
		}, unreachable("list", prefix))
		if err != nil {
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
	return s.actor.call(ctx, s.actor.world.bucketService(), "delete", key, true, func() error {
		return s.under.Delete(context.WithoutCancel(ctx), key)
	}, unreachable("delete", key))
}

func (s *storage) Describe() bucket.Description { return s.under.Describe() }

func (s *storage) Close() error { return nil }
