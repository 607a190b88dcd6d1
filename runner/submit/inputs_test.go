package submit

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// age makes everything in a folder an hour old.
func age(t *testing.T, dir string) {
	t.Helper()
	then := time.Now().Add(-time.Hour)
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, then, then))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// withInput is options with one input, and a list of how often it was read.
func withInput(t *testing.T, b bucket.Bucket, address string) (Options, *[]string) {
	t.Helper()
	opts := options(t, b, t.TempDir())
	opts.Spec.Inputs = []job.SourceInput{{Name: "data", Source: "as written"}}
	opts.Inputs = []Input{{Name: "data", Address: address}}
	var told []string
	last := checkpointing.StageCommitted
	opts.InputProgress = func(p InputProgress) {
		switch {
		case p.Unchanged:
			told = append(told, "unchanged")
		case p.Stage == checkpointing.StageCommitted && last != p.Stage:
			told = append(told, "imported")
		}
		last = p.Stage
	}
	return opts, &told
}

func filesOf(t *testing.T, b bucket.Bucket, manifest job.Manifest) string {
	t.Helper()
	_, entries, err := checkpointing.Open(b).Inspect(t.Context(), checkpointing.Ref{Key: manifest.Key, Digest: manifest.Digest})
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, entry := range entries {
		if entry.Mode.IsRegular() {
			files = append(files, entry.Path)
		}
	}
	slices.Sort(files)
	return strings.Join(files, " ")
}

func submitted(t *testing.T, opts Options) job.SourceInput {
	t.Helper()
	run, err := Submit(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := store.ReadSpec(t.Context(), opts.Bucket, run)
	if err != nil {
		t.Fatal(err)
	}
	return spec.Inputs[0]
}

// An input is imported once as long as its source stays as it is, each run has
// a manifest of its own, and the content's digest tells what it was.
func TestInputFromFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.txt": "a", "sub/b.txt": "b", ".git/HEAD": "x"})
	age(t, dir)
	b := open(t, t.TempDir())
	opts, told := withInput(t, b, dir)
	first := submitted(t, opts)
	if got := filesOf(t, b, first.Manifest); got != "a.txt sub/b.txt" || first.Source != "as written" || first.Manifest.Content == "" {
		t.Errorf("imported %s: %+v", got, first)
	}
	second := submitted(t, opts)
	if second.Manifest.Key == first.Manifest.Key || second.Manifest.Digest != first.Manifest.Digest {
		t.Errorf("again: %+v, before %+v", second, first)
	}
	write(t, dir, map[string]string{"a.txt": "c"})
	third := submitted(t, opts)
	if third.Manifest.Content == first.Manifest.Content {
		t.Error("changed files have the same content")
	}
	write(t, dir, map[string]string{"a.txt": "a"})
	fourth := submitted(t, opts) // too young to be trusted by its time
	if fourth.Manifest.Content != first.Manifest.Content {
		t.Error("the same files have another content")
	}
	if got := strings.Join(*told, " "); got != "imported unchanged imported imported" {
		t.Errorf("told: %s", got)
	}
	var roots []string
	for key, err := range store.Roots(t.Context(), b) {
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, key)
	}
	if !slices.Contains(roots, first.Manifest.Key) || !slices.Contains(roots, second.Manifest.Key) {
		t.Errorf("the roots %v lack the inputs", roots)
	}
}

// What a run that was removed had imported is imported anew.
func TestInputOfARemovedRun(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.txt": "a"})
	age(t, dir)
	b := open(t, t.TempDir())
	opts, told := withInput(t, b, filepath.Join(dir, "a.txt"))
	first := submitted(t, opts)
	if err := b.Delete(t.Context(), first.Manifest.Key); err != nil {
		t.Fatal(err)
	}
	if got := filesOf(t, b, submitted(t, opts).Manifest); got != "a.txt" {
		t.Errorf("imported %s", got)
	}
	if got := strings.Join(*told, " "); got != "imported imported" {
		t.Errorf("told: %s", got)
	}
}

// The objects of a store come as files, and their versions tell whether they
// have changed.
func TestInputFromStore(t *testing.T) {
	from := open(t, t.TempDir())
	put := func(key, text string) {
		if _, err := from.Put(t.Context(), key, strings.NewReader(text), bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	put("a.csv", "1,2")
	put("parts/b.csv", "3,4")
	b := open(t, t.TempDir())
	address := from.Describe().URL
	opts, told := withInput(t, b, address)
	first := submitted(t, opts)
	if got := filesOf(t, b, first.Manifest); got != "a.csv parts/b.csv" {
		t.Errorf("imported %s", got)
	}
	submitted(t, opts)
	put("a.csv", "1,2,3")
	if third := submitted(t, opts); third.Manifest.Content == first.Manifest.Content {
		t.Error("a changed object has the same content")
	}
	if got := strings.Join(*told, " "); got != "imported unchanged imported" {
		t.Errorf("told: %s", got)
	}
	one, err := listStore(t.Context(), address, "a.csv")
	if err != nil || len(one.objects) != 1 || one.close() != nil {
		t.Errorf("one object: %+v %v", one, err)
	}
	if parent, name := splitObject("s3://acme/x/a.csv"); parent != "s3://acme/x" || name != "a.csv" {
		t.Errorf("%s %s", parent, name)
	}
	if _, name := splitObject("s3://acme"); name != "" {
		t.Errorf("a bucket is no object: %s", name)
	}
}

func TestInputThatIsNotThere(t *testing.T) {
	b := open(t, t.TempDir())
	opts, _ := withInput(t, b, filepath.Join(t.TempDir(), "nowhere"))
	_, err := Submit(t.Context(), opts)
	var fault *Error
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "the input data") || fault.Hint == "" {
		t.Errorf("got %v", err)
	}
	if runs, _ := store.ListRuns(t.Context(), b); len(runs) != 0 {
		t.Errorf("runs %v", runs)
	}
}
