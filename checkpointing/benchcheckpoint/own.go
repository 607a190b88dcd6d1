package main

import (
	"context"
	"net/url"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/s3bucket" // opens s3:// addresses
)

// childVariable tells this program what it is as a process of its own: open,
// save, restore, own, proxy, upload, download or copy.
const childVariable = "SPOTRELAY_BENCH_CHILD"

const (
	mine = "spotrelay"
	warm = "spotrelay, warm"

	series = "checkpoints/bench"
)

// ours is the engine as the peers run: each save and each restore is a process
// of its own, which knows nothing but what is in the bucket.
type ours struct{}

// Name is that of the project.
func (ours) Name() string { return mine }

// Open remembers the place.
func (ours) Open(_ context.Context, at site) (repo, error) { return &oursRepo{at}, nil }

type oursRepo struct{ at site }

// Save runs a process that goes on from the newest checkpoint.
func (r *oursRepo) Save(ctx context.Context, dir string) (usage, error) {
	return runChild(ctx, r.at, "save", r.at.address(), dir)
}

// Restore runs a process that restores the newest checkpoint.
func (r *oursRepo) Restore(ctx context.Context, _, to string) (usage, error) {
	return runChild(ctx, r.at, "restore", r.at.address(), to)
}

// Close does nothing.
func (*oursRepo) Close() error { return nil }

// address is what our own processes open.
func (s site) address() string {
	query := url.Values{"endpoint": {s.Endpoint}, "region": {"us-east-1"}}
	return (&url.URL{Scheme: "s3", Host: s3Bucket, Path: "/" + s.Repo, RawQuery: query.Encode()}).String()
}

// serveOnce is a process of ours that does one thing.
func serveOnce(ctx context.Context, role, address, dir string) error {
	b, err := bucket.Open(ctx, address)
	if err != nil {
		return err
	}
	defer b.Close()
	e := checkpointing.Open(b)
	switch role {
	case "save":
		refs, err := e.List(ctx, series)
		if err != nil {
			return err
		}
		var last *checkpointing.Ref
		next := int64(1)
		if n := len(refs); n > 0 {
			last, next = &refs[n-1], refs[n-1].ID.Sequence+1
		}
		_, err = save(ctx, e, dir, next, last)
		return err
	case "restore":
		return restoreNewest(ctx, e, dir)
	}
	return nil
}

func save(ctx context.Context, e checkpointing.Engine, dir string, sequence int64, last *checkpointing.Ref) (checkpointing.Ref, error) {
	id := checkpointing.ID{Attempt: 1, Sequence: sequence}
	result, err := e.Save(ctx, dir, checkpointing.SaveOptions{
		Key: series + "/" + checkpointing.ManifestName(id), ID: id, Parent: last, Base: last,
	})
	return result.Ref, err
}

// restoreNewest is not content with an older one.
func restoreNewest(ctx context.Context, e checkpointing.Engine, dir string) error {
	_, damaged, err := checkpointing.RestoreNewest(ctx, e, series, dir, checkpointing.RestoreOptions{})
	if err == nil && len(damaged) > 0 {
		err = damaged[0].Err
	}
	return err
}
