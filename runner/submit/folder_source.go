package submit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
)

// folderSource is files in a folder here.
type folderSource struct {
	root    string
	only    string // the one file of it that is meant, "" for all
	without string // the slash path of a bucket in it
}

// settled is how long a file must not have changed for its time to tell of the
// next change: times are coarse.
const settled = 3 * time.Second

func (f *folderSource) keep(name string, _ fs.DirEntry) bool {
	if f.only != "" {
		return name == f.only
	}
	return !never[path.Base(name)] && (f.without == "" || name != f.without)
}

// listing is made from names, modes, sizes and times.
func (f *folderSource) listing(ctx context.Context) (string, error) {
	digest, newest := sha256.New(), time.Time{}
	err := filepath.WalkDir(f.root, func(at string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || at == f.root {
			return err
		}
		relative, err := filepath.Rel(f.root, at)
		if err != nil {
			return err
		}
		if !f.keep(filepath.ToSlash(relative), entry) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(at); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(digest, "%q %v %d %d %q\n", relative, info.Mode(), info.Size(), info.ModTime().UnixNano(), target)
		return err
	})
	if err != nil || time.Since(newest) < settled {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func (f *folderSource) folder(context.Context, func(checkpointing.Progress)) (string, func(string, fs.DirEntry) bool, error) {
	return f.root, f.keep, nil
}

func (f *folderSource) close() error { return nil }
