package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	stagingDir = ".tmp"   // files being written
	locksDir   = ".locks" // one lock file per shard of keys

	// abandoned is the age, by the folder's own time, at which a staged file
	// is held to be that of a dead writer.
	abandoned = time.Hour

	folderPace = 20 * time.Millisecond
	folderPoll = 25 * time.Millisecond
)

type folderOptions struct {
	noSync bool
}

// folder is a bucket in a directory. An object is the plain file at its key.
//
// A write is staged in .tmp, flushed, and then given its name in one step: by
// link for IfAbsent, which needs no lock and has one winner among processes,
// by rename for the others, under a lock of the key's shard. Every write
// flushes its data before the name appears, so that a power cut cannot show an
// empty object. Conditional writes, which are the commitments (journal, lease,
// manifests), also flush the directory; after an unconditional one a power cut
// may show the content before it.
//
// A version is inode, time and size. The time of an overwrite is made greater
// than that of what it replaces, and a deletion leaves its object's time on
// the shard's lock file as a floor for the key's next one, so that no two
// contents of a key have the same version, not even within one tick of the
// file system's clock with an inode used again. (Whoever reuses the inode of a
// deleted object staged its file after the deletion, and so has seen the
// floor.)
//
// What is asked of the file system: atomic rename, stable inode numbers,
// advisory locks, and names that keep their case.
type folder struct {
	path    string
	root    *os.Root
	options folderOptions
	shards  [256]shard

	// link is root.Link; a test makes it refuse, as FAT and some FUSE file
	// systems do.
	link func(from, to string) error
}

func openFolder(path string, options folderOptions) (*folder, error) {
	fail := func(err error) (*folder, error) {
		return nil, folderError("open", path, err)
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return fail(err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return fail(err)
	}
	f := &folder{path: path, root: root, options: options, link: root.Link}
	for i := range f.shards {
		f.shards[i].turn = make(chan struct{}, 1)
	}
	for _, dir := range []string{stagingDir, locksDir} {
		if err := f.ownDir(dir); err != nil {
			root.Close()
			return fail(err)
		}
	}
	if err := f.sweep(); err != nil {
		root.Close()
		return fail(err)
	}
	return f, nil
}

// ownDir makes one of the folder's own directories, and refuses a link in its
// place, which would lead the folder's writes elsewhere.
func (f *folder) ownDir(name string) error {
	if err := f.root.Mkdir(name, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := f.root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", filepath.Join(f.path, name))
	}
	return nil
}

// sweep removes what dead writers left behind. Ages are taken against a file
// made now, so that only the folder's own clock counts.
func (f *folder) sweep() error {
	entries, err := readDir(f.root, stagingDir)
	if err != nil || len(entries) == 0 {
		return err
	}
	file, name, err := f.createStaged()
	if err != nil {
		return err
	}
	file.Close()
	defer f.unstage(name)
	now, err := f.root.Lstat(name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || now.ModTime().Sub(info.ModTime()) < abandoned {
			continue
		}
		if err := f.root.RemoveAll(stagingDir + "/" + entry.Name()); err == nil {
			slog.Debug("bucket: removed what a dead writer left", "file", entry.Name(), "size", info.Size())
		}
	}
	return nil
}

// Get implements Bucket. An offset at or past the end gives an empty body.
func (f *folder) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error) {
	name, err := f.name(ctx, "get", key)
	if err != nil {
		return nil, Object{}, err
	}
	if offset < 0 || length < -1 {
		return nil, Object{}, &Error{Code: CodeInvalid, Op: "get", Key: key, Err: fmt.Errorf("no such range: offset %d, length %d", offset, length)}
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, Object{}, f.fail("get", key, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		return nil, Object{}, f.fail("get", key, err)
	}
	rest := max(info.Size()-offset, 0)
	if length < 0 || length > rest {
		length = rest
	}
	body := &folderBody{SectionReader: io.NewSectionReader(file, offset, length), file: file}
	return body, object(key, info), nil
}

// folderBody reads a range of an open file. An object that is replaced or
// deleted meanwhile is read to its end all the same.
type folderBody struct {
	*io.SectionReader
	file *os.File
}

func (b *folderBody) Close() error { return b.file.Close() }

func object(key string, info fs.FileInfo) Object {
	return Object{
		Key:      key,
		Size:     info.Size(),
		Version:  fmt.Sprintf("%x-%x-%x", inode(info), info.ModTime().UnixNano(), info.Size()),
		Modified: info.ModTime(),
	}
}

// Describe implements Bucket.
func (f *folder) Describe() Description {
	return Description{URL: folderURL(f.path, f.options), Pace: folderPace, Poll: folderPoll}
}

// Close implements Bucket.
func (f *folder) Close() error { return f.root.Close() }

// name checks key and gives the file's name below the root.
func (f *folder) name(ctx context.Context, op, key string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &Error{Code: CodeUnavailable, Op: op, Key: key, Err: err}
	}
	if err := CheckKey(op, key); err != nil {
		return "", err
	}
	if reserved(key) {
		return "", &Error{Code: CodeInvalid, Op: op, Key: key, Err: errors.New("the name is the folder's own"), Hint: "choose a key outside " + stagingDir + " and " + locksDir}
	}
	name, err := filepath.Localize(key)
	if err != nil {
		return "", &Error{Code: CodeInvalid, Op: op, Key: key, Err: err, Hint: "this system has no file of that name"}
	}
	return name, nil
}

func reserved(key string) bool {
	first, _, _ := strings.Cut(key, "/")
	return strings.EqualFold(first, stagingDir) || strings.EqualFold(first, locksDir)
}
