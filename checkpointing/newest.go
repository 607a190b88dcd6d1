package checkpointing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Damaged is a checkpoint that was passed over, and why. Err is an *Error that
// names the chunk or the manifest.
type Damaged struct {
	Ref Ref
	Err error
}

// Newest is the newest checkpoint below prefix whose manifest is whole and
// whose chunks are all there, with the damaged ones that are newer. What is in
// the chunks is only verified by Restore. Errors: CodeMissing when there is no
// checkpoint at all, CodeCorrupt when all are damaged, CodeVersion when the
// newest was made by a later program (an older one would bury its progress),
// and those of the bucket. May be repeated.
func Newest(ctx context.Context, e Engine, prefix string) (Ref, []Damaged, error) {
	var newest Ref
	damaged, err := firstWhole(ctx, e, prefix, func(ref Ref) error {
		full, _, err := e.Inspect(ctx, ref)
		if err != nil {
			return err
		}
		if checker, ok := e.(interface {
			present(context.Context, Ref) error
		}); ok {
			err = checker.present(ctx, full)
		}
		newest = full
		return err
	})
	if err != nil {
		return Ref{}, damaged, err
	}
	return newest, damaged, nil
}

// RestoreNewest restores the newest checkpoint below prefix that is whole,
// every chunk verified, and tells which one it was and which damaged ones it
// passed over. Errors are those of Newest and of Restore; dir is as before
// then. May be repeated.
func RestoreNewest(ctx context.Context, e Engine, prefix, dir string, opts RestoreOptions) (Ref, []Damaged, error) {
	var restored Ref
	damaged, err := firstWhole(ctx, e, prefix, func(ref Ref) error {
		full, _, err := e.Inspect(ctx, ref)
		if err != nil {
			return err
		}
		restored = full
		return e.Restore(ctx, full, dir, opts)
	})
	if err != nil {
		return Ref{}, damaged, err
	}
	return restored, damaged, nil
}

// firstWhole tries checkpoints from the newest on until one is not damaged.
func firstWhole(ctx context.Context, e Engine, prefix string, try func(Ref) error) ([]Damaged, error) {
	refs, err := e.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var damaged []Damaged
	for _, ref := range slices.Backward(refs) {
		err := try(ref)
		if err == nil {
			return damaged, nil
		}
		if !isDamage(err) {
			return damaged, err
		}
		damaged = append(damaged, Damaged{Ref: ref, Err: err})
	}
	if len(damaged) == 0 {
		return nil, &Error{Code: CodeMissing, Op: "restore", What: prefix, Err: errors.New("there is no checkpoint")}
	}
	return damaged, &Error{
		Code: CodeCorrupt, Op: "restore", What: prefix,
		Err:  fmt.Errorf("all of its %d checkpoints are damaged, the newest: %w", len(damaged), damaged[0].Err),
		Hint: "remove them to begin anew",
	}
}

func isDamage(err error) bool {
	for _, code := range []Code{CodeCorrupt, CodeMissing, CodeUnsafe} {
		if errors.Is(err, &Error{Code: code}) {
			return true
		}
	}
	return false
}

// present tells whether all chunks of a checkpoint are there and of a
// plausible size.
func (e *engine) present(ctx context.Context, ref Ref) error {
	m, _, err := e.manifest(ctx, "inspect", ref)
	if err != nil {
		return err
	}
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(4 * parallel)
	for _, c := range m.Chunks {
		workers.Go(func() error {
			size, err := e.size(ctx, c.key())
			if err != nil {
				return e.lost("inspect", c.key(), err)
			}
			if size < 2 || size > int64(c.Size)+1 {
				return e.corrupt("inspect", c.key(), fmt.Errorf("it is stored in %d bytes, which cannot be", size))
			}
			return nil
		})
	}
	return workers.Wait()
}

// size is that of a stored object.
func (e *engine) size(ctx context.Context, key string) (int64, error) {
	return retry(ctx, func() (int64, error) {
		body, o, err := e.bucket.Get(ctx, key, 0, 1)
		if err != nil {
			return 0, err
		}
		_, _ = io.Copy(io.Discard, body) // so that the connection can be used again
		return o.Size, body.Close()
	})
}
