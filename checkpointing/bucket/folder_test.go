package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newFolder(t *testing.T) (*folder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bucket")
	f, err := openFolder(dir, folderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, dir
}

func put(t *testing.T, b Bucket, key, content string, cond Condition) Object {
	t.Helper()
	o, err := b.Put(t.Context(), key, strings.NewReader(content), cond)
	if err != nil {
		t.Fatalf("Put %s: %v", key, err)
	}
	return o
}

func TestObjectsArePlainFiles(t *testing.T) {
	f, dir := newFolder(t)
	put(t, f, "runs/r1/spec.json", "{}", IfAbsent())
	data, err := os.ReadFile(filepath.Join(dir, "runs", "r1", "spec.json"))
	if err != nil || string(data) != "{}" {
		t.Fatalf("the file reads %q, %v", data, err)
	}
	if err := f.Delete(t.Context(), "runs/r1/spec.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "runs")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty directories stay: %v", err)
	}
}

func TestOwnNamesAreRefused(t *testing.T) {
	f, _ := newFolder(t)
	for _, key := range []string{".tmp/x", ".locks/00", ".tmp", ".TMP/x"} {
		if _, err := f.Put(t.Context(), key, strings.NewReader(""), Condition{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("Put %s: %v", key, err)
		}
	}
	put(t, f, "a", "x", Condition{})
	put(t, f, "a", "y", Condition{}) // makes a lock
	for o, err := range f.List(t.Context(), ".", "") {
		t.Errorf("List shows %v, %v", o, err)
	}
}

func TestPlantedLinksDoNotLeadOut(t *testing.T) {
	f, dir := newFolder(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"dir": outside, "file": secret, "up": "../.."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"dir/secret", "file", "up/x/secret"} {
		_, _, err := f.Get(t.Context(), key, 0, -1)
		if !errors.Is(err, ErrDenied) && !errors.Is(err, ErrNotFound) {
			t.Errorf("Get %s: %v", key, err)
		}
	}
	for _, key := range []string{"dir/secret", "dir/new", "up/new"} {
		for _, cond := range []Condition{{}, IfAbsent()} {
			if _, err := f.Put(t.Context(), key, strings.NewReader("overwritten"), cond); !errors.Is(err, ErrDenied) {
				t.Errorf("Put %s: %v", key, err)
			}
		}
		if err := f.Delete(t.Context(), key); !errors.Is(err, ErrDenied) {
			t.Errorf("Delete %s: %v", key, err)
		}
	}
	for o, err := range f.List(t.Context(), "", "") {
		t.Errorf("List shows %v, %v", o, err)
	}
	put(t, f, "file", "replaced", Condition{}) // replaces the link, not what it leads to
	if data, err := os.ReadFile(secret); err != nil || string(data) != "secret" {
		t.Errorf("the file outside reads %q, %v", data, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside there is now %v, %v", entries, err)
	}
}

func TestPlantedStagingDirIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, ".tmp")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil {
		t.Error("a folder whose .tmp leads elsewhere was opened")
	}
}

func TestAbandonedFilesAreSwept(t *testing.T) {
	f, dir := newFolder(t)
	old, young := filepath.Join(dir, ".tmp", "old"), filepath.Join(dir, ".tmp", "young")
	for _, name := range []string{old, young} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now().Add(-61 * time.Minute)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), f.Describe().URL)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	entries, err := os.ReadDir(filepath.Join(dir, ".tmp"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "young" {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// TestWithoutHardLinks runs creation on a file system that refuses them.
func TestWithoutHardLinks(t *testing.T) {
	f, _ := newFolder(t)
	f.link = func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM} }
	results := make(chan error)
	for i := range 50 {
		go func() {
			_, err := f.Put(t.Context(), "a/b", strings.NewReader(fmt.Sprint(i)), IfAbsent())
			results <- err
		}()
	}
	won := 0
	for range 50 {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, ErrConflict):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won", won)
	}
}

// TestVersionAfterTimeStoodStill gives the new content the inode's time of the
// old one, as happens when both come within one tick.
func TestVersionAfterTimeStoodStill(t *testing.T) {
	f, dir := newFolder(t)
	first := put(t, f, "doc", "same", Condition{})
	future := time.Now().Add(time.Hour) // later than any time that a write gets by itself
	if err := os.Chtimes(filepath.Join(dir, "doc"), future, future); err != nil {
		t.Fatal(err)
	}
	second := put(t, f, "doc", "same", Condition{})
	if !second.Modified.After(future) {
		t.Errorf("an overwrite at %v has the time %v", future, second.Modified)
	}
	if err := f.Delete(t.Context(), "doc"); err != nil {
		t.Fatal(err)
	}
	third := put(t, f, "doc", "same", IfAbsent())
	if !third.Modified.After(second.Modified) {
		t.Errorf("the object deleted at %v is created at %v", second.Modified, third.Modified)
	}
	if first.Version == second.Version || second.Version == third.Version {
		t.Errorf("versions: %s %s %s", first.Version, second.Version, third.Version)
	}
}

func TestObjectAndPrefixAtOnce(t *testing.T) {
	f, dir := newFolder(t)
	put(t, f, "a/b", "x", Condition{})
	for _, cond := range []Condition{{}, IfAbsent()} {
		for _, key := range []string{"a", "a/b/c"} {
			if _, err := f.Put(t.Context(), key, strings.NewReader("y"), cond); !errors.Is(err, ErrInvalid) {
				t.Errorf("Put %s: %v", key, err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "left", "over"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, f, "left/over", "an empty directory gives way", IfAbsent())
}

func TestHeldLockIsLeftWhenTheContextEnds(t *testing.T) {
	f, _ := newFolder(t)
	unlock, err := f.lock(t.Context(), "put", "doc")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = f.Put(ctx, "doc", strings.NewReader("x"), Condition{})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("Put under a held lock: %v", err)
	}
	unlock()
	put(t, f, "doc", "x", Condition{})
}

func TestOpenAddresses(t *testing.T) {
	dir := t.TempDir()
	for address, want := range map[string]Code{
		"s3://acme/spotrelay":               CodeUnsupported,
		"gs://acme":                         CodeUnsupported,
		"http://acme":                       CodeInvalid,
		"":                                  CodeInvalid,
		"file://relative/path":              CodeInvalid,
		"file://":                           CodeInvalid,
		"file://" + dir + "?prefix=../up":   CodeInvalid,
		"file://" + dir + "?colour=blue":    CodeInvalid,
		"file://" + dir + "?sync=sometimes": CodeInvalid,
		"file://" + dir + "/ok":             "",
		"file://" + dir + "/a%20b?sync=off": "",
		filepath.Join(dir, "plain"):         "",
	} {
		b, err := Open(t.Context(), address)
		if CodeOf(err) != want {
			t.Errorf("Open %q: %v, want code %q", address, err, want)
		}
		if err != nil {
			continue
		}
		again, err := Open(t.Context(), b.Describe().URL)
		if err != nil || again.Describe() != b.Describe() {
			t.Errorf("%q says it is opened by %q: %v", address, b.Describe().URL, err)
		}
		put(t, b, "x", "x", Condition{})
	}
	if _, err := os.Stat(filepath.Join(dir, "a b", "x")); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), file); err == nil {
		t.Error("a file was opened as a folder")
	}
}

func BenchmarkPut(b *testing.B) {
	f, err := openFolder(b.TempDir(), folderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for _, test := range []struct {
		name string
		cond Condition
	}{{"Create", IfAbsent()}, {"Overwrite", Condition{}}} {
		b.Run(test.name, func(b *testing.B) {
			for i := range b.N {
				key := "docs/one"
				if test.cond.Absent {
					key = fmt.Sprintf("docs/%s/%d-%d", test.name, b.N, i)
				}
				if _, err := f.Put(b.Context(), key, strings.NewReader("a small document"), test.cond); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkList5000(b *testing.B) {
	f, err := openFolder(b.TempDir(), folderOptions{noSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for i := range 5000 {
		if _, err := f.Put(b.Context(), fmt.Sprintf("docs/%06d", i), strings.NewReader("x"), IfAbsent()); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		n := 0
		for _, err := range f.List(b.Context(), "docs/", "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 5000 {
			b.Fatal(n)
		}
	}
}
