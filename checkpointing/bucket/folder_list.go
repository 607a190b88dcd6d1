package bucket

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
)

// List implements Bucket. One reading of each directory and one stat of each
// object; what vanishes meanwhile is left out.
func (f *folder) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Object{}, err)
			return
		}
		dir := prefix[:strings.LastIndexByte(prefix, '/')+1]
		w := &walk{f: f, ctx: ctx, prefix: prefix, startAfter: startAfter, yield: yield}
		if reserved(dir) {
			return
		}
		w.dir(dir)
	}
}

// walk is one listing under way.
type walk struct {
	f          *folder
	ctx        context.Context
	prefix     string
	startAfter string
	yield      func(Object, error) bool
}

// child is an entry of a directory with the beginning of its keys: a
// directory's ends in a slash, and so they sort as the keys do ("a.b" comes
// before "a/b").
type child struct {
	key   string
	entry fs.DirEntry
}

// dir lists the directory whose keys begin with base, which is empty or ends
// in a slash. It tells whether to go on.
func (w *walk) dir(base string) bool {
	if err := w.ctx.Err(); err != nil {
		w.yield(Object{}, &Error{Code: CodeUnavailable, Op: "list", Key: w.prefix, Err: err})
		return false
	}
	name := strings.TrimSuffix(base, "/")
	if name == "" {
		name = "."
	}
	entries, err := readDir(w.f.root, name)
	if err != nil {
		if gone(err) {
			return true
		}
		w.yield(Object{}, w.f.fail("list", w.prefix, err))
		return false
	}
	for _, c := range w.children(base, entries) {
		if c.entry.IsDir() {
			if !w.dir(c.key) {
				return false
			}
			continue
		}
		if !w.file(c) {
			return false
		}
	}
	return true
}

// children sorts out which entries the listing is about.
func (w *walk) children(base string, entries []fs.DirEntry) []child {
	children := make([]child, 0, len(entries))
	for _, entry := range entries {
		key := base + entry.Name()
		switch {
		case base == "" && reserved(key):
			continue
		case entry.IsDir():
			key += "/"
			if w.startAfter > key && !strings.HasPrefix(w.startAfter, key) {
				continue // all its keys come before
			}
			if !strings.HasPrefix(key, w.prefix) && !strings.HasPrefix(w.prefix, key) {
				continue
			}
		case !entry.Type().IsRegular() || key <= w.startAfter || !strings.HasPrefix(key, w.prefix):
			continue
		}
		children = append(children, child{key: key, entry: entry})
	}
	slices.SortFunc(children, func(a, b child) int { return strings.Compare(a.key, b.key) })
	return children
}

func (w *walk) file(c child) bool {
	info, err := c.entry.Info()
	if err != nil {
		if gone(err) {
			return true
		}
		w.yield(Object{}, w.f.fail("list", c.key, err))
		return false
	}
	if !info.Mode().IsRegular() {
		return true
	}
	return w.yield(object(c.key, info), nil)
}

// gone: it vanished, or a file is where a directory was.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || isNotDir(err)
}

// readDir reads a directory below root, in no particular order.
func readDir(root *os.Root, name string) ([]fs.DirEntry, error) {
	dir, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadDir(-1)
}
