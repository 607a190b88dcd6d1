//go:build unix

package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/job"
)

// describe is what a folder holds, in text.
func describe(t fataler, dir string) []string {
	var lines []string
	inodes := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		line := fmt.Sprint(name, " ", info.Mode())
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprint(" ", info.ModTime().UnixNano(), " ", string(data))
			p := look(path).files[path]
			if first, ok := inodes[fmt.Sprint(p.inode)]; ok {
				line += " = " + first
			}
			inodes[fmt.Sprint(p.inode)] = name
		default:
			line += fmt.Sprint(" ", info.ModTime().UnixNano())
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

type fataler interface{ Fatal(args ...any) }

func TestCopyTree(t *testing.T) {
	root := t.TempDir()
	serial := 0
	rapid.Check(t, func(rt *rapid.T) {
		serial++
		src, dst := filepath.Join(root, fmt.Sprint(serial, "src")), filepath.Join(root, fmt.Sprint(serial, "dst"))
		must := func(err error) {
			if err != nil && !errors.Is(err, fs.ErrExist) {
				rt.Fatal(err)
			}
		}
		must(os.Mkdir(src, 0o755))
		dirs, files := []string{src}, []string{}
		for i := range rapid.IntRange(0, 12).Draw(rt, "entries") {
			parent := rapid.SampledFrom(dirs).Draw(rt, "parent")
			path := filepath.Join(parent, fmt.Sprint("e", i))
			mode := fs.FileMode(rapid.IntRange(0o400, 0o777).Draw(rt, "mode"))
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				must(os.Mkdir(path, 0o755))
				dirs = append(dirs, path)
			case 1:
				must(os.WriteFile(path, rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(rt, "data"), 0o600))
				must(os.Chmod(path, mode))
				must(os.Chtimes(path, time.Time{}, time.Unix(int64(i)*1000, 17)))
				files = append(files, path)
			case 2:
				must(os.Symlink(rapid.SampledFrom([]string{"nowhere", "..", "/etc/passwd", "e0"}).Draw(rt, "target"), path))
			case 3:
				if len(files) > 0 {
					must(os.Link(rapid.SampledFrom(files).Draw(rt, "first"), path))
				}
			}
		}
		before := describe(rt, src)
		must(copyTree(t.Context(), src, dst))
		if diff := cmp.Diff(before, describe(rt, dst)); diff != "" {
			rt.Fatalf("the copy differs:\n%s", diff)
		}
		for _, file := range files { // a copy shares nothing that can be written
			if os.WriteFile(strings.Replace(file, src, dst, 1), []byte("changed"), 0o600) == nil {
				if diff := cmp.Diff(before, describe(rt, src)); diff != "" {
					rt.Fatalf("a write to the copy changed the original:\n%s", diff)
				}
			}
		}
	})
}

func TestFootprint(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state")
	old := time.Now().Add(-time.Hour)
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("four")
	if look(dir).proof {
		t.Error("a file that was written a moment ago proves nothing")
	}
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	settled := func() footprint {
		var f footprint
		if !until(func() bool { f = look(dir); return f.proof }) {
			t.Fatal("it never settled")
		}
		return f
	}
	before := settled()
	if !before.same(look(dir)) {
		t.Error("nothing has changed, and it does not say so")
	}
	write("more!")
	if before.same(look(dir)) || before.changedBytes(look(dir)) != 5 {
		t.Errorf("%d bytes changed, want 5", before.changedBytes(look(dir)))
	}
	// The same size and time of modification: the inode's own time tells.
	before = settled()
	write("other")
	if err := os.Chtimes(file, before.modified(file), before.modified(file)); err != nil {
		t.Fatal(err)
	}
	if before.same(look(dir)) {
		t.Error("a change with the time put back was not seen")
	}
	before = settled()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if before.same(look(dir)) {
		t.Error("a removed file was not seen")
	}
}

func (f footprint) modified(path string) time.Time { return time.Unix(0, f.files[path].modified) }

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]fs.FileMode{"bin/tool": 0o755, "bin/data": 0o644, "local": 0o755} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, path, want string
		err              error
	}{
		{"tool", "/nowhere:bin", filepath.Join(dir, "bin/tool"), nil},
		{"tool", "/nowhere", "", errNotInPath},
		{"data", "bin", "", fs.ErrPermission},
		{"./local", "", "./local", nil},
		{"local", "", "", errNotInPath},
		{"bin/missing", "", "", fs.ErrNotExist},
	} {
		got, err := lookPath(test.name, test.path, dir)
		if !errors.Is(err, test.err) || err == nil && got != test.want {
			t.Errorf("%s in %q: %q, %v", test.name, test.path, got, err)
		}
	}
}

func TestBandwidth(t *testing.T) {
	if p := (&bandwidth{}).pace(); p.Measured || p.Send != assumedRate {
		t.Errorf("without a limit and a measure: %+v", p)
	}
	b := bandwidth{limit: 1000}
	for _, step := range []struct {
		name       string
		take       func()
		send, read float64
		measured   bool
	}{
		{"nothing", func() {}, 1000, 0, false},
		{"too little to tell", func() { b.measured(1000, time.Hour) }, 1000, 0, false},
		{"mostly the way there and back", func() { b.measured(1<<20, 10*time.Millisecond) }, 1000, 0, false},
		{"what was held back says nothing yet", func() { b.slow(100<<20, time.Second) }, 1000, 0, false},
		{"a save", func() { b.measured(10<<20, time.Second) }, 10 << 20, 0, true},
		{"a short one shows that it is faster", func() { b.measured(1<<20, 50*time.Millisecond) }, 20 << 20, 0, true},
		{"and not that it is slower", func() { b.measured(1<<20, time.Second/2) }, 20 << 20, 0, true},
		{"held back, and faster all the same", func() { b.slow(120<<20, 4*time.Second) }, 30 << 20, 0, true},
		{"another save moves it a quarter", func() { b.measured(10<<20, time.Second) }, 25 << 20, 0, true},
		{"a save that reads", func() {
			b.saved(checkpointing.SaveResult{BytesRead: 1 << 30, BytesSent: 25 << 20, Elapsed: 4 * time.Second})
		}, (25 << 20) - (75<<20)/16.0, 256 << 20, true},
	} {
		step.take()
		if p := b.pace(); p.Send != step.send || p.Read != step.read || p.Measured != step.measured {
			t.Errorf("%s: %+v, want %.0f, %.0f", step.name, p, step.send, step.read)
		}
	}
}

// FuzzAssignment: whatever the bucket holds, an attempt stays in its folder.
func FuzzAssignment(f *testing.F) {
	for _, a := range []job.Assignment{
		helper("exit 0", withCheckpoint, withOutput),
		helper("exit 0", func(a *job.Assignment) { a.Task = "../x" }),
		helper("exit 0", func(a *job.Assignment) { a.Execution.Output = &job.Output{Path: "a/../.."} }),
		helper("exit 0", func(a *job.Assignment) { a.Inputs = []job.Input{{Task: "..", Index: 3}} }),
	} {
		data, err := json.Marshal(a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var a job.Assignment
		if json.Unmarshal(data, &a) != nil || checkAssignment(a) != nil {
			return
		}
		at := &attempt{agent: &Agent{taskEnvironment: environment{}}, id: a.AttemptID, job: a, dir: "/home/attempts/x", work: "/home/attempts/x/work"}
		paths := []string{filepath.Join("/home/attempts", fmt.Sprintf("%s-%d-%d", a.Task, a.Index, a.Attempt))}
		for _, c := range a.Execution.Checkpoints() {
			paths = append(paths, at.dirOf(c))
		}
		if dir := at.outputDir(); dir != "" {
			paths = append(paths, dir)
		}
		for _, input := range a.Inputs {
			paths = append(paths, at.inputDir(input.Task))
		}
		for _, path := range paths {
			if filepath.Dir(path) == path || !strings.HasPrefix(path, "/home/attempts/") {
				t.Fatalf("%s leads out", path)
			}
		}
		if strings.ContainsRune(strings.Join(at.environment().list(), ""), 0) && !bytes.ContainsRune(data, 0) && !bytes.Contains(data, []byte(`\u0000`)) {
			t.Fatal("a zero byte came from nowhere")
		}
	})
}
