//go:build unix

package agent

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyUntouchedFoldersAreUsedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		leave func(dir, work string)
		kept  bool
	}{
		"nothing":                    {leave: func(string, string) {}, kept: true},
		"a file":                     {leave: func(_, work string) { write(filepath.Join(work, "f"), "x") }},
		"a hidden folder":            {leave: func(_, work string) { must(os.Mkdir(filepath.Join(work, ".d"), 0o755)) }},
		"a notice":                   {leave: func(dir, _ string) { write(filepath.Join(dir, "notice.json"), "{}") }},
		"another mode":               {leave: func(_, work string) { must(os.Chmod(work, 0o700)) }},
		"another mode of the folder": {leave: func(dir, _ string) { must(os.Chmod(dir, 0o777)) }},
		"no working directory":       {leave: func(_, work string) { must(os.Remove(work)) }},
		"a link in its place": {leave: func(_, work string) {
			must(os.Remove(work))
			must(os.Symlink(os.TempDir(), work))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			dir, work := filepath.Join(home, "one"), filepath.Join(home, "one", "work")
			must(os.Mkdir(dir, 0o755))
			must(os.Mkdir(work, 0o755))
			like, err := os.Lstat(dir)
			must(err)
			s := &spareFolders{like: like}
			test.leave(dir, work)
			if kept := s.keep(dir, work, filepath.Join(home, "spare")); kept != test.kept {
				t.Fatalf("kept: %t", kept)
			}
			other := filepath.Join(home, "other")
			if taken := s.take(other); taken != test.kept || present(filepath.Join(other, "work")) != test.kept {
				t.Errorf("taken: %t", taken)
			}
			if s.take(filepath.Join(home, "third")) {
				t.Error("it is given twice")
			}
		})
	}
}
