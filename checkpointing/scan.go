package checkpointing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// found is an entry as a scan saw it.
type found struct {
	entry
	look look
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

// scanning is a scan under way; it is there, or its error, when done is closed.
type scanning struct {
	done chan struct{}
	scan *scan
	err  error
}

// begin begins a scan.
func (s *scanner) begin(ctx context.Context) *scanning {
	begun := &scanning{done: make(chan struct{})}
	go func() {
		defer close(begun.done)
		begun.scan, begun.err = s.scan(ctx)
	}()
	return begun
}

func (s *scanner) scan(ctx context.Context) (*scan, error) {
	result := new(scan)
	info, err := s.root.Lstat(".")
	if err != nil {
		return nil, localError("save", s.dir, err)
	}
	result.root = root{Mode: uint32(info.Mode().Perm()), Modified: info.ModTime().UnixNano()}
	for level := []string{"."}; len(level) > 0; {
		if level, err = s.level(ctx, level, result); err != nil {
			return nil, err
		}
	}
	result.found = sortFound(result.found)
	return result, nil
}

// scanners is how many directories are looked at together.
const scanners = 4

// level looks at directories together and returns those that lie in them.
func (s *scanner) level(ctx context.Context, dirs []string, result *scan) ([]string, error) {
	parts := make([]scan, len(dirs))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(scanners)
	if s.keep != nil {
		workers.SetLimit(1) // it is asked from one goroutine
	}
	for i, dir := range dirs {
		workers.Go(func() error { return s.directory(ctx, dir, &parts[i]) })
	}
	if err := workers.Wait(); err != nil {
		return nil, err
	}
	var below []string
	for i := range parts {
		p := &parts[i]
		result.found = append(result.found, p.found...)
		result.skipped = append(result.skipped, p.skipped...)
		result.bytes += p.bytes
		result.files += p.files
		for j := range p.found {
			if p.found[j].Type == typeDir {
				below = append(below, p.found[j].Path)
			}
		}
	}
	return below, nil
}

// directory adds what lies in a directory. What vanishes meanwhile is left
// out, and the next scan settles it.
func (s *scanner) directory(ctx context.Context, name string, result *scan) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := s.root.Open(name)
	if (errors.Is(err, fs.ErrNotExist) || isReplaced(err)) && name != "." {
		return nil
	}
	if err != nil {
		return localError("save", s.shown(name), err)
	}
	defer dir.Close()
	entries, err := dir.Readdirnames(-1)
	if err != nil {
		return localError("save", s.shown(name), err)
	}
	result.found = make([]found, 0, len(entries))
	for _, entryName := range entries {
		below := entryName
		if name != "." {
			below = name + "/" + below
		}
		seen, err := lookAt(dir, entryName)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return localError("save", s.shown(below), err)
		}
		if s.keep != nil && !s.keep(below, fs.FileInfoToDirEntry(&lookInfo{entryName, seen})) {
			continue
		}
		if err := s.add(below, seen, result); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) add(name string, seen look, result *scan) error {
	f := found{entry: entry{Path: name, Mode: uint32(seen.mode.Perm()), Modified: seen.modified}, look: seen}
	switch seen.mode.Type() {
	case 0:
		f.Type = typeFile
		f.Size = seen.size
		result.files++
		result.bytes += f.Size
	case fs.ModeDir:
		f.Type = typeDir
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
		f.entry = entry{Path: name, Type: typeLink, Link: target}
	default:
		result.skip(name, kindOf(seen.mode))
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

// sortFound gives entries in the order of their paths.
func sortFound(f []found) []found {
	type place struct {
		path  string
		index int
	}
	order := make([]place, len(f))
	for i := range f {
		order[i] = place{f[i].Path, i}
	}
	slices.SortFunc(order, func(a, b place) int { return strings.Compare(a.path, b.path) })
	result := make([]found, len(f))
	for i, p := range order {
		result[i] = f[p.index]
	}
	return result
}

// localError is the error of the local file system.
func localError(op, what string, err error) error {
	if isFull(err) {
		return &Error{Code: CodeFull, Op: op, What: what, Err: err, Hint: "free some room on this machine's disk, or give the task a larger one"}
	}
	return &Error{Code: CodeLocal, Op: op, What: what, Err: err}
}
