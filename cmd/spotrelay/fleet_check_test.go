package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// faulty is a bucket whose writes go wrong.
type faulty struct {
	bucket.Bucket
	refusal error
}

func (f faulty) Put(ctx context.Context, key string, body io.ReadSeeker, _ bucket.Condition) (bucket.Object, error) {
	if f.refusal != nil {
		return bucket.Object{}, f.refusal
	}
	return f.Bucket.Put(ctx, key, body, bucket.Condition{}) // whatever the condition
}

// TestBucketChecks: a bucket that is not reached, may not be written or ignores
// conditions has its line, and what to do.
func TestBucketChecks(t *testing.T) {
	dir := t.TempDir()
	for scheme, refusal := range map[string]error{
		"ignoring": nil,
		"denied":   &bucket.Error{Code: bucket.CodeDenied, Op: "put", Err: errors.New("403")},
		"away":     &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Err: errors.New("no route")},
		"missing":  &bucket.Error{Code: bucket.CodeNotFound, Op: "put", Err: errors.New("NoSuchBucket"), Hint: "make it"},
	} {
		bucket.Register(scheme, func(ctx context.Context, _ *url.URL) (bucket.Bucket, error) {
			b, err := bucket.Open(ctx, dir)
			return faulty{b, refusal}, err
		})
	}
	for name, c := range map[string]struct {
		address, provider, check string
		result                   providers.CheckResult
		says                     string
	}{
		"fine":      {"file://" + dir, "local", "conditional writes", providers.CheckOK, "compare and swap"},
		"folder":    {"file://" + dir, "aws", "bucket", providers.CheckWarning, "SPOTRELAY_BUCKET"},
		"ignoring":  {"ignoring://b", "aws", "conditional writes", providers.CheckFailed, "choose another store"},
		"denied":    {"denied://b", "aws", "bucket", providers.CheckFailed, "read, write, list and delete"},
		"away":      {"away://b", "aws", "bucket", providers.CheckFailed, "reaches the bucket"},
		"missing":   {"missing://b", "aws", "bucket", providers.CheckFailed, "make it"},
		"no scheme": {"nothing://b", "aws", "bucket", providers.CheckFailed, "address"},
	} {
		checks := bucketChecks(t.Context(), &chosenFleet{Fleet: job.Fleet{Provider: c.provider}, bucket: c.address})
		found := false
		for _, check := range checks {
			if (check.Result == providers.CheckOK) != (check.Advice == "") {
				t.Errorf("%s: %+v", name, check)
			}
			found = found || check.Name == c.check && check.Result == c.result && strings.Contains(check.Detail+" "+check.Advice, c.says)
		}
		if !found {
			t.Errorf("%s: %+v; want %s of %q with %q", name, checks, c.result, c.check, c.says)
		}
	}
}
