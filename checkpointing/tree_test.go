package checkpointing

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// node is a file, directory or link of a test's tree.
type node struct {
	Mode    fs.FileMode // with its type
	Content string      // of a file; the target of a link
	Time    time.Time   // not of a link
}

// tree is a directory by slash paths; a directory's parents are in it.
type tree map[string]node

// someTime is when files were written that do not say.
var someTime = time.Unix(1_700_000_000, 123_456_789)

func file(content string) node { return node{Mode: 0o644, Content: content, Time: someTime} }
func dir() node                { return node{Mode: fs.ModeDir | 0o755, Time: someTime} }
func link(target string) node  { return node{Mode: fs.ModeSymlink | 0o777, Content: target} }

// write makes t below root, which is made too.
func (t tree) write(root string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	paths := sorted(t)
	for _, p := range paths {
		var err error
		switch name, n := filepath.Join(root, p), t[p]; n.Mode.Type() {
		case fs.ModeDir:
			err = os.Mkdir(name, 0o755)
		case fs.ModeSymlink:
			err = os.Symlink(n.Content, name)
		default:
			err = os.WriteFile(name, []byte(n.Content), 0o644)
		}
		if err != nil {
			return err
		}
	}
	for i := range paths { // the deepest first
		p := paths[len(paths)-1-i]
		n := t[p]
		if n.Mode.Type() == fs.ModeSymlink {
			continue
		}
		name := filepath.Join(root, p)
		if err := os.Chtimes(name, n.Time, n.Time); err != nil {
			return err
		}
		if err := os.Chmod(name, n.Mode.Perm()); err != nil {
			return err
		}
	}
	return nil
}

// read is the tree at root.
func readTree(root string) (tree, error) {
	t := tree{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		n := node{Mode: info.Mode() & (fs.ModeType | fs.ModePerm), Time: info.ModTime()}
		switch n.Mode.Type() {
		case 0:
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			n.Content = string(data)
		case fs.ModeSymlink:
			n.Time = time.Time{}
			if n.Content, err = os.Readlink(name); err != nil {
				return err
			}
		}
		t[filepath.ToSlash(rel)] = n
		return nil
	})
	return t, err
}

// diff says how two trees differ; "" when they do not.
func (t tree) diff(other tree) string { return cmp.Diff(t.short(), other.short()) }

// short has digests in place of long contents.
func (t tree) short() map[string]string {
	short := make(map[string]string, len(t))
	for p, n := range t {
		content := n.Content
		if len(content) > 60 {
			content = fmt.Sprintf("%d bytes, %x", len(content), sha256.Sum256([]byte(content)))
		}
		short[p] = fmt.Sprintf("%v %q %d", n.Mode, content, n.Time.UnixNano())
	}
	return short
}

func sorted(t tree) []string {
	paths := make([]string, 0, len(t))
	for p := range maps.Keys(t) {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

func mustWrite(t *testing.T, root string, content tree) {
	t.Helper()
	if err := content.write(root); err != nil {
		t.Fatal(err)
	}
}

func mustHold(t *testing.T, root string, want tree) {
	t.Helper()
	got, err := readTree(root)
	if err != nil {
		t.Fatal(err)
	}
	if d := want.diff(got); d != "" {
		t.Fatalf("%s differs (-want +got):\n%s", root, d)
	}
}

// memoryDir is a temporary directory in memory where there is one, for tests
// that make many files.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "spotrelay-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := removeTree(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// openBucket is an empty bucket in a folder that is not flushed.
func openBucket(t testing.TB) bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), "file://"+filepath.ToSlash(memoryDir(t))+"?sync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func keyOf(id ID) string { return "runs/r1/checkpoints/train/0/0/" + ManifestName(id) }

const series = "runs/r1/checkpoints/train/0/0/"

func mustSave(t testing.TB, e Engine, from string, id ID, base *Ref) SaveResult {
	t.Helper()
	result, err := e.Save(t.Context(), from, SaveOptions{Key: keyOf(id), ID: id, Base: base, Parent: base})
	if err != nil {
		t.Fatalf("Save: %v", err)
	}
	return result
}

func mustRestore(t testing.TB, e Engine, ref Ref, to string) {
	t.Helper()
	if err := e.Restore(t.Context(), ref, to, RestoreOptions{}); err != nil {
		t.Fatalf("Restore: %v", err)
	}
}

// objects is the keys and sizes of a bucket below prefix.
func objects(t testing.TB, b bucket.Bucket, prefix string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for o, err := range b.List(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		found[o.Key] = o.Size
	}
	return found
}

// noise is n bytes that do not compress, the same for the same seed.
func noise(seed uint64, n int) string {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	data := make([]byte, n)
	rand.NewChaCha8(key).Read(data)
	return string(data)
}
