//go:build !windows

package checkpointing

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"

	"golang.org/x/sys/unix"
)

// opener opens files below a root. It keeps the directory of the last one
// open, so that a row of files in one directory costs one call each. It is for
// one goroutine.
type opener struct {
	root *os.Root
	path string
	dir  *os.File
}

func newOpener(root *os.Root) *opener { return &opener{root: root} }

func (o *opener) close() {
	if o.dir != nil {
		o.dir.Close()
		o.dir = nil
	}
}

// enter opens the directory that name lies in.
func (o *opener) enter(name string) error {
	dir := path.Dir(name)
	if o.dir != nil && o.path == dir {
		return nil
	}
	o.close()
	opened, err := o.root.Open(dir)
	if err != nil {
		return err
	}
	o.dir, o.path = opened, dir
	return nil
}

// open opens a file, never through a link and without waiting for a FIFO.
func (o *opener) open(name string, flags int, mode uint32) (*localFile, error) {
	if err := o.enter(name); err != nil {
		return nil, err
	}
	fd := -1
	err := uninterrupted(func() (err error) {
		fd, err = unix.Openat(int(o.dir.Fd()), path.Base(name), flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, mode)
		return err
	})
	runtime.KeepAlive(o.dir)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &localFile{fd: fd, name: name}, nil
}

// localFile is an open file. Reads and writes at offsets may come from several
// goroutines.
type localFile struct {
	fd   int
	name string
}

func (f *localFile) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

func (f *localFile) close() error {
	if err := unix.Close(f.fd); err != nil && !errors.Is(err, unix.EINTR) {
		return f.fail("close", err)
	}
	return nil
}

func (f *localFile) look() (look, error) {
	var stat unix.Stat_t
	if err := uninterrupted(func() error { return unix.Fstat(f.fd, &stat) }); err != nil {
		return look{}, f.fail("stat", err)
	}
	return lookOf(&stat), nil
}

// readAt fills b; io.ErrUnexpectedEOF when the file ends before.
func (f *localFile) readAt(b []byte, offset int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(f.fd, b, offset)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return f.fail("read", err)
		case n == 0:
			return io.ErrUnexpectedEOF
		}
		b, offset = b[n:], offset+int64(n)
	}
	return nil
}

// writeAt writes all of b.
func (f *localFile) writeAt(b []byte, offset int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(f.fd, b, offset)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return f.fail("write", err)
		case n == 0:
			return f.fail("write", io.ErrShortWrite)
		}
		b, offset = b[n:], offset+int64(n)
	}
	return nil
}

func (f *localFile) truncate(size int64) error {
	if err := uninterrupted(func() error { return unix.Ftruncate(f.fd, size) }); err != nil {
		return f.fail("truncate", err)
	}
	return nil
}

// attributes sets the time and then the mode.
func (f *localFile) attributes(mode uint32, modified int64) error {
	if err := setTime(f.fd, modified); err != nil {
		return f.fail("set the time of", err)
	}
	if err := uninterrupted(func() error { return unix.Fchmod(f.fd, mode) }); err != nil {
		return f.fail("set the mode of", err)
	}
	return nil
}
