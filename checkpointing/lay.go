package checkpointing

import (
	"context"
	"errors"
	"os"
)

// holeSize is the run of zeroes from which on a hole is left.
const holeSize = 64 << 10

// lay makes all directories, the files that are written in several pieces, at
// their full length, and those that have no content.
func (r *restoring) lay(ctx context.Context) error {
	opener := newOpener(r.root)
	defer opener.close()
	for _, i := range r.chosen {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &r.m.Entries[i]
		var err error
		switch {
		case e.Type == typeDir:
			err = r.root.Mkdir(e.Path, 0o700)
		case e.Type == typeFile:
			var there bool
			if there, err = r.keep(ctx, opener, i); err != nil || there {
				break
			}
			r.left[i].Store(int32(r.missing(i).count(len(e.Extents))))
			// A file of one chunk is made when that is there.
			if r.left[i].Load() == 0 || !r.isWhole(e) {
				err = r.layFile(ctx, opener, i)
			}
		}
		if err != nil {
			if isOurs(err) || ctx.Err() != nil {
				return err
			}
			return r.localError(e.Path, err)
		}
	}
	return nil
}

// isWhole tells whether a file is one chunk.
func (r *restoring) isWhole(e *entry) bool {
	return len(e.Extents) == 1 && e.Extents[0].Offset == 0 && int64(r.m.Chunks[e.Extents[0].Chunk].Size) == e.Size
}

func (r *restoring) layFile(ctx context.Context, o *opener, i int) error {
	e := &r.m.Entries[i]
	r.laid[i] = true
	file, err := o.open(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if e.Size > 0 {
		err = file.truncate(e.Size)
	}
	if err == nil && r.isDense(e) {
		err = file.allocate(e.Size)
	}
	if err == nil {
		err = r.copyKept(ctx, file, i)
	}
	if err == nil && r.left[i].Load() == 0 {
		err = r.complete(file, i)
	}
	return errors.Join(err, file.close())
}

// isDense tells whether a file has no holes.
func (r *restoring) isDense(e *entry) bool {
	covered := int64(0)
	for _, x := range e.Extents {
		covered += int64(r.m.Chunks[x.Chunk].Size)
	}
	return covered == e.Size
}

// write puts a chunk where it goes, leaves holes where it is zero, and
// finishes the file with its last one.
func (r *restoring) write(o *opener, u use, content []byte) error {
	e := &r.m.Entries[u.entry]
	flags := os.O_WRONLY
	whole := !r.laid[u.entry]
	if whole {
		flags |= os.O_CREATE | os.O_EXCL
	}
	file, err := o.open(e.Path, flags, 0o600)
	if err == nil {
		err = r.writeTo(file, u, content, whole)
		err = errors.Join(err, file.close())
	}
	if err != nil {
		return r.localError(e.Path, err)
	}
	r.report.update(func(p *Progress) { p.BytesDone += int64(len(content)) })
	return nil
}

func (r *restoring) writeTo(file *localFile, u use, content []byte, whole bool) error {
	e := &r.m.Entries[u.entry]
	r.writing[u.entry].Lock()
	end, err := writeSparse(file, content, u.offset)
	r.writing[u.entry].Unlock()
	if err == nil && whole && end < e.Size {
		err = file.truncate(e.Size)
	}
	if err == nil && r.left[u.entry].Add(-1) == 0 {
		err = r.complete(file, u.entry)
	}
	return err
}

// complete ends the writing of a file.
func (r *restoring) complete(file *localFile, i int) error {
	e := &r.m.Entries[i]
	if err := file.attributes(e.Mode, e.Modified); err != nil {
		return err
	}
	return r.note(file, i)
}

// note keeps what a file looks like that nothing more is done to.
func (r *restoring) note(file *localFile, i int) error {
	seen, err := file.look()
	r.seen[i] = seen.signature
	return err
}

// writeSparse writes what is not zero and tells where that ends.
func writeSparse(file *localFile, content []byte, offset int64) (end int64, err error) {
	for done := 0; done < len(content); {
		stop := done
		for stop < len(content) && !isZero(content[stop:min(stop+holeSize, len(content))]) {
			stop = min(stop+holeSize, len(content))
		}
		if stop > done {
			if err := file.writeAt(content[done:stop], offset+int64(done)); err != nil {
				return end, err
			}
			end = offset + int64(stop)
		}
		done = min(stop+holeSize, len(content)) // what ended the run is zero
	}
	return end, nil
}
