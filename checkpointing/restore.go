package checkpointing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Restore implements Engine. What it writes is not flushed: a machine that
// loses its power restores again.
func (e *engine) Restore(ctx context.Context, ref Ref, dir string, opts RestoreOptions) error {
	_, err := e.restore(ctx, ref, dir, opts)
	return err
}

// restore also gives the whole ref of what it restored.
func (e *engine) restore(ctx context.Context, ref Ref, dir string, opts RestoreOptions) (Ref, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return Ref{}, localError("restore", dir, err)
	}
	t := newTarget(absolute)
	if err := t.repair(); err != nil {
		return Ref{}, localError("restore", dir, err)
	}
	m, full, err := e.manifest(ctx, "restore", ref)
	if err != nil {
		return Ref{}, restoreError(err)
	}
	r := &restoring{
		e: e, m: m, opts: opts, report: newReporter(opts.Progress),
		left: make([]atomic.Int32, len(m.Entries)), laid: make([]bool, len(m.Entries)),
		seen: make([]signature, len(m.Entries)), writing: make([]sync.Mutex, len(m.Entries)),
	}
	defer r.report.stop()
	if err := r.choose(); err != nil {
		return Ref{}, err
	}
	if err := r.into(ctx, t); err != nil {
		return Ref{}, restoreError(err)
	}
	r.remember(absolute, full)
	r.report.stage(StageRestored)
	return full, nil
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
	e      *engine
	m      *manifest
	opts   RestoreOptions
	root   *os.Root
	report *reporter
	chosen []int // entries to restore, in their order
	// left is how many extents of an entry are not written yet.
	left []atomic.Int32
	laid []bool      // entries that are made at their full length
	seen []signature // files that are complete
	// writing is held by who writes to an entry: the system lets one after the
	// other write to a file, and has the others burn a processor meanwhile.
	writing []sync.Mutex
	kept    *keeping // what is there already; nil: nothing is looked for
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
	if r.opts.Reuse {
		if r.kept = r.openKeeping(t.dir); r.kept != nil {
			defer r.kept.close()
		}
	}
	files, size := 0, int64(0)
	for _, i := range r.chosen {
		if r.m.Entries[i].Type == typeFile {
			files++
			size += r.m.Entries[i].Size
		}
	}
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

// use is where a chunk goes.
type use struct {
	entry  int
	offset int64
}

// fill fetches each chunk once, verifies it and writes it wherever it goes.
func (r *restoring) fill(ctx context.Context) error {
	uses := make([][]use, len(r.m.Chunks))
	var needed []int
	for _, i := range r.chosen {
		e := &r.m.Entries[i]
		covered := int64(0)
		missing := r.missing(i)
		for n, x := range e.Extents {
			if !missing.has(n) {
				continue
			}
			if uses[x.Chunk] == nil {
				needed = append(needed, x.Chunk)
			}
			uses[x.Chunk] = append(uses[x.Chunk], use{i, x.Offset})
			covered += int64(r.m.Chunks[x.Chunk].Size)
		}
		r.report.update(func(p *Progress) { p.BytesShared += e.Size - covered })
	}
	f := &fetching{
		e: r.e, op: "restore", m: r.m, lanes: newLanes(mostLanes), pacer: newPacer(r.opts.BytesPerSecond),
		use: func(w *fetcher, chunk int, content []byte) error {
			for _, u := range uses[chunk] {
				if err := r.write(w.opener, u, content); err != nil {
					return err
				}
			}
			return nil
		},
	}
	return f.all(ctx, spansOf(r.m, needed), r.root)
}

// all reads spans, several at once. The root is what openers are for.
func (f *fetching) all(ctx context.Context, spans []span, root *os.Root) error {
	workers, working := errgroup.WithContext(ctx)
	next := make(chan span)
	for range min(mostLanes, len(spans)) {
		workers.Go(func() error {
			w := fetchers.Get().(*fetcher) // the pool holds nothing else
			defer fetchers.Put(w)
			if root != nil {
				w.opener = newOpener(root)
				defer w.opener.close()
			}
			for s := range next {
				if err := f.span(working, w, s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, s := range spans {
		select {
		case next <- s:
		case <-working.Done():
		}
		if working.Err() != nil {
			break
		}
	}
	close(next)
	if err := workers.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// localError also tells of names that this file system takes for one.
func (r *restoring) localError(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return &Error{Code: CodeUnsafe, Op: "restore", What: name, Err: err, Hint: "this file system does not tell the case of names; restore on one that does"}
	}
	return localError("restore", name, err)
}

// finish makes the links and gives directories their modes and times, the
// deepest first, so that nothing is written into a directory that is done.
// Links come after all files: no file can have been written through one.
func (r *restoring) finish(ctx context.Context) error {
	for _, i := range slices.Backward(r.chosen) {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &r.m.Entries[i]
		var err error
		switch e.Type {
		case typeLink:
			err = r.root.Symlink(filepath.FromSlash(e.Link), e.Path)
		case typeDir:
			err = r.attributes(e.Path, e.Mode, e.Modified)
		}
		if err != nil {
			return r.localError(e.Path, err)
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

// remember keeps what was restored, so that the next save need not read it.
// A file that was finished a tick ago is left out: a change at once would not
// show.
func (r *restoring) remember(dir string, ref Ref) {
	m, chosen, seen, settled := r.m, r.chosen, r.seen, time.Now()
	r.e.remember(dir, memory{ref: ref, manifest: m, items: sync.OnceValue(func() map[string]*item {
		items := itemsOf(m, contentsOf(m))
		byPath := make(map[string]*item, len(chosen))
		for _, i := range chosen {
			if m.Entries[i].Type == typeFile && restingFor(signature{changed: seen[i].changed}, settled) >= tick {
				items[i].signature = seen[i]
				byPath[m.Entries[i].Path] = &items[i]
			}
		}
		return byPath
	})})
}
