// Package buckettest holds every kind of bucket to the promises of
// bucket.Bucket, and has wrappers that break them on purpose.
package buckettest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// Run is the conformance suite. newBucket gives an empty bucket; one that
// bucket.Open can open again by its URL is tested from several processes too,
// for which the caller's TestMain must call Main.
func Run(t *testing.T, newBucket func(t *testing.T) bucket.Bucket) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b bucket.Bucket)
	}{
		{"RoundTrip", testRoundTrip},
		{"Ranges", testRanges},
		{"Keys", testKeys},
		{"Conditions", testConditions},
		{"Versions", testVersions},
		{"List", testList},
		{"ListByteOrder", testListByteOrder},
		{"Delete", testDelete},
		{"Cancelled", testCancelled},
		{"Probe", testProbe},
		{"Identify", testIdentify},
		{"Sub", testSub},
		{"ConcurrentCreate", testConcurrentCreate},
		{"ConcurrentCount", testConcurrentCount},
		{"WholeOrAbsent", testWholeOrAbsent},
		{"DeleteAgainstPut", testDeleteAgainstPut},
		{"ListWhileChanging", testListWhileChanging},
		{"Processes", testProcesses},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBucket(t)
			test.run(t, b)
			if err := b.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// sameTime is how far apart the times may be that a Put and a Get tell of one
// write: some stores tell them in whole seconds, and after a Put that of the
// answer.
const sameTime = 30 * time.Second

func mustPut(t *testing.T, b bucket.Bucket, key, content string, cond bucket.Condition) bucket.Object {
	t.Helper()
	o, err := b.Put(t.Context(), key, strings.NewReader(content), cond)
	if err != nil {
		t.Fatalf("Put %s: %v", key, err)
	}
	if o.Key != key || o.Size != int64(len(content)) || o.Version == "" || o.Modified.IsZero() {
		t.Fatalf("Put %s returned %+v", key, o)
	}
	return o
}

func wantCode(t *testing.T, err error, want bucket.Code, what string) {
	t.Helper()
	var e *bucket.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Fatalf("%s: got error %v, want code %s", what, err, want)
	}
	if e.Op == "" {
		t.Fatalf("%s: the error has no operation: %#v", what, e)
	}
}

func get(t *testing.T, b bucket.Bucket, key string, offset, length int64) (string, bucket.Object) {
	t.Helper()
	body, o, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		t.Fatalf("Get %s: %v", key, err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("Get %s: %v", key, err)
	}
	return string(data), o
}

func list(t *testing.T, b bucket.Bucket, prefix, startAfter string) []string {
	t.Helper()
	var keys []string
	for o, err := range b.List(t.Context(), prefix, startAfter) {
		if err != nil {
			t.Fatalf("List %q after %q: %v", prefix, startAfter, err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func testRoundTrip(t *testing.T, b bucket.Bucket) {
	for _, content := range []string{"", "x", strings.Repeat("spot", 1<<18)} {
		put := mustPut(t, b, "runs/r1/object", content, bucket.Condition{})
		got, o := get(t, b, "runs/r1/object", 0, -1)
		if got != content {
			t.Fatalf("read %d bytes, wrote %d", len(got), len(content))
		}
		if o.Version != put.Version || o.Size != put.Size || o.Modified.Sub(put.Modified).Abs() > sameTime {
			t.Fatalf("Get says %+v, Put said %+v", o, put)
		}
	}
	_, _, err := b.Get(t.Context(), "runs/r1/nothing", 0, -1)
	wantCode(t, err, bucket.CodeNotFound, "Get of nothing")
	_, _, err = b.Get(t.Context(), "runs/r1", 0, -1)
	wantCode(t, err, bucket.CodeNotFound, "Get of a prefix")
	_, _, err = b.Get(t.Context(), "runs/r1/object/below", 0, -1)
	wantCode(t, err, bucket.CodeNotFound, "Get below an object")
}

func testRanges(t *testing.T, b bucket.Bucket) {
	mustPut(t, b, "digits", "0123456789", bucket.Condition{})
	for _, test := range []struct {
		offset, length int64
		want           string
	}{
		{0, -1, "0123456789"}, {3, -1, "3456789"}, {3, 4, "3456"}, {8, 100, "89"}, {0, 0, ""}, {10, -1, ""}, {99, 5, ""},
	} {
		got, o := get(t, b, "digits", test.offset, test.length)
		if got != test.want || o.Size != 10 {
			t.Errorf("Get(%d, %d) = %q of %d bytes, want %q of 10", test.offset, test.length, got, o.Size, test.want)
		}
	}
	_, _, err := b.Get(t.Context(), "digits", -1, -1)
	wantCode(t, err, bucket.CodeInvalid, "Get of a negative offset")
}

func testKeys(t *testing.T, b bucket.Bucket) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/..", "nul\x00", "line\n", `a\b`,
		"not\xffutf8", strings.Repeat("k/", 512) + "k",
	} {
		_, err := b.Put(t.Context(), key, strings.NewReader("x"), bucket.Condition{})
		wantCode(t, err, bucket.CodeInvalid, "Put of key "+key)
		_, _, err = b.Get(t.Context(), key, 0, -1)
		wantCode(t, err, bucket.CodeInvalid, "Get of key "+key)
		wantCode(t, b.Delete(t.Context(), key), bucket.CodeInvalid, "Delete of key "+key)
	}
	for _, key := range []string{"a b", "ä/ö", "a..b", "...", "-x", "a=1,b", "~", "%2e%2e"} {
		mustPut(t, b, key, key, bucket.IfAbsent())
		if got, _ := get(t, b, key, 0, -1); got != key {
			t.Errorf("key %q has %q", key, got)
		}
	}
}

func testConditions(t *testing.T, b bucket.Bucket) {
	put := func(content string, cond bucket.Condition) (bucket.Object, error) {
		return b.Put(t.Context(), "lease", strings.NewReader(content), cond)
	}
	_, err := put("early", bucket.IfVersion("none"))
	wantCode(t, err, bucket.CodeConflict, "IfVersion of nothing")
	first := mustPut(t, b, "lease", "first", bucket.IfAbsent())
	_, err = put("again", bucket.IfAbsent())
	wantCode(t, err, bucket.CodeConflict, "IfAbsent of an object")
	second := mustPut(t, b, "lease", "second", bucket.IfVersion(first.Version))
	_, err = put("stale", bucket.IfVersion(first.Version))
	wantCode(t, err, bucket.CodeConflict, "IfVersion of a stale version")
	if got, o := get(t, b, "lease", 0, -1); got != "second" || o.Version != second.Version {
		t.Fatalf("after a refused write: %q, version %s; want second, %s", got, o.Version, second.Version)
	}
	mustPut(t, b, "lease", "third", bucket.Condition{})
	_, err = put("stale", bucket.IfVersion(second.Version))
	wantCode(t, err, bucket.CodeConflict, "IfVersion after an unconditional write")
	_, err = put("both", bucket.Condition{Absent: true, Version: "v"})
	wantCode(t, err, bucket.CodeInvalid, "two conditions")
}

// testVersions writes contents of one size as fast as it goes, so that many
// share a tick of the store's clock, in every way that an object can come
// about; no version may return. The contents differ, since S3 makes its
// versions from them.
func testVersions(t *testing.T, b bucket.Bucket) {
	seen := map[string]int{}
	for i := range 400 {
		var o bucket.Object
		content := fmt.Sprintf("same size, number %06d", i)
		switch i % 4 {
		case 0, 1:
			o = mustPut(t, b, "docs/one", content, bucket.Condition{})
		case 2:
			if err := b.Delete(t.Context(), "docs/one"); err != nil {
				t.Fatal(err)
			}
			o = mustPut(t, b, "docs/one", content, bucket.IfAbsent())
		case 3:
			if err := b.Delete(t.Context(), "docs/one"); err != nil {
				t.Fatal(err)
			}
			o = mustPut(t, b, "docs/one", content, bucket.Condition{})
		}
		if before, again := seen[o.Version]; again {
			t.Fatalf("write %d has the version of write %d: %s", i, before, o.Version)
		}
		seen[o.Version] = i
		if _, read := get(t, b, "docs/one", 0, -1); read.Version != o.Version {
			t.Fatalf("write %d: Get says version %s, Put said %s", i, read.Version, o.Version)
		}
		for listed, err := range b.List(t.Context(), "docs/", "") {
			if err != nil || listed.Version != o.Version {
				t.Fatalf("write %d: List says version %s (%v), Put said %s", i, listed.Version, err, o.Version)
			}
		}
	}
}

func testList(t *testing.T, b bucket.Bucket) {
	keys := []string{"a/b/1", "a/b/2", "a/b/3", "a/bc", "a/c/1", "b"}
	for _, key := range keys {
		mustPut(t, b, key, key, bucket.Condition{})
	}
	for _, test := range []struct {
		prefix, after string
		want          []string
	}{
		{"", "", keys},
		{"a/", "", keys[:5]},
		{"a/b", "", keys[:4]},
		{"a/b/", "", keys[:3]},
		{"a/b/2", "", keys[1:2]},
		{"a/b/", "a/b/1", keys[1:3]},
		{"a/b/", "a/b/15", keys[1:3]},
		{"a/", "a/b", keys[:5]},
		{"a/", "a/b/", keys[:5]},
		{"a/", "a/b/9", keys[3:5]},
		{"", "a/c/1", keys[5:]},
		{"a/", "b", nil},
		{"b", "a", keys[5:]},
		{"nothing/", "", nil},
		{"b/", "", nil},
		{"a/b/1/", "", nil},
	} {
		if got := list(t, b, test.prefix, test.after); !slices.Equal(got, test.want) {
			t.Errorf("List(%q, %q) = %q, want %q", test.prefix, test.after, got, test.want)
		}
	}
	for range b.List(t.Context(), "", "") {
		break // a caller may stop
	}
}

func testListByteOrder(t *testing.T, b bucket.Bucket) {
	keys := []string{"a-b/x", "a/x", "a/x-y", "a/x/y", "a/x0", "a0", "a.b", "a!", "A/z", "é/x", "z", "a/.x", "tasks/train[1]/0", "tasks/train/0"}
	kept := keys[:0]
	for _, key := range keys {
		if key != "a/x/y" { // an object and a prefix at once, which a folder cannot hold
			mustPut(t, b, key, "", bucket.Condition{})
			kept = append(kept, key)
		}
	}
	slices.Sort(kept)
	if got := list(t, b, "", ""); !slices.Equal(got, kept) {
		t.Fatalf("List = %q, want %q", got, kept)
	}
	for i, key := range kept {
		if got := list(t, b, "", key); !slices.Equal(got, kept[i+1:]) {
			t.Errorf("List after %q = %q, want %q", key, got, kept[i+1:])
		}
	}
}

func testDelete(t *testing.T, b bucket.Bucket) {
	mustPut(t, b, "deep/er/est", "x", bucket.Condition{})
	mustPut(t, b, "deep/other", "x", bucket.Condition{})
	for range 2 { // the second time it is not there
		if err := b.Delete(t.Context(), "deep/er/est"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(t.Context(), "deep"); err != nil {
		t.Fatalf("Delete of a prefix: %v", err)
	}
	if got := list(t, b, "", ""); !slices.Equal(got, []string{"deep/other"}) {
		t.Fatalf("left: %q", got)
	}
	if err := b.Delete(t.Context(), "deep/other"); err != nil {
		t.Fatal(err)
	}
	mustPut(t, b, "deep", "now an object", bucket.IfAbsent())
}
