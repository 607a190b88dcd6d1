package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
	"github.com/spotrelay/spotrelay/runner/job"
)

var cacheTestParts = []job.CachePart{{Name: "task", Value: "features"}, {Name: "index", Value: "3"}, {Name: "command", Value: `["x"]`}}

// kept is an entry of a run's output with that text.
func kept(t *testing.T, b bucket.Bucket, run, text string) CacheEntry {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	id := job.AttemptID{Task: "features", Index: 3, Attempt: 1}
	saved, err := checkpointing.Open(b).Save(t.Context(), dir, checkpointing.SaveOptions{Key: OutputKey(run, id), ID: checkpointing.ID{Attempt: 1, Sequence: 1}})
	if err != nil {
		t.Fatal(err)
	}
	key := job.CacheKey(cacheTestParts)
	return CacheEntry{Key: key, Parts: cacheTestParts, Job: "j", Output: ManifestRef(saved.Ref), Result: map[string]string{"rows": "3"},
		From: job.CachedFrom{Key: key, Run: run, Task: "features", Index: 3, Attempt: 1}}
}

func keys(t *testing.T, b bucket.Bucket, prefix string) (keys []string) {
	t.Helper()
	for object, err := range b.List(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, object.Key)
	}
	return keys
}

func content(t *testing.T, b bucket.Bucket, m *job.Manifest) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "to")
	if err := checkpointing.Open(b).Restore(t.Context(), checkpointing.Ref{Key: m.Key, Digest: m.Digest}, to, checkpointing.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(to, "x"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// An entry outlives the run that it is of, and a run that used it outlives the
// entry, chunks and all.
func TestCacheEntryIsItsOwn(t *testing.T) {
	b := memory.New("cache")
	entry := kept(t, b, "run-1", "first")
	for range 2 { // it may be repeated
		if err := KeepResult(t.Context(), b, entry, false); err != nil {
			t.Fatal(err)
		}
	}
	collect := func() {
		t.Helper()
		roots := checkpointing.CollectOptions{Roots: func(ctx context.Context) iter.Seq2[string, error] { return Roots(ctx, b) }, Grace: 1}
		if _, err := checkpointing.Open(b).Collect(t.Context(), roots); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range keys(t, b, "runs/run-1/") {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	collect()
	found, err := ReadCacheEntry(t.Context(), b, entry.Key)
	if err != nil || found.From != entry.From || found.Result["rows"] != "3" {
		t.Fatalf("found %+v (%v)", found, err)
	}
	linked, err := LinkCached(t.Context(), b, found, "run-2", "features", 3)
	if err != nil || linked.Key != "runs/run-2/outputs/features/3/0" || linked.Content != entry.Output.Content {
		t.Fatalf("linked %+v (%v)", linked, err)
	}
	if err := RemoveCacheEntry(t.Context(), b, entry.Key); err != nil {
		t.Fatal(err)
	}
	if left := keys(t, b, CachePrefix); len(left) > 0 {
		t.Errorf("left of the entry: %v", left)
	}
	collect()
	if got := content(t, b, linked); got != "first" {
		t.Errorf("the run has %q", got)
	}
}

// Of two results the first stays, unless it shall be overwritten or is of no
// use; nothing is left of the other.
func TestKeepResultOverAnother(t *testing.T) {
	for name, test := range map[string]struct {
		damage    bool
		overwrite bool
		want      string
	}{"stays": {want: "first"}, "overwritten": {overwrite: true, want: "second"}, "damaged": {damage: true, want: "second"}} {
		t.Run(name, func(t *testing.T) {
			b := memory.New("cache")
			first, second := kept(t, b, "run-1", "first"), kept(t, b, "run-2", "second")
			if err := KeepResult(t.Context(), b, first, false); err != nil {
				t.Fatal(err)
			}
			if test.damage {
				put(t, b, CacheEntryKey(first.Key), "{}")
			}
			if err := KeepResult(t.Context(), b, second, test.overwrite); err != nil {
				t.Fatal(err)
			}
			found, err := ReadCacheEntry(t.Context(), b, first.Key)
			if err != nil || content(t, b, found.Output) != test.want {
				t.Fatalf("found %+v (%v)", found, err)
			}
			if got := keys(t, b, CachePrefix); len(got) != 2 && !test.damage {
				t.Errorf("the cache has %v", got)
			}
		})
	}
}

func put(t *testing.T, b bucket.Bucket, key, text string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, strings.NewReader(text), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
}

// fasterWriter has another's entry appear just before ours is written.
type fasterWriter struct {
	bucket.Bucket
	entry []byte
}

func (f *fasterWriter) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if strings.HasSuffix(key, cacheEntryName) && f.entry != nil {
		entry := f.entry
		f.entry = nil
		if _, err := f.Bucket.Put(ctx, key, bytes.NewReader(entry), bucket.Condition{}); err != nil {
			return bucket.Object{}, err
		}
	}
	return f.Bucket.Put(ctx, key, body, cond)
}

// Who loses the race for an entry takes its manifest back.
func TestKeepResultLosesARace(t *testing.T) {
	b := memory.New("cache")
	theirs, ours := kept(t, b, "run-1", "theirs"), kept(t, b, "run-2", "ours")
	if err := KeepResult(t.Context(), b, theirs, false); err != nil {
		t.Fatal(err)
	}
	data, _, err := readObject(t.Context(), b, CacheEntryKey(theirs.Key))
	if err != nil {
		t.Fatal(err)
	}
	before := keys(t, b, CachePrefix)
	if err := b.Delete(t.Context(), CacheEntryKey(theirs.Key)); err != nil {
		t.Fatal(err)
	}
	if err := KeepResult(t.Context(), &fasterWriter{b, data}, ours, false); err != nil {
		t.Fatal(err)
	}
	if after := keys(t, b, CachePrefix); !slices.Equal(before, after) {
		t.Errorf("the cache had %v and has %v", before, after)
	}
}

// What an entry says is held against its key.
func TestDamagedCacheEntries(t *testing.T) {
	b := memory.New("cache")
	entry := kept(t, b, "run-1", "first")
	own := *entry.Output
	own.Key = CacheOutputKey(entry.Key, own.Digest)
	entry.Output = &own
	good, err := EncodeCacheEntry(entry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeCacheEntry(entry.Key, good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"cut":             {string(good[len(good)/2:]), ""},
		"other parts":     {`\"x\"`, `\"y\"`},
		"other key":       {entry.Key, strings.Replace(entry.Key, "3-", "4-", 1)},
		"other output":    {own.Key, "runs/secret/outputs/x/0/1"},
		"output's digest": {own.Digest + `"`, "00" + own.Digest[2:] + `"`},
		"no version":      {`"version":1`, `"version":0`},
	} {
		data := strings.ReplaceAll(string(good), change[0], change[1])
		if data == string(good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := DecodeCacheEntry(entry.Key, []byte(data)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := DecodeCacheEntry(entry.Key, bytes.Replace(good, []byte(`"version":1`), []byte(`"version":9`), 1)); !errors.Is(err, ErrVersion) {
		t.Errorf("of a later release: %v", err)
	}
}

// One of those who claim a key has it, until it gives it up or somebody who saw
// it takes it over.
func TestCacheClaims(t *testing.T) {
	b, key := memory.New("cache"), job.CacheKey(cacheTestParts)
	one, two := job.CacheClaim{Run: "run-1", Task: "features", Index: 3}, job.CacheClaim{Run: "run-2", Task: "features", Index: 3}
	if err := TakeCacheClaim(t.Context(), b, key, one, ""); err != nil {
		t.Fatal(err)
	}
	if err := TakeCacheClaim(t.Context(), b, key, one, ""); err != nil {
		t.Errorf("its own once more: %v", err)
	}
	if err := TakeCacheClaim(t.Context(), b, key, two, ""); !errors.Is(err, ErrLost) {
		t.Errorf("another's: %v", err)
	}
	if err := GiveUpCacheClaim(t.Context(), b, key, two); err != nil {
		t.Fatal(err)
	}
	found, object, err := ReadCacheClaim(t.Context(), b, key)
	if err != nil || found != one {
		t.Fatalf("found %+v (%v)", found, err)
	}
	if err := TakeCacheClaim(t.Context(), b, key, two, object.Version); err != nil {
		t.Fatal(err)
	}
	if err := TakeCacheClaim(t.Context(), b, key, one, object.Version); !errors.Is(err, ErrLost) {
		t.Errorf("over a version that is gone: %v", err)
	}
	if err := GiveUpCacheClaim(t.Context(), b, key, two); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadCacheClaim(t.Context(), b, key); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("given up: %v", err)
	}
	if err := GiveUpCacheClaim(t.Context(), b, key, two); err != nil {
		t.Errorf("once more: %v", err)
	}
}

func FuzzDecodeCacheEntry(f *testing.F) {
	key := job.CacheKey(cacheTestParts)
	data, _ := EncodeCacheEntry(CacheEntry{Key: key, Parts: cacheTestParts, Output: &job.Manifest{Key: CacheOutputKey(key, "abcdef"), Digest: "abcdef"}})
	f.Add(key, data)
	f.Add(key, compress(data))
	f.Add("a/0-", []byte(`{"version":1}`))
	f.Add(key, golden(f, "cache-entry"))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		entry, err := DecodeCacheEntry(key, data)
		if err != nil {
			if !told(err) {
				t.Fatalf("%v", err)
			}
			return
		}
		if entry.Key != key || entry.Output != nil && !strings.HasPrefix(entry.Output.Key, CachePrefix+key+"/") {
			t.Fatalf("%q took %+v", key, entry)
		}
		again, err := EncodeCacheEntry(entry)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeCacheEntry(key, again); err != nil || !sameJSON(t, entry, back) {
			t.Fatalf("%+v came back as %+v (%v)", entry, back, err)
		}
	})
}

func FuzzDecodeCacheClaim(f *testing.F) { fuzzDocument[claimDocument](f, golden(f, "cache-claim")) }
