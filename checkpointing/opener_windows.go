package checkpointing

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// opener opens files below a root.
type opener struct{ root *os.Root }

func newOpener(root *os.Root) *opener { return &opener{root: root} }

func (o *opener) close() {}

func (o *opener) open(name string, flags int, mode uint32) (*localFile, error) {
	file, err := o.root.OpenFile(name, flags, fs.FileMode(mode))
	if err != nil {
		return nil, err
	}
	return &localFile{file: file, root: o.root, name: name}, nil
}

// localFile is an open file. Reads and writes at offsets may come from several
// goroutines.
type localFile struct {
	file *os.File
	root *os.Root
	name string
}

func (f *localFile) close() error { return f.file.Close() }

func (f *localFile) look() (look, error) {
	info, err := f.file.Stat()
	if err != nil {
		return look{}, err
	}
	return lookOf(info), nil
}

func (f *localFile) readAt(b []byte, offset int64) error {
	n, err := f.file.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (f *localFile) writeAt(b []byte, offset int64) error {
	_, err := f.file.WriteAt(b, offset)
	return err
}

func (f *localFile) truncate(size int64) error { return f.file.Truncate(size) }

func (f *localFile) allocate(int64) error { return nil }

func (f *localFile) data(offset, size int64) (start, end int64) { return offset, size }

func (f *localFile) attributes(mode uint32, modified int64) error {
	t := time.Unix(0, modified)
	return errors.Join(f.root.Chtimes(f.name, t, t), f.root.Chmod(f.name, fs.FileMode(mode)))
}

func (f *localFile) willNeed(int64, int64) {}
