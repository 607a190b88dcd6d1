package checkpointing

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// counted counts the bytes that are read from a bucket.
type counted struct {
	bucket.Bucket
	bytes atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	body, o, err := c.Bucket.Get(ctx, key, offset, length)
	if err == nil && strings.HasPrefix(key, dataPrefix) {
		if length < 0 {
			length = o.Size
		}
		c.bytes.Add(min(length, o.Size-offset))
	}
	return body, o, err
}

// TestOnly restores parts.
func TestOnly(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	content := tree{
		"ckpt": dir(), "ckpt/a.pt": file("a"), "ckpt/b.pt": file("b"), "ckpt/deep": dir(), "ckpt/deep/c.pt": file("c"),
		"ckpt/note": file("n"), "logs": dir(), "logs/1": file("1"), "latest": link("ckpt/a.pt"), "top.pt": file(noise(1, 2<<20)),
	}
	mustWrite(t, from, content)
	b := openBucket(t)
	ref := mustSave(t, Open(b), from, ID{1, 1}, nil).Ref
	for _, test := range []struct {
		only []string
		want string
	}{
		{[]string{"ckpt/*.pt"}, "ckpt ckpt/a.pt ckpt/b.pt"},
		{[]string{"**/*.pt"}, "ckpt ckpt/a.pt ckpt/b.pt ckpt/deep ckpt/deep/c.pt top.pt"},
		{[]string{"ckpt"}, "ckpt ckpt/a.pt ckpt/b.pt ckpt/deep ckpt/deep/c.pt ckpt/note"},
		{[]string{"ckpt/deep/"}, "ckpt ckpt/deep ckpt/deep/c.pt"},
		{[]string{"latest", "logs/**"}, "latest logs logs/1"},
		{[]string{"ckpt/{a,b}.pt", "top.pt"}, "ckpt ckpt/a.pt ckpt/b.pt top.pt"},
	} {
		want := tree{}
		for p := range strings.FieldsSeq(test.want) {
			want[p] = content[p]
		}
		to := filepath.Join(t.TempDir(), "to")
		if err := Open(b).Restore(t.Context(), ref, to, RestoreOptions{Only: test.only}); err != nil {
			t.Errorf("%q: %v", test.only, err)
			continue
		}
		mustHold(t, to, want)
	}
	mustSave(t, Open(b), from, ID{1, 2}, nil)
	for _, pattern := range []string{"nothing*", "["} {
		to := filepath.Join(t.TempDir(), "to")
		mustWrite(t, to, tree{"old": file("precious")})
		if err := Open(b).Restore(t.Context(), ref, to, RestoreOptions{Only: []string{pattern}}); !errors.Is(err, &Error{Code: CodeInvalid}) {
			t.Errorf("%q: %v", pattern, err)
		}
		// It is not taken for damage, for which an older one would do.
		_, damaged, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{Only: []string{pattern}})
		if !errors.Is(err, &Error{Code: CodeInvalid}) || len(damaged) != 0 {
			t.Errorf("the newest with %q: %v, damaged: %v", pattern, err, damaged)
		}
		mustHold(t, to, tree{"old": file("precious")})
	}
}

// TestReuse: what is there and right is not fetched, whatever else is there.
func TestReuse(t *testing.T) {
	work := t.TempDir()
	from, to := filepath.Join(work, "from"), filepath.Join(work, "to")
	content := tree{
		"model": file(noise(1, 6<<20)), "same": file(noise(2, 1<<20)), "small": file(noise(3, 5000)), "touched": file(noise(4, 5000)),
		"mode": file(noise(5, 5000)), "linked": file(noise(6, 5000)), "holes": file("x" + strings.Repeat("\x00", 3<<20) + "y"),
		"gone": file(noise(8, 5000)), "dir": file(noise(9, 5000)), "shorter": file(noise(10, 3<<20)), "empty": file(""),
	}
	mustWrite(t, from, content)
	b := openBucket(t)
	ref := mustSave(t, Open(b), from, ID{1, 1}, nil).Ref
	for _, known := range []bool{false, true} {
		through := &counted{Bucket: b}
		e := Open(through)
		mustRestore(t, e, ref, to)
		rested(t)
		if !known {
			e = Open(through)
		}
		model := []byte(content["model"].Content)
		model[2<<20] ^= 1
		other := filepath.Join(work, "elsewhere")
		if err := errors.Join(
			os.WriteFile(filepath.Join(to, "model"), model, 0o644),
			os.Chtimes(filepath.Join(to, "touched"), someTime.Add(1), someTime),
			os.Chtimes(filepath.Join(to, "touched"), someTime.Add(1), someTime.Add(1)),
			os.Chmod(filepath.Join(to, "mode"), 0o600),
			os.Link(filepath.Join(to, "linked"), other),
			os.Remove(filepath.Join(to, "gone")),
			os.Remove(filepath.Join(to, "dir")), os.Mkdir(filepath.Join(to, "dir"), 0o755),
			os.Truncate(filepath.Join(to, "shorter"), 1<<20),
			os.WriteFile(filepath.Join(to, "more"), []byte("not of the checkpoint"), 0o644),
		); err != nil {
			t.Fatal(err)
		}
		before := through.bytes.Load()
		if err := e.Restore(t.Context(), ref, to, RestoreOptions{Reuse: true}); err != nil {
			t.Fatal(err)
		}
		mustHold(t, to, content)
		// A region of the model, what is gone, two regions, and what lies between.
		if fetched := through.bytes.Load() - before; fetched < 3<<20 || fetched > 5<<20 {
			t.Errorf("known %v: fetched %d bytes", known, fetched)
		}
		if data, err := os.ReadFile(other); err != nil || string(data) != content["linked"].Content {
			t.Errorf("the other name was changed: %v", err)
		}
		if err := os.WriteFile(filepath.Join(to, "linked"), []byte("new"), 0o644); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(other); err != nil || string(data) != content["linked"].Content {
			t.Errorf("the restored file is still one with the other name: %v", err)
		}
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReuseIsWholeOrNothing: a restore that fails leaves what was there, also
// where it had taken it over.
func TestReuseIsWholeOrNothing(t *testing.T) {
	work := t.TempDir()
	from, to := filepath.Join(work, "from"), filepath.Join(work, "to")
	content := tree{"a": file(noise(1, 5000)), "z": file(noise(2, 5000))}
	mustWrite(t, from, content)
	b := openBucket(t)
	ref := mustSave(t, Open(b), from, ID{1, 1}, nil).Ref
	there := maps.Clone(content)
	there["z"] = file("other")
	mustWrite(t, to, there)
	for key := range objects(t, b, dataPrefix) {
		overwrite(t, b, key, []byte("damaged"))
	}
	if err := Open(b).Restore(t.Context(), ref, to, RestoreOptions{Reuse: true}); !errors.Is(err, &Error{Code: CodeCorrupt}) {
		t.Fatalf("Restore: %v", err)
	}
	mustHold(t, to, there)
	if entries, err := os.ReadDir(work); err != nil || len(entries) != 2 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
