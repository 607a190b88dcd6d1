package checkpointing

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawTree makes a random tree with names that are hard on formats.
func drawTree(t *rapid.T, label string) tree {
	names := rapid.SampledFrom([]string{"a", "b", "a.b", "ab", "model best.pt", "ä", "-", "~", "a:b", `back\slash`, "bad\xffutf8", "new\nline", "..."})
	result := tree{}
	dirs := []string{"."}
	for i := range rapid.IntRange(0, 12).Draw(t, label+" entries") {
		name := path.Join(rapid.SampledFrom(dirs).Draw(t, "in"), names.Draw(t, "name"))
		if _, taken := result[name]; taken {
			continue
		}
		when := someTime.Add(time.Duration(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "time")))
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			mode := rapid.SampledFrom([]fs.FileMode{0o755, 0o700, 0o555, 0o500}).Draw(t, "mode")
			result[name] = node{Mode: fs.ModeDir | mode, Time: when}
			dirs = append(dirs, name)
		case 1:
			up := strings.Repeat("../", rapid.IntRange(0, strings.Count(name, "/")).Draw(t, "up"))
			result[name] = link(up + rapid.SampledFrom([]string{"a", "nothing", "a/b", "./ab"}).Draw(t, "target"))
		default:
			mode := rapid.SampledFrom([]fs.FileMode{0o644, 0o755, 0o600, 0o444}).Draw(t, "mode")
			result[name] = node{Mode: mode, Content: drawContent(t, uint64(i)), Time: when}
		}
	}
	return result
}

func drawContent(t *rapid.T, seed uint64) string {
	switch rapid.IntRange(0, 19).Draw(t, "content") {
	case 0:
		return ""
	case 1: // text, larger than what is packed
		return strings.Repeat("the loss is 0.25\n", 80_000)
	case 2: // noise, with a hole and a crooked end
		return noise(seed, 4_000) + strings.Repeat("\x00", 3*regionSize+300_000) + noise(seed, rapid.IntRange(1, 5_000).Draw(t, "tail"))
	case 3:
		return strings.Repeat("\x00", rapid.SampledFrom([]int{1, 100, regionSize, 2 * regionSize, 2*regionSize + 1}).Draw(t, "zeroes"))
	case 4:
		return noise(seed, rapid.SampledFrom([]int{smallFile - 1, smallFile, smallFile + 1, 3*regionSize - 1, 3 * regionSize, 3*regionSize + 1}).Draw(t, "size"))
	default:
		return noise(rapid.Uint64Range(0, 5).Draw(t, "seed"), rapid.IntRange(1, 3_000).Draw(t, "size"))
	}
}

// TestRoundTrip saves a random tree, then another one based on it, and
// restores both, the second over the first.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	b := openBucket(t)
	e := Open(b)
	attempt, memory := 0, memoryDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		attempt++
		work := filepath.Join(memory, fmt.Sprint(attempt))
		first := drawTree(rt, "first")
		second := maps.Clone(first)
		maps.Copy(second, drawTree(rt, "second"))
		second = consistent(second)

		save := func(content tree, id ID, base *Ref) Ref {
			from := filepath.Join(work, fmt.Sprint(id.Sequence))
			if err := content.write(from); err != nil {
				rt.Fatal(err)
			}
			result, err := e.Save(t.Context(), from, SaveOptions{Key: keyOf(id), ID: id, Base: base})
			if err != nil {
				rt.Fatal(err)
			}
			if len(result.Skipped) != 0 {
				rt.Fatalf("skipped %q", result.Skipped)
			}
			return result.Ref
		}
		one := save(first, ID{attempt, 1}, nil)
		two := save(second, ID{attempt, 2}, &one)
		for _, step := range []struct {
			ref  Ref
			want tree
		}{{one, first}, {two, second}} {
			// A fresh engine has nothing remembered.
			if err := Open(b).Restore(t.Context(), step.ref, filepath.Join(work, "to"), RestoreOptions{}); err != nil {
				rt.Fatal(err)
			}
			got, err := readTree(filepath.Join(work, "to"))
			if err != nil {
				rt.Fatal(err)
			}
			if d := step.want.diff(got); d != "" {
				rt.Fatalf("restored tree differs (-want +got):\n%s", d)
			}
		}
		if err := removeTree(work); err != nil {
			rt.Fatal(err)
		}
	})
}

// consistent leaves out what lies below anything but a directory.
func consistent(t tree) tree {
	kept := tree{}
	for _, p := range sorted(t) {
		if above := path.Dir(p); above == "." || kept[above].Mode.IsDir() {
			kept[p] = t[p]
		}
	}
	return kept
}

func TestKeep(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	mustWrite(t, from, tree{".git": dir(), ".git/HEAD": file("ref"), "a.pyc": file("x"), "src": dir(), "src/a.py": file("y")})
	e := Open(openBucket(t))
	var asked []string
	result, err := e.Save(t.Context(), from, SaveOptions{Key: "workdirs/w", Keep: func(p string, entry fs.DirEntry) bool {
		asked = append(asked, p)
		return p != ".git" && !strings.HasSuffix(p, ".pyc")
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range asked {
		if p == ".git/HEAD" {
			t.Error("a directory that is not kept was entered")
		}
	}
	mustRestore(t, e, result.Ref, to)
	got, err := readTree(to)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got["src/a.py"].Content != "y" {
		t.Errorf("restored %v", got.short())
	}
}

// TestRootAttributes: the directory itself has a mode and a time.
func TestRootAttributes(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "deep", "to")
	if err := os.Chmod(from, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(from, someTime, someTime); err != nil {
		t.Fatal(err)
	}
	e := Open(openBucket(t))
	mustRestore(t, e, mustSave(t, e, from, ID{1, 1}, nil).Ref, to)
	info, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o750 || !info.ModTime().Equal(someTime) {
		t.Errorf("the directory has %v, %v", info.Mode(), info.ModTime())
	}
	entries, err := os.ReadDir(filepath.Dir(to))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside it lies %v, %v", entries, err)
	}
}
