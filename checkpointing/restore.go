package checkpointing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// Restore implements Engine. What it writes is not flushed: a machine that
// loses its power restores again.
func (e *engine) Restore(ctx context.Context, ref Ref, dir string, opts RestoreOptions) error {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return localError("restore", dir, err)
	}
	t := newTarget(absolute)
	if err := t.repair(); err != nil {
		return localError("restore", dir, err)
	}
	m, full, err := e.manifest(ctx, "restore", ref)
	if err != nil {
		return restoreError(err)
	}
	r := &restoring{e: e, m: m, report: newReporter(opts.Progress), limiter: newLimiter(opts.BytesPerSecond)}
	defer r.report.stop()
	if err := r.into(ctx, t); err != nil {
		return restoreError(err)
	}
	e.remember(m, full)
	r.report.stage(StageRestored)
	return nil
}

// restoreError gives an error that names nothing of its own a beginning.
func restoreError(err error) error {
	if isOurs(err) {
		return err
	}
	return fmt.Errorf("restore: %w", err)
}

// restoring is one restore under way.
type restoring struct {
	e       *engine
	m       *manifest
	root    *os.Root
	report  *reporter
	limiter *rate.Limiter
}

// into writes everything beside the directory and puts it in place.
func (r *restoring) into(ctx context.Context, t *target) (err error) {
	if r.root, err = t.stage(); err != nil {
		return localError("restore", t.dir, err)
	}
	defer func() {
		r.root.Close()
		if err != nil {
			discard(t.staged)
		}
	}()
	files, size := r.m.totals()
	r.report.update(func(p *Progress) { p.Stage, p.Files, p.BytesTotal = StageFetching, files, size })
	if err := r.lay(ctx); err != nil {
		return err
	}
	if err := r.fill(ctx); err != nil {
		return err
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.commit(); err != nil {
		return localError("restore", t.dir, err)
	}
	return nil
}

// lay makes all directories, and all files at their full length, empty.
func (r *restoring) lay(ctx context.Context) error {
	for i := range r.m.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		switch e := &r.m.Entries[i]; e.Type {
		case typeDir:
			err = r.root.Mkdir(string(e.Path), 0o700)
		case typeFile:
			err = r.layFile(e)
		}
		if err != nil {
			return r.localError(string(r.m.Entries[i].Path), err)
		}
	}
	return nil
}

func (r *restoring) layFile(e *entry) error {
	file, err := r.root.OpenFile(string(e.Path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if e.Size > 0 {
		err = file.Truncate(e.Size)
	}
	return errors.Join(err, file.Close())
}

// localError also tells of names that this file system takes for one.
func (r *restoring) localError(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return &Error{Code: CodeUnsafe, Op: "restore", What: name, Err: err, Hint: "this file system does not tell the case of names; restore on one that does"}
	}
	return localError("restore", name, err)
}

// piece is where a part of a chunk goes.
type piece struct {
	entry *entry
	extent
}

// fill fetches each chunk once, verifies it and writes its pieces.
func (r *restoring) fill(ctx context.Context) error {
	pieces := make([][]piece, len(r.m.Chunks))
	for i := range r.m.Entries {
		e := &r.m.Entries[i]
		covered := int64(0)
		for _, x := range e.Extents {
			pieces[x.Chunk] = append(pieces[x.Chunk], piece{e, x})
			covered += int64(x.Length)
		}
		r.report.update(func(p *Progress) { p.BytesShared += e.Size - covered })
	}
	workers, working := errgroup.WithContext(ctx)
	workers.SetLimit(parallel)
	for i, c := range r.m.Chunks {
		if working.Err() != nil {
			break
		}
		workers.Go(func() error { return r.chunk(working, c, pieces[i]) })
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (r *restoring) chunk(ctx context.Context, c chunk, pieces []piece) error {
	buffer := r.e.buffer()
	defer r.e.release(buffer)
	content, err := r.e.fetch(ctx, "restore", c, *buffer, r.limiter)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if err := r.write(p, content[p.From:p.From+p.Length]); err != nil {
			return r.localError(string(p.entry.Path), err)
		}
		r.report.update(func(state *Progress) { state.BytesDone += int64(p.Length) })
	}
	return nil
}

// holeSize is the run of zeroes from which on a hole is left.
const holeSize = 64 << 10

// write puts data into its file and leaves holes where it is zero.
func (r *restoring) write(p piece, data []byte) error {
	file, err := r.root.OpenFile(string(p.entry.Path), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for done := 0; done < len(data) && err == nil; {
		end := done
		for end < len(data) && !isZero(data[end:min(end+holeSize, len(data))]) {
			end = min(end+holeSize, len(data))
		}
		if end > done {
			_, err = file.WriteAt(data[done:end], p.Offset+int64(done))
		}
		done = min(end+holeSize, len(data)) // what ended the run is zero
	}
	return errors.Join(err, file.Close())
}

// finish makes the links and sets modes and times, the deepest first, so that
// nothing is written into a directory that is done. Links come after all
// files: no file can have been written through one.
func (r *restoring) finish(ctx context.Context) error {
	for i := range slices.Backward(r.m.Entries) {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &r.m.Entries[i]
		var err error
		if e.Type == typeLink {
			err = r.root.Symlink(filepath.FromSlash(string(e.Link)), string(e.Path))
		} else {
			err = r.attributes(string(e.Path), e.Mode, e.Modified)
		}
		if err != nil {
			return r.localError(string(e.Path), err)
		}
	}
	if err := r.attributes(".", r.m.Root.Mode&0o777|0o700, r.m.Root.Modified); err != nil {
		return r.localError(".", err)
	}
	return nil
}

func (r *restoring) attributes(name string, mode uint32, modified int64) error {
	t := time.Unix(0, modified)
	if err := r.root.Chtimes(name, t, t); err != nil {
		return err
	}
	return r.root.Chmod(name, fs.FileMode(mode))
}
