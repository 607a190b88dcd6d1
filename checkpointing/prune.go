package checkpointing

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// Prune implements Engine.
func (e *engine) Prune(ctx context.Context, opts PruneOptions) (PruneResult, error) {
	var series []stored
	for o, err := range e.bucket.List(ctx, opts.Prefix, "") {
		if err != nil {
			return PruneResult{}, err
		}
		if id, ok := idOfKey(o.Key); ok {
			series = append(series, stored{Ref{Key: o.Key, ID: id}, o.Modified})
		}
	}
	var result PruneResult
	keep := opts.Keep.choose(series)
	for i, s := range series {
		if keep[i] || slices.Contains(opts.Pinned, s.ref.Key) {
			result.Kept = append(result.Kept, s.ref)
			continue
		}
		if !opts.DryRun {
			if _, err := retry(ctx, func() (bucket.Object, error) {
				return bucket.Object{}, e.bucket.Delete(ctx, s.ref.Key)
			}); err != nil {
				return result, err
			}
		}
		result.Removed = append(result.Removed, s.ref)
	}
	return result, nil
}

// stored is a checkpoint with the store's time.
type stored struct {
	ref Ref
	at  time.Time
}

// choose sorts a series and tells which of it are kept.
func (r Retention) choose(series []stored) []bool {
	slices.SortFunc(series, func(a, b stored) int {
		switch {
		case a.ref.ID.Less(b.ref.ID):
			return -1
		case b.ref.ID.Less(a.ref.ID):
			return 1
		}
		return cmp.Compare(a.ref.Key, b.ref.Key)
	})
	keep := make([]bool, len(series))
	periods := map[time.Time]bool{}
	for i := range slices.Backward(series) {
		keep[i] = len(series)-i <= max(r.Last, 1)
		if r.Every <= 0 {
			continue
		}
		if period := series[i].at.Truncate(r.Every); !periods[period] {
			periods[period], keep[i] = true, true
		}
	}
	return keep
}
