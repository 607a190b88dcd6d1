package controller

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
)

// lifeline is what a controller reaches the world through. Once cut, nothing
// that the controller does has any effect, as of a process that was killed.
type lifeline struct {
	dead atomic.Bool
	// cut decides at each write and each call whether the controller ends
	// there: before the effect, or after it and before the answer.
	cut func(what string) (before, after bool)
}

var errDead = &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Err: errors.New("the process is dead")}

func (l *lifeline) at(what string, effect func() error) error {
	before, after := l.cut(what)
	if before {
		l.dead.Store(true)
	}
	if l.dead.Load() {
		return errDead
	}
	err := effect()
	if after {
		l.dead.Store(true)
		return errDead
	}
	return err
}

// through is the bucket as seen through a lifeline.
type through struct {
	bucket.Bucket
	l *lifeline
}

func (b through) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (object bucket.Object, err error) {
	err = b.l.at(key, func() error { object, err = b.Bucket.Put(ctx, key, body, cond); return err })
	return object, err
}

func (b through) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	if b.l.dead.Load() {
		return nil, bucket.Object{}, errDead
	}
	return b.Bucket.Get(ctx, key, offset, length)
}

func (b through) List(ctx context.Context, prefix, after string) iter.Seq2[bucket.Object, error] {
	if b.l.dead.Load() {
		return func(yield func(bucket.Object, error) bool) { yield(bucket.Object{}, errDead) }
	}
	return b.Bucket.List(ctx, prefix, after)
}

// forgetful loses the answers of the next few writes, and of the reads that
// would tell how they went.
type forgetful struct {
	through
	lose, blind atomic.Int64
}

func (f *forgetful) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	object, err := f.through.Put(ctx, key, body, cond)
	if err == nil && f.lose.Load() > 0 {
		f.lose.Add(-1)
		f.blind.Store(1)
		return bucket.Object{}, errDead
	}
	return object, err
}

func (f *forgetful) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	if f.blind.CompareAndSwap(1, 0) {
		return nil, bucket.Object{}, errDead
	}
	return f.through.Get(ctx, key, offset, length)
}

// cloud is the world's provider as seen through a lifeline.
type cloud struct {
	*world
	l *lifeline
}

func (c cloud) Provider(context.Context, string) (providers.Provider, error) { return c, nil }

func (c cloud) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (result providers.LaunchResult, err error) {
	err = c.l.at("launch", func() error { result, err = c.world.Launch(ctx, fleet, request); return err })
	return result, err
}

func (c cloud) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	return c.l.at("terminate", func() error { return c.world.Terminate(ctx, fleet, ids) })
}
