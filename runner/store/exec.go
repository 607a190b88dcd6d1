package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// ExecName is the name of the document of what users have run on an instance,
// as InstanceOf gives it.
const ExecName = "exec.json"

// execLinger is how long after its timeout a request stays that nobody removed:
// whoever wrote it is gone.
const execLinger = time.Hour

// ExecKey is what users have run on an instance.
func ExecKey(run, instance string) string {
	return InstancesPrefix(run) + instance + "/" + ExecName
}

// ExecPrefix is the prefix of what the agent answers to a request. It is not
// below InstancesPrefix, which controllers list again and again.
func ExecPrefix(run, instance, id string) string {
	return RunPrefix(run) + "exec/" + instance + "/" + id + "/"
}

// ExecOutPrefix is the prefix of the parts of a command's standard output.
func ExecOutPrefix(run, instance, id string) string { return ExecPrefix(run, instance, id) + "out/" }

// ExecErrPrefix is the prefix of the parts of a command's standard error.
func ExecErrPrefix(run, instance, id string) string { return ExecPrefix(run, instance, id) + "err/" }

// ExecResultKey is how the command ended.
func ExecResultKey(run, instance, id string) string { return ExecPrefix(run, instance, id) + "result" }

// AddExec asks an instance's agent to run a command. May be repeated: a request
// with the same id is written once. Errors are the bucket's, ErrVersion and
// ErrCorrupt.
func AddExec(ctx context.Context, b bucket.Bucket, run, instance string, request job.ExecRequest) error {
	return changeExecs(ctx, b, run, instance, func(requests []job.ExecRequest) []job.ExecRequest {
		now := time.Now()
		requests = slices.DeleteFunc(requests, func(r job.ExecRequest) bool {
			return r.ID == request.ID || now.Sub(r.Written) > r.Timeout.D()+execLinger
		})
		return append(requests, request)
	})
}

// RemoveExec takes a request back, which ends its command. One that is not
// there is no error. May be repeated.
func RemoveExec(ctx context.Context, b bucket.Bucket, run, instance, id string) error {
	return changeExecs(ctx, b, run, instance, func(requests []job.ExecRequest) []job.ExecRequest {
		return slices.DeleteFunc(requests, func(r job.ExecRequest) bool { return r.ID == id })
	})
}

// changeExecs writes the document with what change makes of its requests.
// Many may write it at once, so a conflict is tried again until ctx ends.
func changeExecs(ctx context.Context, b bucket.Bucket, run, instance string, change func([]job.ExecRequest) []job.ExecRequest) error {
	if err := checkInstance(instance); err != nil {
		return err
	}
	key := ExecKey(run, instance)
	for {
		execs, object, err := read[job.Execs](ctx, b, key)
		cond := bucket.IfVersion(object.Version)
		switch {
		case errors.Is(err, bucket.ErrNotFound):
			execs, cond = job.Execs{}, bucket.IfAbsent()
		case err != nil:
			return err
		}
		before := len(execs.Requests)
		execs.Version, execs.Run, execs.Instance = job.SpecVersion, run, instance
		execs.Requests = change(execs.Requests)
		if len(execs.Requests) == 0 && before == 0 {
			return nil
		}
		data, err := encode(execs)
		if err != nil {
			return err
		}
		_, err = writeObject(ctx, b, key, data, cond)
		if !errors.Is(err, bucket.ErrConflict) && !errors.Is(err, bucket.ErrNotFound) {
			return err
		}
		if err := wait(ctx, max(b.Describe().Pace, 20*time.Millisecond)); err != nil {
			return err
		}
	}
}

// ReadExecsUnless reads what users have run on an instance, unless the document
// still has the version given, and then reports false. One that is not there is
// empty. It is one read. Errors: ErrVersion, ErrCorrupt, the bucket's.
func ReadExecsUnless(ctx context.Context, b bucket.Bucket, run, instance, version string) (execs job.Execs, seen string, changed bool, err error) {
	key := ExecKey(run, instance)
	body, object, err := b.Get(ctx, key, 0, -1)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		return job.Execs{}, "", version != "", nil
	case err != nil:
		return job.Execs{}, version, false, err
	}
	defer body.Close()
	if object.Version == version {
		return job.Execs{}, version, false, nil
	}
	data, err := io.ReadAll(io.LimitReader(body, maxDocument))
	if err != nil {
		return job.Execs{}, version, false, &bucket.Error{Code: bucket.CodeUnavailable, Op: "get", Key: key, Err: err}
	}
	execs, err = decode[job.Execs](key, data)
	if err == nil && (execs.Run != run || execs.Instance != instance) {
		err = corrupt(key, "it is for instance %q of run %q", execs.Instance, execs.Run)
	}
	return execs, object.Version, true, err
}

// WriteExecResult says how a command ended. May be repeated.
func WriteExecResult(ctx context.Context, b bucket.Bucket, run, instance string, result job.ExecResult) error {
	result.Version = job.SpecVersion
	data, err := encode(result)
	if err != nil {
		return err
	}
	_, err = b.Put(ctx, ExecResultKey(run, instance, result.ID), bytes.NewReader(data), bucket.Condition{})
	return err
}

// ReadExecResult is how a command ended. Errors: bucket.ErrNotFound while it
// runs, ErrVersion, ErrCorrupt. May be repeated.
func ReadExecResult(ctx context.Context, b bucket.Bucket, run, instance, id string) (job.ExecResult, error) {
	result, _, err := read[job.ExecResult](ctx, b, ExecResultKey(run, instance, id))
	return result, err
}

// RemoveExecAnswer removes all that an agent answered to a request. May be
// repeated.
func RemoveExecAnswer(ctx context.Context, b bucket.Bucket, run, instance, id string) error {
	var keys []string
	for object, err := range b.List(ctx, ExecPrefix(run, instance, id), "") {
		if err != nil {
			return err
		}
		keys = append(keys, object.Key)
	}
	for _, key := range keys {
		if err := b.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
