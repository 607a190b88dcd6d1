package checkpointing

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// tick is longer than the clock of any file system on which two writes may
// show the same time stands still (Linux: a jiffy, 10 ms at most).
const tick = 20 * time.Millisecond

// reading turns files into chunks: one goroutine reads, a few others hash,
// pack and send, so that memory is bounded by their number.
type reading struct {
	s       *saving
	ctx     context.Context
	workers *errgroup.Group
	pack    *[]byte  // small files, one after the other
	packed  *content // the chunk that pack becomes
	small   map[digest][]part
}

func newReading(ctx context.Context, s *saving) *reading {
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(parallel)
	return &reading{s: s, ctx: ctx, workers: workers, pack: s.e.buffer(), packed: new(content), small: map[digest][]part{}}
}

// file reads one file. One that vanished or became something else is left for
// the next scan to settle.
func (r *reading) file(f *found) error {
	name := string(f.Path)
	delete(r.s.items, f.Path)
	if err := r.ctx.Err(); err != nil {
		return context.Cause(r.ctx)
	}
	file, err := r.s.scanner.root.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return localError("save", r.s.scanner.shown(name), err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return localError("save", r.s.scanner.shown(name), err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	// A change within the tick of the last one would not show in the times.
	if age := time.Since(info.ModTime()); age >= 0 && age < tick {
		if err := wait(r.ctx, tick-age); err != nil {
			return context.Cause(r.ctx)
		}
	}
	read := &item{signature: signatureOf(info)}
	if info.Size() < smallFile {
		err = r.smallFile(name, file, read)
	} else {
		err = r.largeFile(name, file, read)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // it became shorter
	}
	if err != nil {
		return err
	}
	r.s.items[f.Path] = read
	return nil
}

// largeFile sends a file in chunks of its own. Those that are zero are left
// out.
func (r *reading) largeFile(name string, file *os.File, read *item) error {
	for offset := int64(0); offset < read.signature.size; {
		buffer := r.s.e.buffer()
		length := int(min(chunkSize, read.signature.size-offset))
		*buffer = (*buffer)[:length]
		if _, err := io.ReadFull(file, *buffer); err != nil {
			r.s.e.release(buffer)
			return readError(r.s.scanner.shown(name), err)
		}
		if isZero(*buffer) {
			r.s.e.release(buffer)
			r.s.send.shared(length)
		} else {
			c := new(content)
			read.parts = append(read.parts, part{offset: offset, length: length, content: c})
			r.submit(buffer, c)
		}
		offset += int64(length)
	}
	return nil
}

// readError tells a file that became shorter from one that cannot be read.
func readError(name string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	return localError("save", name, err)
}

// smallFile puts a file into a chunk together with others, unless the base or
// this save has its content already.
func (r *reading) smallFile(name string, file *os.File, read *item) error {
	length := int(read.signature.size)
	if length == 0 {
		return nil
	}
	if len(*r.pack)+length > chunkSize {
		r.flush()
	}
	from := len(*r.pack)
	room := (*r.pack)[from : from+length]
	if _, err := io.ReadFull(file, room); err != nil {
		return readError(r.s.scanner.shown(name), err)
	}
	d := digestOf(room)
	read.digest = &d
	if parts, known := r.s.send.base.small[d]; known {
		read.parts = parts
		r.s.send.shared(length)
		return nil
	}
	if parts, known := r.small[d]; known {
		read.parts = parts
		r.s.send.shared(length)
		return nil
	}
	*r.pack = (*r.pack)[:from+length]
	read.parts = []part{{from: from, length: length, content: r.packed}}
	r.small[d] = read.parts
	return nil
}

// flush sends the pack and begins the next one.
func (r *reading) flush() {
	if len(*r.pack) == 0 {
		return
	}
	r.submit(r.pack, r.packed)
	r.pack, r.packed = r.s.e.buffer(), new(content)
}

// submit hands a buffer to a worker, which gives it back.
func (r *reading) submit(buffer *[]byte, c *content) {
	r.workers.Go(func() error {
		defer r.s.e.release(buffer)
		var err error
		c.chunk, err = r.s.send.chunk(r.ctx, *buffer)
		return err
	})
}

// finish waits until all is sent.
func (r *reading) finish() error {
	r.flush()
	r.s.e.release(r.pack)
	return r.workers.Wait()
}

// abandon waits for the workers after a failure of the reader.
func (r *reading) abandon() {
	r.s.e.release(r.pack)
	_ = r.workers.Wait() // its error came after the one that is reported
}
