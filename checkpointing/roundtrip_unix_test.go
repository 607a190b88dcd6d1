//go:build !windows

package checkpointing

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestHolesStayHoles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("blocks are counted on Linux")
	}
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	f, err := os.Create(filepath.Join(from, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("in the middle"), 40<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(80 << 20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b := openBucket(t)
	e := Open(b)
	result := mustSave(t, e, from, ID{1, 1}, nil)
	if n := len(objects(t, b, dataPrefix)); n != 1 || result.Ref.Bytes != 80<<20 {
		t.Errorf("%d chunks and %d bytes for one piece of data in 80 MiB", n, result.Ref.Bytes)
	}
	mustRestore(t, e, result.Ref, to)
	info, err := os.Stat(filepath.Join(to, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if blocks := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != 80<<20 || blocks > 1<<20 {
		t.Errorf("restored %d bytes in %d bytes of blocks", info.Size(), blocks)
	}
}

func TestWhatIsSkipped(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	content := tree{
		"model":       file("weights"),
		"sub":         dir(),
		"sub/in":      link(filepath.Join(from, "model")), // absolute, into the directory
		"sub/out":     link("/etc/passwd"),
		"sub/up":      link("../../x"),
		"sub/sly":     link("../sub/../../x"),
		"sub/sibling": link("../model"),
	}
	mustWrite(t, from, content)
	if err := syscall.Mkfifo(filepath.Join(from, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := Open(openBucket(t))
	result := mustSave(t, e, from, ID{1, 1}, nil)
	skipped := strings.Join(result.Skipped, "\n")
	for _, name := range []string{"pipe: a FIFO", "sub/out: ", "sub/up: ", "sub/sly: "} {
		if !strings.Contains(skipped, name) {
			t.Errorf("%q is not among the skipped:\n%s", name, skipped)
		}
	}
	if len(result.Skipped) != 4 {
		t.Errorf("skipped:\n%s", skipped)
	}
	mustRestore(t, e, result.Ref, to)
	for _, gone := range []string{"sub/out", "sub/up", "sub/sly"} {
		delete(content, gone)
	}
	content["sub/in"] = link("../model")
	got, err := readTree(to)
	if err != nil {
		t.Fatal(err)
	}
	got["sub"], content["sub"] = dir(), dir() // its time changed with the FIFO's sibling
	if d := content.diff(got); d != "" {
		t.Error(d)
	}
}
