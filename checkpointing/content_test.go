package checkpointing

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// The content's digest tells whether a task has moved on: it is that of names
// and bytes, whoever saved them and when.
func TestContent(t *testing.T) {
	b, err := bucket.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	dir := t.TempDir()
	attempt := 0
	save := func() Ref {
		t.Helper()
		attempt++
		id := ID{Attempt: attempt, Sequence: 1}
		result, err := Open(b).Save(t.Context(), dir, SaveOptions{Key: "c/" + ManifestName(id), ID: id})
		if err != nil {
			t.Fatal(err)
		}
		seen, _, err := Open(b).Inspect(t.Context(), Ref{Key: result.Ref.Key})
		if err != nil || seen.Content != result.Ref.Content {
			t.Errorf("saved as %q, inspected as %q, %v", result.Ref.Content, seen.Content, err)
		}
		return result.Ref
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if content := save().Content; content != "" {
		t.Errorf("an empty directory has content %q", content)
	}
	write("small", "weights")
	write("large", string(make([]byte, 9<<20))+"end")
	first := save()
	write("small", "weights")
	if err := os.Chtimes(filepath.Join(dir, "large"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	second := save()
	if first.Content != second.Content || first.Content == "" || first.Digest == second.Digest {
		t.Errorf("the same files gave %+v and %+v", first, second)
	}
	seen := map[string]string{first.Content: "the first"}
	for _, change := range []struct {
		name string
		make func() error
	}{
		{"a byte", func() error { write("small", "weighty"); return nil }},
		{"a byte of a large file", func() error { write("large", string(make([]byte, 9<<20))+"eNd"); return nil }},
		{"a name", func() error { return os.Rename(filepath.Join(dir, "small"), filepath.Join(dir, "little")) }},
		{"an empty file", func() error { write("empty", ""); return nil }},
		{"what may be executed", func() error { return os.Chmod(filepath.Join(dir, "empty"), 0o700) }},
		{"a link", func() error { return os.Symlink("little", filepath.Join(dir, "link")) }},
	} {
		if err := change.make(); err != nil {
			t.Fatal(err)
		}
		content := save().Content
		if before, ok := seen[content]; ok {
			t.Errorf("%s changed and the content is that of %s", change.name, before)
		}
		seen[content] = change.name
	}
}
