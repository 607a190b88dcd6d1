package store

import (
	"context"
	"iter"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// CachePrefix is the prefix of cached outputs' manifests.
const CachePrefix = "cache/"

// Roots yields the key of every manifest in the bucket: checkpoints, outputs,
// workdirs and inputs of all runs, also of those that are being submitted, and cached
// outputs. Chunks that none of them names are garbage. The sequence ends after
// its first error, and is then no ground to delete anything. May be repeated.
func Roots(ctx context.Context, b bucket.Bucket) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		after := ""
		for {
			run, err := nextRun(ctx, b, after)
			if err != nil {
				yield("", err)
				return
			}
			if run == "" {
				break
			}
			after = RunsPrefix + run + "0"
			for _, prefix := range []string{RunPrefix(run) + "checkpoints/", RunPrefix(run) + "outputs/", WorkdirKey(run), InputsPrefix(run)} {
				if !yieldKeys(ctx, b, prefix, yield) {
					return
				}
			}
		}
		yieldKeys(ctx, b, CachePrefix, yield)
	}
}

func yieldKeys(ctx context.Context, b bucket.Bucket, prefix string, yield func(string, error) bool) bool {
	for object, err := range b.List(ctx, prefix, "") {
		if !yield(object.Key, err) || err != nil {
			return false
		}
	}
	return true
}
