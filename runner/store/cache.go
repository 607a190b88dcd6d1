package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// CacheEntry is cache/<key>/entry.json: a result, and what it was made from.
// It is written after the manifest that it names, which is the cache's own
// copy, so an entry is whole or absent.
type CacheEntry struct {
	Version int    `json:"version"`
	Key     string `json:"key"`
	// Parts are what the key is made of, so that it can be told why another
	// key differs.
	Parts  []job.CachePart   `json:"parts"`
	Job    string            `json:"job"`
	From   job.CachedFrom    `json:"from"`
	Output *job.Manifest     `json:"output,omitempty"`
	Result map[string]string `json:"result,omitempty"`
	// Elapsed is how long it took to compute.
	Elapsed job.Duration `json:"elapsed,omitempty"`
	Created time.Time    `json:"created"` // for people
}

const cacheEntryName = "entry.json"

// cacheOutput is what the names of the cache's manifests begin with.
const cacheOutput = "output-"

// CacheEntryKey is the entry of a cache key.
func CacheEntryKey(key string) string { return CachePrefix + key + "/" + cacheEntryName }

// CacheOutputKey is the cache's own copy of an output's manifest. Its name has
// the manifest's digest, so that two writers never meet.
func CacheOutputKey(key, digest string) string {
	return CachePrefix + key + "/" + cacheOutput + digest[:min(32, len(digest))]
}

// isCacheManifest tells the manifests below CachePrefix from the entries.
func isCacheManifest(key string) bool { return strings.HasPrefix(path.Base(key), cacheOutput) }

// EncodeCacheEntry is an entry as it stands in the bucket.
func EncodeCacheEntry(entry CacheEntry) ([]byte, error) {
	entry.Version = job.SpecVersion
	data, err := encode(entry)
	if err == nil && len(data) >= compressFrom {
		data = compress(data)
	}
	return data, err
}

// DecodeCacheEntry reads the entry of a cache key, and holds it to that: its
// parts make this key, and its output is the cache's own. Errors: ErrVersion,
// ErrCorrupt.
func DecodeCacheEntry(key string, data []byte) (CacheEntry, error) {
	where := CacheEntryKey(key)
	plain, err := decompress(where, data)
	if err != nil {
		return CacheEntry{}, err
	}
	entry, err := decode[CacheEntry](where, plain)
	switch {
	case err != nil:
		return CacheEntry{}, err
	case entry.Key != key || !job.ValidCacheKey(key):
		return CacheEntry{}, corrupt(where, "it says that it is of key %q", entry.Key)
	case job.CacheKey(entry.Parts) != key:
		return CacheEntry{}, corrupt(where, "what it was made from does not make its key")
	case entry.Output != nil && entry.Output.Key != CacheOutputKey(key, entry.Output.Digest):
		return CacheEntry{}, corrupt(where, "its output is %q, which is not the cache's own", entry.Output.Key)
	}
	return entry, nil
}

// ReadCacheEntry reads the entry of a cache key. Errors: bucket.ErrNotFound,
// ErrVersion, ErrCorrupt. May be repeated.
func ReadCacheEntry(ctx context.Context, b bucket.Bucket, key string) (CacheEntry, error) {
	data, _, err := readObject(ctx, b, CacheEntryKey(key))
	if err != nil {
		return CacheEntry{}, err
	}
	return DecodeCacheEntry(key, data)
}

// LinkCached makes an entry's output that of an index of a run, which has a
// copy of the manifest of its own then, under attempt 0. Nil when the entry has
// none. Errors as of checkpointing.CopyManifest. May be repeated.
func LinkCached(ctx context.Context, b bucket.Bucket, entry CacheEntry, run, task string, index int) (*job.Manifest, error) {
	if entry.Output == nil {
		return nil, nil
	}
	key := OutputKey(run, job.AttemptID{Task: task, Index: index})
	from := checkpointing.Ref{Key: entry.Output.Key, Digest: entry.Output.Digest}
	ref, err := checkpointing.CopyManifest(ctx, b, from, key)
	if errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeConflict}) {
		// Of an entry that was there before, and was replaced since: nothing
		// refers to it yet.
		if err = b.Delete(ctx, key); err == nil {
			ref, err = checkpointing.CopyManifest(ctx, b, from, key)
		}
	}
	if err != nil {
		return nil, err
	}
	return ManifestRef(ref), nil
}

// KeepResult writes an entry, and first the cache's own copy of the manifest
// that entry.Output points at, in the run. An entry that is there already stays,
// unless it shall be overwritten or cannot be read. Errors as of
// checkpointing.CopyManifest. May be repeated.
func KeepResult(ctx context.Context, b bucket.Bucket, entry CacheEntry, overwrite bool) error {
	before, err := ReadCacheEntry(ctx, b, entry.Key)
	switch {
	case err == nil && (!overwrite || before.From == entry.From):
		return nil
	case errors.Is(err, ErrCorrupt):
		overwrite = true
	case errors.Is(err, ErrVersion):
		return err // a later release's
	case err != nil && !errors.Is(err, bucket.ErrNotFound):
		return err
	}
	if entry.Output != nil {
		from := checkpointing.Ref{Key: entry.Output.Key, Digest: entry.Output.Digest}
		ref, err := checkpointing.CopyManifest(ctx, b, from, CacheOutputKey(entry.Key, from.Digest))
		if err != nil {
			return err
		}
		entry.Output = ManifestRef(ref)
	}
	data, err := EncodeCacheEntry(entry)
	if err != nil {
		return err
	}
	cond := bucket.IfAbsent()
	if overwrite {
		cond = bucket.Condition{}
	}
	_, err = writeObject(ctx, b, CacheEntryKey(entry.Key), data, cond)
	switch {
	case errors.Is(err, bucket.ErrConflict):
		return giveWay(ctx, b, entry)
	case err != nil:
		return err
	case before.Output != nil && (entry.Output == nil || before.Output.Key != entry.Output.Key):
		return b.Delete(ctx, before.Output.Key)
	}
	return nil
}

// giveWay removes what was written for an entry that another was faster with.
func giveWay(ctx context.Context, b bucket.Bucket, entry CacheEntry) error {
	there, err := ReadCacheEntry(ctx, b, entry.Key)
	if err != nil {
		return err
	}
	if entry.Output == nil || there.Output != nil && there.Output.Key == entry.Output.Key {
		return nil
	}
	return b.Delete(ctx, entry.Output.Key)
}

// StoredCacheEntry is an entry in a listing.
type StoredCacheEntry struct {
	Key    string // of the cache
	Object bucket.Object
}

// ListCache yields the entries whose cache keys begin with a prefix, such as a
// task's name and a slash, without reading them. The sequence ends after its
// first error. May be repeated.
func ListCache(ctx context.Context, b bucket.Bucket, prefix string) iter.Seq2[StoredCacheEntry, error] {
	return func(yield func(StoredCacheEntry, error) bool) {
		for object, err := range b.List(ctx, CachePrefix+prefix, "") {
			if err != nil {
				yield(StoredCacheEntry{}, err)
				return
			}
			key, name := path.Split(strings.TrimPrefix(object.Key, CachePrefix))
			if name == cacheEntryName && !yield(StoredCacheEntry{strings.TrimSuffix(key, "/"), object}, nil) {
				return
			}
		}
	}
}

// RemoveCacheEntry removes an entry, whole or damaged, and then what it held.
// Runs that have used it keep their own copies. May be repeated.
func RemoveCacheEntry(ctx context.Context, b bucket.Bucket, key string) error {
	if !job.ValidCacheKey(key) {
		return &Error{Code: CodeCorrupt, Op: "remove", Key: CachePrefix + key, Err: fmt.Errorf("it is not a key of the cache")}
	}
	if err := b.Delete(ctx, CacheEntryKey(key)); err != nil {
		return err
	}
	for object, err := range b.List(ctx, CachePrefix+key+"/", "") {
		if err == nil {
			err = b.Delete(ctx, object.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Clock is the store's own time, by a small write: ages of objects are held
// against it and never against a clock of ours. May be repeated.
func Clock(ctx context.Context, b bucket.Bucket) (time.Time, error) {
	key := CacheClaimsPrefix + "clock-" + strings.ToLower(rand.Text())
	object, err := writeObject(ctx, b, key, []byte("a look at the clock\n"), bucket.IfAbsent())
	return object.Modified, errors.Join(err, b.Delete(ctx, key))
}
