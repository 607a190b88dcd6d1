package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// ReadSpec reads a run's specification. Errors: bucket.ErrNotFound when there
// is no such run, ErrVersion, ErrCorrupt. May be repeated.
func ReadSpec(ctx context.Context, b bucket.Bucket, run string) (*job.Spec, error) {
	if !job.ValidRunID(run) {
		return nil, &bucket.Error{
			Code: bucket.CodeNotFound, Op: "get", Key: RunPrefix(run), Err: fmt.Errorf("%q is not the id of a run", run),
			Hint: "a run's id has 26 letters and digits; list them with spotrelay status",
		}
	}
	spec, _, err := read[job.Spec](ctx, b, SpecKey(run))
	if err != nil {
		return nil, err
	}
	if spec.Run != run {
		return nil, corrupt(SpecKey(run), "it is the specification of run %q", spec.Run)
	}
	return &spec, nil
}

// WriteSpec writes a run's specification, once; its Version is filled in.
// Writing the same content again is no error. Errors: ErrExists when another
// content is there. May be repeated.
func WriteSpec(ctx context.Context, b bucket.Bucket, spec *job.Spec) error {
	written := *spec
	written.Version = job.SpecVersion
	data, err := encode(written)
	if err != nil {
		return err
	}
	key := SpecKey(spec.Run)
	_, err = writeObject(ctx, b, key, data, bucket.IfAbsent())
	if err == nil {
		return nil
	}
	found, _, readErr := readObject(ctx, b, key)
	switch {
	case readErr != nil:
		return err
	case bytes.Equal(found, data):
		return nil
	case errors.Is(err, bucket.ErrConflict):
		return &Error{Code: CodeExists, Op: "write", Key: key, Err: err, Hint: "a run is written once; submit the job again for a new one"}
	}
	return err
}

// ListRuns is the ids of all runs in the bucket, oldest first. What a
// submission left that did not get as far as its specification is no run. It
// reads names only, in a listing or two for each run. May be repeated.
func ListRuns(ctx context.Context, b bucket.Bucket) ([]string, error) {
	var runs []string
	after := ""
	for {
		run, err := nextRun(ctx, b, after)
		if err != nil || run == "" {
			return runs, err
		}
		// '0' is the character behind '/': past everything of this run.
		after = RunsPrefix + run + "0"
		if !job.ValidRunID(run) {
			continue
		}
		whole, err := exists(ctx, b, SpecKey(run))
		if err != nil {
			return runs, err
		}
		if whole {
			runs = append(runs, run)
		}
	}
}

// nextRun is the first name below runs/ whose objects lie after a key.
func nextRun(ctx context.Context, b bucket.Bucket, after string) (string, error) {
	for object, err := range b.List(ctx, RunsPrefix, after) {
		if err != nil {
			return "", err
		}
		rest := object.Key[len(RunsPrefix):]
		for i := range len(rest) {
			if rest[i] == '/' {
				return rest[:i], nil
			}
		}
	}
	return "", nil
}

func exists(ctx context.Context, b bucket.Bucket, key string) (bool, error) {
	for object, err := range b.List(ctx, key, "") {
		if err != nil {
			return false, err
		}
		return object.Key == key, nil
	}
	return false, nil
}

// DecodeSpec reads the specification of a run. Errors: ErrVersion, ErrCorrupt.
func DecodeSpec(run string, data []byte) (*job.Spec, error) {
	spec, err := decode[job.Spec](SpecKey(run), data)
	if err != nil {
		return nil, err
	}
	if spec.Run != run {
		return nil, corrupt(SpecKey(run), "it is the specification of run %q", spec.Run)
	}
	return &spec, nil
}
