package checkpointing

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Damaged is a checkpoint that was passed over, and why. Err is an *Error that
// names the pack or the manifest.
type Damaged struct {
	Ref Ref
	Err error
}

// Newest is the newest checkpoint below prefix whose manifest is whole and
// whose packs are all there, with the damaged ones that are newer. What is in
// the chunks is only verified by Restore. Errors: CodeMissing when there is no
// checkpoint at all, CodeCorrupt when all are damaged, CodeVersion when the
// newest was made by a later program (an older one would bury its progress),
// and those of the bucket. May be repeated.
func Newest(ctx context.Context, e Engine, prefix string) (Ref, []Damaged, error) {
	var newest Ref
	damaged, err := firstWhole(ctx, e, prefix, func(ref Ref) (err error) {
		newest, err = Whole(ctx, e, ref)
		return err
	})
	if err != nil {
		return Ref{}, damaged, err
	}
	return newest, damaged, nil
}

// Whole is a checkpoint's full ref when its manifest is whole and its packs are
// all there. Errors: CodeMissing, CodeCorrupt or CodeUnsafe where they are not,
// CodeVersion, and those of the bucket. May be repeated.
func Whole(ctx context.Context, e Engine, ref Ref) (Ref, error) {
	full, _, err := e.Inspect(ctx, ref)
	if err != nil {
		return full, err
	}
	if checker, ok := e.(interface {
		present(context.Context, Ref) error
	}); ok {
		err = checker.present(ctx, full)
	}
	return full, err
}

// RestoreNewest restores the newest checkpoint below prefix that is whole,
// every chunk verified, and tells which one it was and which damaged ones it
// passed over. Errors are those of Newest and of Restore; dir is as before
// then. May be repeated.
func RestoreNewest(ctx context.Context, e Engine, prefix, dir string, opts RestoreOptions) (Ref, []Damaged, error) {
	var restored Ref
	damaged, err := firstWhole(ctx, e, prefix, func(ref Ref) (err error) {
		restored, err = restoreAndTell(ctx, e, ref, dir, opts)
		return err
	})
	if err != nil {
		return Ref{}, damaged, err
	}
	return restored, damaged, nil
}

// restoreAndTell gives the whole ref of what it restored. Our own engine reads
// the manifest once for both.
func restoreAndTell(ctx context.Context, e Engine, ref Ref, dir string, opts RestoreOptions) (Ref, error) {
	if own, ok := e.(interface {
		restore(context.Context, Ref, string, RestoreOptions) (Ref, error)
	}); ok {
		return own.restore(ctx, ref, dir, opts)
	}
	full, _, err := e.Inspect(ctx, ref)
	if err != nil {
		return Ref{}, err
	}
	return full, e.Restore(ctx, full, dir, opts)
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

// present tells whether all packs of a checkpoint are there in their length.
func (e *engine) present(ctx context.Context, ref Ref) error {
	m, _, err := e.manifest(ctx, "inspect", ref)
	if err != nil {
		return err
	}
	return e.packsPresent(ctx, m)
}

// packsPresent is nil when all packs of a manifest are there, in their sizes.
func (e *engine) packsPresent(ctx context.Context, m *manifest) error {
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(mostLanes)
	for i := range m.Packs {
		workers.Go(func() error {
			p := &m.Packs[i]
			size, err := e.size(ctx, p.key())
			if err != nil {
				return e.lost("inspect", p.key(), err)
			}
			if size != p.Size {
				return e.corrupt("inspect", p.key(), fmt.Errorf("it has %d bytes and not %d", size, p.Size))
			}
			return nil
		})
	}
	return workers.Wait()
}
