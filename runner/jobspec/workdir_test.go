package jobspec

import (
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestWorkdirKeep(t *testing.T) {
	tree := fstest.MapFS{}
	for _, path := range []string{
		"main.py", "main.pyc", "README.md", "data/a.csv", "data/deep/b.csv", "data/deep/c.txt", "src/x.py", "src/x.pyc", "src/test/y.py",
		".git/config", "sub/.git/config", ".spotrelay/runs/x", "vendor/src/z.py",
	} {
		tree[path] = &fstest.MapFile{}
	}
	cases := map[string]struct {
		include, exclude, want []string
	}{
		"all but git":   {[]string{"**"}, []string{".git"}, []string{"README.md", "data/a.csv", "data/deep/b.csv", "data/deep/c.txt", "main.py", "main.pyc", "src/test/y.py", "src/x.py", "src/x.pyc", "vendor/src/z.py"}},
		"by name":       {[]string{"*.py"}, nil, []string{"main.py", "src/test/y.py", "src/x.py", "vendor/src/z.py"}},
		"excluded name": {[]string{"**"}, []string{"*.pyc", ".git", "data/", "vendor", "*.md"}, []string{"main.py", "src/test/y.py", "src/x.py"}},
		"a folder":      {[]string{"./data"}, nil, []string{"data/a.csv", "data/deep/b.csv", "data/deep/c.txt"}},
		"below":         {[]string{"data/**/*.csv"}, []string{"data/deep"}, []string{"data/a.csv"}},
		"one level":     {[]string{"src/*.py"}, nil, []string{"src/x.py"}},
		"choice":        {[]string{"{src,data}/**"}, []string{"**/*.txt"}, []string{"data/a.csv", "data/deep/b.csv", "src/test/y.py", "src/x.py", "src/x.pyc"}},
		"folder at any": {[]string{"src"}, []string{"*.pyc"}, []string{"src/test/y.py", "src/x.py", "vendor/src/z.py"}},
		"nothing":       {[]string{"none/**"}, nil, nil},
	}
	for name, c := range cases {
		workdir := &Workdir{Include: c.include, Exclude: c.exclude}
		var got []string
		err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			switch keep := workdir.Keep(filepath.ToSlash(path), entry); {
			case !keep && entry.IsDir():
				return fs.SkipDir
			case keep && !entry.IsDir():
				got = append(got, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestWorkdirEntersLittle: folders that can hold nothing of it are not entered.
func TestWorkdirEntersLittle(t *testing.T) {
	workdir := &Workdir{Include: []string{"src/*.py", "data/*/x/**"}}
	for path, want := range map[string]bool{"src": true, "src/deep": false, "data": true, "data/a": true, "data/a/x": true, "data/a/x/y": true, "data/a/y": false, "other": false} {
		entry := fs.FileInfoToDirEntry(dirInfo(t))
		if got := workdir.Keep(path, entry); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func dirInfo(t *testing.T) fs.FileInfo {
	t.Helper()
	info, err := fs.Stat(fstest.MapFS{"d/f": &fstest.MapFile{}}, "d")
	if err != nil {
		t.Fatal(err)
	}
	return info
}
