package checkpointing

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// tick is longer than the clock of any file system on which two writes may
	// show the same time stands still (Linux: a jiffy, 10 ms at most).
	tick = 20 * time.Millisecond
	// batchFiles bounds the small files of a job.
	batchFiles = 4096
)

// reading turns files into packs. It cuts the work into jobs; readers fill a
// buffer each with what the bucket lacks of theirs, and the sequence puts the
// buffers back in order and hands them on to be sent. Jobs, and so packs, are
// the same whenever the same save is repeated.
type reading struct {
	s        *saving
	ctx      context.Context
	cancel   context.CancelCauseFunc
	readers  errgroup.Group
	jobs     chan job
	opener   *opener
	sequence *sequence
	next     int // number of the next job
	batch    []*found
	weight   int64
}

// job is what one reader does at a time. It begins with a buffer, given out in
// the order of the jobs, so that the first job can always go on.
type job struct {
	number int
	buffer *buffer
	files  []*found // small ones
	file   *reader  // or a part of a large one
	spare  *spare   // for a job that fills several buffers
	region int
	whole  bool // all of the file, cut by its content
	// offsets are those of the regions to be read, of a file that is cut at
	// fixed ones.
	offsets []int64
}

// reader is a large file that several jobs read.
type reader struct {
	r      *reading
	found  *found
	file   *localFile
	look   look
	before *item
	sketch *sketch

	mu      sync.Mutex
	parts   [][]part // by region
	jobs    int
	sent    int64
	shorter bool
}

// read reads files and sends what the bucket lacks of them.
func (s *saving) read(ctx context.Context, files []*found) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &reading{
		s: s, ctx: ctx, cancel: cancel,
		jobs:     make(chan job),
		opener:   newOpener(s.scanner.root),
		sequence: newSequence(ctx, cancel, s),
	}
	for range s.readers {
		r.readers.Go(r.work)
	}
	if err := r.cut(files); err != nil {
		cancel(err)
	}
	close(r.jobs)
	r.opener.close()
	_ = r.readers.Wait() // its error is the cause of the cancelling
	r.sequence.finish()
	return context.Cause(ctx)
}

// cut makes jobs of files.
func (r *reading) cut(files []*found) error {
	for _, f := range files {
		var err error
		if f.Size < smallFile {
			err = r.small(f)
		} else {
			err = r.large(f)
		}
		if err != nil {
			return err
		}
	}
	return r.flush()
}

// small adds a file to the batch.
func (r *reading) small(f *found) error {
	// A file may have grown since the scan; the job leaves what does not fit.
	if r.weight+f.Size > packSize || len(r.batch) == batchFiles {
		if err := r.flush(); err != nil {
			return err
		}
	}
	r.batch = append(r.batch, f)
	r.weight += f.Size
	return nil
}

func (r *reading) flush() error {
	if len(r.batch) == 0 {
		return nil
	}
	files := r.batch
	r.batch, r.weight = nil, 0
	return r.submit(job{files: files})
}

// submit gives a job its number and a buffer, and waits for a reader.
func (r *reading) submit(j job) error {
	buffer, err := r.s.send.arena.lend(r.ctx)
	if err != nil {
		return err
	}
	j.number, j.buffer = r.next, buffer
	if j.whole {
		if err := r.lendSpares(&j); err != nil {
			return err
		}
	}
	select {
	case r.jobs <- j:
		r.next++
		return nil
	case <-r.ctx.Done():
		j.release()
		return context.Cause(r.ctx)
	}
}

// lendSpares gives a job that fills several buffers what it needs.
func (r *reading) lendSpares(j *job) error {
	buffers := []*buffer{j.buffer}
	for len(buffers) < spares {
		buffer, err := r.s.send.arena.lend(r.ctx)
		if err != nil {
			for _, b := range buffers {
				b.release()
			}
			return err
		}
		buffers = append(buffers, buffer)
	}
	j.spare = newSpare(buffers)
	return nil
}

// release gives back what a job has that nobody will do.
func (j *job) release() {
	if j.buffer != nil {
		j.buffer.release()
		j.buffer = nil
	}
	if j.spare != nil {
		j.spare.close()
	}
}

// large cuts a file at fixed regions, or leaves the cutting to one job.
func (r *reading) large(f *found) error {
	file, seen, err := r.s.openRested(r.ctx, r.opener, f.Path)
	if err != nil || file == nil {
		return err
	}
	l := &reader{r: r, found: f, file: file, look: seen, before: r.s.before(f.Path), jobs: 1}
	defer l.done()
	moved, err := l.hasMoved()
	if err != nil {
		return err
	}
	if moved {
		l.jobs++
		l.parts = make([][]part, 1)
		return l.submit(job{file: l, whole: true})
	}
	return l.regions()
}

// regions makes jobs of the parts of a file that are no holes.
func (l *reader) regions() error {
	size := l.look.size
	sparse := l.look.allocated < size
	var offsets []int64
	flush := func() error {
		if len(offsets) == 0 {
			return nil
		}
		l.mu.Lock()
		l.jobs++
		region := len(l.parts)
		l.parts = append(l.parts, nil)
		l.mu.Unlock()
		j := job{file: l, region: region, offsets: offsets}
		offsets = nil
		return l.submit(j)
	}
	for offset := int64(0); offset < size; {
		start, end := offset, size
		if sparse {
			start, end = l.file.data(offset, size)
			start = max(start-start%regionSize, offset)
		}
		l.r.s.send.report.shared(start - offset)
		for offset = start; offset < end; offset += regionSize {
			offsets = append(offsets, offset)
			if len(offsets) == packSize/regionSize {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

func (l *reader) submit(j job) error {
	err := l.r.submit(j)
	if err != nil {
		l.fail()
		l.done()
	}
	return err
}

// fail: what was read of the file is of no use.
func (l *reader) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shorter = true
}

// done ends one job of a file. The last one makes the item.
func (l *reader) done() {
	l.mu.Lock()
	l.jobs--
	last := l.jobs == 0
	l.mu.Unlock()
	if !last {
		return
	}
	l.file.discard()
	if l.shorter {
		return
	}
	count := 0
	for _, parts := range l.parts {
		count += len(parts)
	}
	read := &item{signature: l.look.signature, likely: l.sent, sketch: l.sketch, parts: make([]part, 0, count)}
	for _, parts := range l.parts {
		read.parts = append(read.parts, parts...)
	}
	l.r.s.keepItem(l.found.Path, read)
}

// openRested opens a file when a change of it would show in its times. The
// file is nil when it vanished or became something else, which the next scan
// settles.
func (s *saving) openRested(ctx context.Context, o *opener, name string) (*localFile, look, error) {
	file, err := o.open(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) || isReplaced(err) {
		return nil, look{}, nil
	}
	if err != nil {
		return nil, look{}, localError("save", s.scanner.shown(name), err)
	}
	seen, err := file.look()
	if err == nil && seen.mode.IsRegular() {
		// A change within the tick of the last one would not show.
		err = waitTick(ctx, seen.signature)
		if err == nil {
			return file, seen, nil
		}
	}
	file.discard()
	if err != nil && ctx.Err() == nil {
		err = localError("save", s.scanner.shown(name), err)
	}
	return nil, look{}, err
}

func waitTick(ctx context.Context, s signature) error {
	if age := restingFor(s, time.Now()); age >= 0 && age < tick {
		if err := wait(ctx, tick-age); err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// restingFor is how long ago a file was changed last.
func restingFor(s signature, now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - max(s.modified, s.changed))
}
