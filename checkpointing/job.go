package checkpointing

import (
	"errors"
	"io"
)

// worker is one goroutine of a reading with what it uses again and again.
type worker struct {
	r       *reading
	opener  *opener
	scratch []byte
	job     job
	used    int // of the job's buffer
	records []record
}

// work does jobs until there are no more.
func (r *reading) work() error {
	if r.s.reader != nil {
		r.s.reader()
	}
	w := &worker{r: r, opener: newOpener(r.s.scanner.root)}
	defer w.opener.close()
	for j := range r.jobs {
		w.job, w.used, w.records = j, 0, nil
		err := w.do()
		if err == nil {
			last := w.filled(true)
			w.job.buffer = nil
			err = r.sequence.deliver(last)
		}
		w.job.release()
		if err != nil {
			r.cancel(err)
			r.drop()
			return err
		}
	}
	return nil
}

// drop takes the jobs that nobody will do, until there are no more.
func (r *reading) drop() {
	for j := range r.jobs {
		j.release()
		if j.file != nil {
			j.file.fail()
			j.file.done()
		}
	}
}

func (w *worker) filled(last bool) filled {
	return filled{number: w.job.number, buffer: w.job.buffer, used: w.used, records: w.records, last: last}
}

func (w *worker) do() error {
	if err := w.r.ctx.Err(); err != nil {
		w.abandonFile()
		return err
	}
	if w.job.file == nil {
		for _, f := range w.job.files {
			if err := w.small(f); err != nil {
				return err
			}
		}
		return nil
	}
	defer w.job.file.done()
	var err error
	if w.job.whole {
		err = w.cutByContent()
	} else {
		err = w.regions()
	}
	if err != nil {
		w.job.file.fail()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // it became shorter; the next scan settles it
	}
	return err
}

func (w *worker) abandonFile() {
	if w.job.file != nil {
		w.job.file.fail()
		w.job.file.done()
	}
}

// small reads a small file into the buffer.
func (w *worker) small(f *found) error {
	file, seen, err := w.r.s.openRested(w.r.ctx, w.opener, f.Path)
	if err != nil || file == nil {
		return err
	}
	defer file.discard()
	if seen.size >= smallFile || int(seen.size) > packSize-w.used {
		return nil // it grew; the next scan settles it
	}
	read := &item{signature: seen.signature}
	if seen.size > 0 {
		room := w.job.buffer.data[w.used : w.used+int(seen.size)]
		err := w.read(file, room, 0)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil && w.r.ctx.Err() == nil {
			err = localError("save", w.r.s.scanner.shown(f.Path), err)
		}
		if err != nil {
			return err
		}
		c, sent := w.take(room)
		if c != nil {
			read.parts = []part{{content: c}}
		}
		read.likely = sent
	}
	w.r.s.keepItem(f.Path, read)
	return nil
}

// regions reads the regions of a job.
func (w *worker) regions() error {
	l := w.job.file
	parts := make([]part, 0, len(w.job.offsets))
	first, last := w.job.offsets[0], w.job.offsets[len(w.job.offsets)-1]
	l.file.willNeed(first, last+regionSize-first)
	total := int64(0)
	for _, offset := range w.job.offsets {
		length := int(min(regionSize, l.look.size-offset))
		room := w.job.buffer.data[w.used : w.used+length]
		if err := w.read(l.file, room, offset); err != nil {
			return w.readError(err)
		}
		c, sent := w.take(room)
		if c != nil {
			parts = append(parts, part{offset: offset, content: c})
		}
		total += sent
		if err := w.r.ctx.Err(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[w.job.region] = parts
	l.sent += total
	return nil
}

// read reads no faster than it may.
func (w *worker) read(file *localFile, room []byte, offset int64) error {
	if err := w.r.s.reads.wait(w.r.ctx, len(room)); err != nil {
		return err
	}
	return file.readAt(room, offset)
}

func (w *worker) readError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || w.r.ctx.Err() != nil {
		return err
	}
	return localError("save", w.r.s.scanner.shown(w.job.file.found.Path), err)
}

// take makes a chunk of what was read at the end of the buffer. It is nil for
// zeroes, and stays in the buffer only when the bucket lacks it.
func (w *worker) take(data []byte) (c *content, sent int64) {
	if isZero(data) {
		w.r.s.send.report.shared(int64(len(data)))
		return nil, 0
	}
	d := digestOf(data)
	if known := w.r.s.base.find(d); known != nil && known.size == len(data) {
		w.r.s.send.report.shared(int64(len(data)))
		return known, 0
	}
	c = &content{digest: d, size: len(data)}
	var stored int
	stored, w.scratch = w.r.s.e.codec.encode(data, w.scratch)
	w.records = append(w.records, record{content: c, offset: w.used, stored: stored})
	w.used += stored
	return c, int64(stored)
}
