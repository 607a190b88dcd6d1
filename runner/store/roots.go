package store

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// CachePrefix is the prefix of cached results: entries, and the manifests of
// their outputs.
const CachePrefix = "cache/"

// Roots yields the key of every manifest in the bucket: checkpoints, outputs,
// workdirs and inputs of all runs, also of those that are being submitted, and cached
// outputs. Chunks that none of them names are garbage. The sequence ends after
// its first error, and is then no ground to delete anything. May be repeated.
//
// Manifests are copied from runs into the cache and from there into runs while
// this goes on, and the original may be removed then. So the cache is listed
// before the runs and after them: a copy's original is listed before it either
// way.
func Roots(ctx context.Context, b bucket.Bucket) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		cached := map[string]bool{}
		ofCache := func(key string, err error) bool {
			if err == nil && (cached[key] || !isCacheManifest(key)) {
				return true
			}
			cached[key] = true
			return yield(key, err)
		}
		if !yieldKeys(ctx, b, CachePrefix, ofCache) {
			return
		}
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
			for _, prefix := range manifestPrefixes(run) {
				if !yieldKeys(ctx, b, prefix, yield) {
					return
				}
			}
		}
		yieldKeys(ctx, b, CachePrefix, ofCache)
	}
}

func manifestPrefixes(run string) []string {
	return []string{RunPrefix(run) + "checkpoints/", RunPrefix(run) + "outputs/", WorkdirKey(run), InputsPrefix(run)}
}

// IsManifest reports whether a key of a run is that of a manifest.
func IsManifest(run, key string) bool {
	return slices.ContainsFunc(manifestPrefixes(run), func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

func yieldKeys(ctx context.Context, b bucket.Bucket, prefix string, yield func(string, error) bool) bool {
	for object, err := range b.List(ctx, prefix, "") {
		if !yield(object.Key, err) || err != nil {
			return false
		}
	}
	return true
}
