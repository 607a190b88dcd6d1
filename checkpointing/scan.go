package checkpointing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// signature tells whether a file may have changed between two looks.
type signature struct {
	inode    uint64
	size     int64
	modified time.Time
	changed  int64 // ctime, nanoseconds; zero where there is none
}

func signatureOf(info fs.FileInfo) signature {
	inode, changed := fileIdentity(info)
	return signature{inode: inode, size: info.Size(), modified: info.ModTime().UTC(), changed: changed}
}

// found is an entry as a scan saw it.
type found struct {
	entry
	signature signature
}

// scan is one look at a directory: its entries in byte order of their paths.
type scan struct {
	root    root
	found   []found
	skipped []string
	bytes   int64
	files   int
}

// scanner looks at the directory below root, whose own path is dir.
type scanner struct {
	root *os.Root
	dir  string
	keep func(string, fs.DirEntry) bool
}

func (s *scanner) scan(ctx context.Context) (*scan, error) {
	result := new(scan)
	info, err := s.root.Lstat(".")
	if err != nil {
		return nil, localError("save", s.dir, err)
	}
	result.root = root{Mode: uint32(info.Mode().Perm()), Modified: info.ModTime().UnixNano()}
	if err := s.walk(ctx, ".", result); err != nil {
		return nil, err
	}
	sortFound(result.found)
	return result, nil
}

// walk adds what lies in a directory. What vanishes meanwhile is left out, and
// the next scan settles it.
func (s *scanner) walk(ctx context.Context, name string, result *scan) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := readDir(s.root, name)
	if errors.Is(err, fs.ErrNotExist) && name != "." {
		return nil
	}
	if err != nil {
		return localError("save", s.shown(name), err)
	}
	for _, dirEntry := range entries {
		below := path.Join(name, dirEntry.Name())
		if s.keep != nil && !s.keep(below, dirEntry) {
			continue
		}
		info, err := s.root.Lstat(below)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return localError("save", s.shown(below), err)
		}
		if err := s.add(ctx, below, info, result); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) add(ctx context.Context, name string, info fs.FileInfo, result *scan) error {
	f := found{entry: entry{Path: text(name)}, signature: signatureOf(info)}
	if info.Mode()&fs.ModeSymlink == 0 {
		f.Mode = uint32(info.Mode().Perm())
		f.Modified = info.ModTime().UnixNano()
	}
	switch info.Mode().Type() {
	case 0:
		f.Type = typeFile
		f.Size = info.Size()
		result.files++
		result.bytes += f.Size
	case fs.ModeDir:
		f.Type = typeDir
		result.found = append(result.found, f)
		return s.walk(ctx, name, result)
	case fs.ModeSymlink:
		target, err := s.root.Readlink(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return localError("save", s.shown(name), err)
		}
		target = s.relative(name, filepath.ToSlash(target))
		if reason := linkFault(name, target); reason != "" {
			result.skip(name, reason)
			return nil
		}
		f.Type, f.Link = typeLink, text(target)
	default:
		result.skip(name, kindOf(info.Mode()))
		return nil
	}
	result.found = append(result.found, f)
	return nil
}

func (r *scan) skip(name, reason string) {
	r.skipped = append(r.skipped, fmt.Sprintf("%s: %s", name, reason))
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "no file, directory or link"
}

// relative makes an absolute link into the directory the relative one that
// means the same.
func (s *scanner) relative(name, target string) string {
	inside, found := strings.CutPrefix(path.Clean(target), strings.TrimSuffix(filepath.ToSlash(s.dir), "/")+"/")
	if !found || !path.IsAbs(target) {
		return target
	}
	return strings.Repeat("../", strings.Count(name, "/")) + inside
}

// shown is a path as messages show it.
func (s *scanner) shown(name string) string {
	return filepath.Join(s.dir, filepath.FromSlash(name))
}

func readDir(r *os.Root, name string) ([]fs.DirEntry, error) {
	dir, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadDir(-1)
}

// localError is the error of the local file system.
func localError(op, what string, err error) error {
	if isFull(err) {
		return &Error{Code: CodeFull, Op: op, What: what, Err: err, Hint: "free some room on this machine's disk, or give the task a larger one"}
	}
	return &Error{Code: CodeLocal, Op: op, What: what, Err: err}
}
