//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// A bucket that is full is no full disk of the instance, though a folder says
// it with the same number.
func TestIsFull(t *testing.T) {
	for _, row := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("copy: %w", syscall.ENOSPC), true},
		{syscall.EDQUOT, true},
		{&checkpointing.Error{Code: checkpointing.CodeFull, Op: "restore", Err: syscall.ENOSPC}, true},
		{&bucket.Error{Code: bucket.CodeFull, Op: "put", Key: "data/x", Err: syscall.ENOSPC}, false},
		{fmt.Errorf("save: %w", &bucket.Error{Code: bucket.CodeFull, Err: syscall.ENOSPC}), false},
		{errors.New("else"), false},
	} {
		if got := isFull(row.err); got != row.want {
			t.Errorf("%v: %t", row.err, got)
		}
	}
}

// fullBucket has no room for chunks until it is given some.
type fullBucket struct {
	bucket.Bucket
	full    atomic.Bool
	refused atomic.Int64
}

func (f *fullBucket) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if f.full.Load() && strings.HasPrefix(key, "data/") {
		f.refused.Add(1)
		return bucket.Object{}, &bucket.Error{Code: bucket.CodeFull, Op: "put", Key: key, Err: errors.New("no room, says the test")}
	}
	return f.Bucket.Put(ctx, key, body, cond)
}

// TestBucketFull: a bucket without room costs no finished work. The result
// waits for somebody to make room.
func TestBucketFull(t *testing.T) {
	t.Parallel()
	inner, _ := folderBucket(t)
	b := &fullBucket{Bucket: inner}
	b.full.Store(true)
	r := newRigOn(t, inner, func(o *Options) { o.Bucket = b })
	a := helper("", withCommand("sh", "-c", "mkdir -p ckpt out; echo state > ckpt/state; echo result > out/result"), withOutput, withCheckpoint)
	r.assign(a)
	r.await("a refusal", func() bool { return b.refused.Load() > 0 })
	b.full.Store(false)
	end := r.end(a.AttemptID)
	if !end.Committed || end.Output == nil || end.AgentError != "" {
		t.Fatalf("end: %+v", end)
	}
	if got := r.content(end.Output.Key, end.Output.Digest)["result"]; got != "result\n" {
		t.Errorf("the output is %q", got)
	}
}
