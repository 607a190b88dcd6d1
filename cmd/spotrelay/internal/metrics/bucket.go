package metrics

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// Bucket counts the requests that are made to a bucket.
func (m *Metrics) Bucket(b bucket.Bucket) bucket.Bucket { return &metered{Bucket: b, m: m} }

type metered struct {
	bucket.Bucket
	m *Metrics
}

// done counts a request; what it was about not being there, or another having
// been faster, is an answer like any other.
func (b *metered) done(op string, began time.Time, err error) {
	outcome := "succeeded"
	if code := bucket.CodeOf(err); code != "" {
		outcome = string(code)
	}
	b.m.requests.WithLabelValues(op, outcome).Inc()
	b.m.requestTime.WithLabelValues(op).Observe(time.Since(began).Seconds())
}

func (b *metered) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	began := time.Now()
	body, object, err := b.Bucket.Get(ctx, key, offset, length)
	b.done("get", began, err)
	return body, object, err
}

func (b *metered) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	began := time.Now()
	object, err := b.Bucket.Put(ctx, key, body, cond)
	b.done("put", began, err)
	if err == nil {
		b.m.sent.Add(float64(object.Size))
	}
	return object, err
}

// pageSize is how many objects a page of a listing has, of S3 and of GCS.
const pageSize = 1000

func (b *metered) List(ctx context.Context, prefix, startAfter string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		began, n := time.Now(), 0
		for object, err := range b.Bucket.List(ctx, prefix, startAfter) {
			n++
			if err != nil {
				b.done("list", began, err)
				yield(object, err)
				return
			}
			if n%pageSize == 0 {
				b.done("list", began, nil)
				began = time.Now()
			}
			if !yield(object, nil) {
				break
			}
		}
		if n%pageSize != 0 || n == 0 {
			b.done("list", began, nil)
		}
	}
}

func (b *metered) Delete(ctx context.Context, key string) error {
	began := time.Now()
	err := b.Bucket.Delete(ctx, key)
	b.done("delete", began, err)
	return err
}
