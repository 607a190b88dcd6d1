package checkpointing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

func savedFolder(t *testing.T, b bucket.Bucket, key string, files map[string]string) Ref {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	result, err := Open(b).Save(t.Context(), dir, SaveOptions{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return result.Ref
}

// A copy is the same manifest under another key, and lives without its source.
func TestCopyManifest(t *testing.T) {
	b, err := bucket.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	from := savedFolder(t, b, "runs/a/output", map[string]string{"x": "1", "y/z": "2"})
	for range 2 { // it may be repeated
		to, err := CopyManifest(t.Context(), b, from, "cache/k/output")
		if err != nil || to.Digest != from.Digest || to.Content != from.Content || to.Key != "cache/k/output" || to.Files != 2 {
			t.Fatalf("the copy is %+v (%v), the source %+v", to, err, from)
		}
	}
	other := savedFolder(t, b, "runs/b/output", map[string]string{"x": "2"})
	if _, err := CopyManifest(t.Context(), b, other, "cache/k/output"); !errors.Is(err, &Error{Code: CodeConflict}) {
		t.Errorf("another one over it: %v", err)
	}
	wrong := from
	wrong.Digest = other.Digest
	if _, err := CopyManifest(t.Context(), b, wrong, "cache/w/output"); !errors.Is(err, &Error{Code: CodeCorrupt}) {
		t.Errorf("with another digest: %v", err)
	}
	if err := b.Delete(t.Context(), from.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := CopyManifest(t.Context(), b, from, "cache/g/output"); !errors.Is(err, &Error{Code: CodeMissing}) {
		t.Errorf("of one that is gone: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if err := Open(b).Restore(t.Context(), Ref{Key: "cache/k/output", Digest: from.Digest}, dir, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "y", "z")); err != nil || string(data) != "2" {
		t.Errorf("restored %q (%v)", data, err)
	}
}

// vanishing loses the source as soon as a copy of it is written.
type vanishing struct {
	bucket.Bucket
	source string
}

func (v vanishing) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	object, err := v.Bucket.Put(ctx, key, body, cond)
	if err == nil && strings.HasPrefix(key, "cache/") {
		err = v.Delete(ctx, v.source)
	}
	return object, err
}

// A source that goes while it is copied may have been the only root of its
// chunks: no copy stays.
func TestCopyOfWhatVanishes(t *testing.T) {
	b, err := bucket.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	from := savedFolder(t, b, "runs/a/output", map[string]string{"x": "1"})
	_, err = CopyManifest(t.Context(), vanishing{b, from.Key}, from, "cache/k/output")
	if !errors.Is(err, &Error{Code: CodeMissing}) {
		t.Errorf("the error is %v", err)
	}
	if _, _, err := b.Get(t.Context(), "cache/k/output", 0, -1); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("a copy stayed: %v", err)
	}
}

// ContentOf is the digest of the files that are asked for, wherever they lie.
func TestContentOf(t *testing.T) {
	b, err := bucket.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	large := string(bytes.Repeat([]byte("spotrelay"), 1<<20))
	first := savedFolder(t, b, "a", map[string]string{"data/x": large, "data/y": "2", "notes": "n"})
	second := savedFolder(t, b, "b", map[string]string{"data/x": large, "data/y": "2", "notes": "other"})
	third := savedFolder(t, b, "c", map[string]string{"data/x": large, "data/y": "3", "notes": "n"})
	data := func(path string) bool { return strings.HasPrefix(path, "data/") }
	digest := func(ref Ref, takes func(string) bool, want int) string {
		t.Helper()
		digest, files, err := ContentOf(t.Context(), b, ref, takes)
		if err != nil || files != want {
			t.Fatalf("%d files, %v", files, err)
		}
		return digest
	}
	if digest(first, data, 2) != digest(second, data, 2) {
		t.Error("a file that was not asked for changed the digest")
	}
	if digest(first, data, 2) == digest(third, data, 2) {
		t.Error("a byte of a file that was asked for did not")
	}
	if all := func(string) bool { return true }; digest(first, all, 3) == digest(second, all, 3) {
		t.Error("a byte changed and the digest of all did not")
	}
}

// A copy of a checkpoint may be another one of its series: it holds the same,
// and is what its key says.
func TestCopyCheckpoint(t *testing.T) {
	b, err := bucket.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	id := ID{Attempt: 3, Sequence: 17}
	saved, err := Open(b).Save(t.Context(), dir, SaveOptions{Key: "runs/a/c/" + ManifestName(id), ID: id})
	if err != nil {
		t.Fatal(err)
	}
	to := ID{Sequence: 17}
	var first Ref
	for range 2 { // it may be repeated
		ref, err := CopyCheckpoint(t.Context(), b, saved.Ref, "runs/b/c/"+ManifestName(to), to)
		if err != nil || ref.ID != to || ref.Content != saved.Ref.Content || ref.Digest == saved.Ref.Digest || first.Digest != "" && ref != first {
			t.Fatalf("the copy is %+v (%v), the source %+v", ref, err, saved.Ref)
		}
		first = ref
	}
	newest, damaged, err := Newest(t.Context(), Open(b), "runs/b/c/")
	if err != nil || len(damaged) > 0 || newest != first {
		t.Errorf("the newest is %+v (%v, damaged %v), not %+v", newest, err, damaged, first)
	}
	if _, err := CopyCheckpoint(t.Context(), b, saved.Ref, "runs/b/c/"+ManifestName(id), to); !errors.Is(err, &Error{Code: CodeInvalid}) {
		t.Errorf("under a key that says otherwise: %v", err)
	}
	if _, err := CopyManifest(t.Context(), b, saved.Ref, "runs/c/c/"+ManifestName(to)); err != nil {
		t.Fatal(err)
	} else if _, _, err := Newest(t.Context(), Open(b), "runs/c/c/"); !errors.Is(err, &Error{Code: CodeCorrupt}) {
		t.Errorf("a plain copy under another name is taken: %v", err)
	}
}
