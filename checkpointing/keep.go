package checkpointing

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// keeping is what is there already in the directory that is restored.
type keeping struct {
	root   *os.Root
	opener *opener
	known  memory
	// missing is, by entry, which extents have to be fetched; all of an entry
	// that is not in it.
	missing map[int]extentSet
}

// extentSet is a set of an entry's extents; nil is all of them.
type extentSet []bool

func (s extentSet) has(n int) bool { return s == nil || s[n] }

func (s extentSet) count(all int) int {
	if s == nil {
		return all
	}
	n := 0
	for _, in := range s {
		if in {
			n++
		}
	}
	return n
}

// openKeeping opens the directory that is there, if there is one.
func (r *restoring) openKeeping(dir string) *keeping {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil // then there is nothing to keep
	}
	return &keeping{root: root, opener: newOpener(root), known: r.e.recall(dir), missing: map[int]extentSet{}}
}

func (k *keeping) close() {
	k.opener.close()
	k.root.Close()
}

// missing is which extents of an entry have to be fetched.
func (r *restoring) missing(i int) extentSet {
	if r.kept == nil {
		return nil
	}
	return r.kept.missing[i]
}

// keep takes a file over whose content, mode and time are right, by a second
// name for it. One that has other names already is copied instead, since
// whatever else has it would change with it.
func (r *restoring) keep(ctx context.Context, _ *opener, i int) (bool, error) {
	e := &r.m.Entries[i]
	if r.kept == nil || e.Size == 0 {
		return false, nil
	}
	file, err := r.kept.opener.open(e.Path, os.O_RDONLY, 0)
	if err != nil {
		return false, nil // what cannot be read is fetched
	}
	defer file.discard()
	seen, err := file.look()
	if err != nil || !seen.mode.IsRegular() {
		return false, nil // what cannot be read is fetched
	}
	missing, err := r.compare(ctx, file, seen, i)
	if err != nil {
		return false, err
	}
	if missing != nil {
		r.kept.missing[i] = missing
	}
	if missing.count(len(e.Extents)) > 0 || seen.size != e.Size || seen.modified != e.Modified ||
		uint32(seen.mode.Perm()) != e.Mode || seen.links != 1 || !r.isDense(e) {
		// What a manifest leaves out is zero, which was not looked at.
		return false, nil
	}
	if err := linkBetween(r.kept.root, r.root, e.Path); err != nil {
		return false, nil // then it is copied
	}
	return true, r.note(file, i) // another name has changed its ctime
}

// compare tells which extents differ from what is in a file, by what the
// engine knows of it or else by its content.
func (r *restoring) compare(ctx context.Context, file *localFile, seen look, i int) (extentSet, error) {
	e := &r.m.Entries[i]
	missing := make(extentSet, len(e.Extents))
	if known := r.kept.known.known(e.Path); known != nil && known.signature == seen.signature {
		at := make(map[int64]digest, len(known.parts))
		for _, p := range known.parts {
			at[p.offset] = p.content.digest
		}
		for n, x := range e.Extents {
			missing[n] = at[x.Offset] != r.m.Chunks[x.Chunk].Digest
		}
		return missing, nil
	}
	if !r.isAlike(file, e) {
		return nil, nil
	}
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(max(runtime.GOMAXPROCS(0), 2))
	for n, x := range e.Extents {
		workers.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			missing[n] = !r.isSame(file, x)
			return nil
		})
	}
	return missing, workers.Wait()
}

// isAlike looks at a few places whether a file has anything that is needed.
func (r *restoring) isAlike(file *localFile, e *entry) bool {
	step := max(len(e.Extents)/8, 1)
	for n := 0; n < len(e.Extents); n += step {
		if r.isSame(file, e.Extents[n]) {
			return true
		}
	}
	return false
}

// isSame compares the content of a file with a chunk.
func (r *restoring) isSame(file *localFile, x extent) bool {
	w := fetchers.Get().(*fetcher) // the pool holds nothing else
	defer fetchers.Put(w)
	c := &r.m.Chunks[x.Chunk]
	w.stored = grown(w.stored, c.Size)
	return file.readAt(w.stored, x.Offset) == nil && digestOf(w.stored) == c.Digest
}

// copyKept copies what is right in the file that is there, and verifies it
// again: it may have changed since it was compared.
func (r *restoring) copyKept(ctx context.Context, to *localFile, i int) error {
	missing := r.missing(i)
	if missing == nil {
		return nil
	}
	e := &r.m.Entries[i]
	from, err := r.kept.opener.open(e.Path, os.O_RDONLY, 0)
	if err != nil {
		return r.fetchInstead(i, err)
	}
	defer from.discard()
	w := fetchers.Get().(*fetcher) // the pool holds nothing else
	defer fetchers.Put(w)
	for n, x := range e.Extents {
		if missing[n] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c := &r.m.Chunks[x.Chunk]
		w.stored = grown(w.stored, c.Size)
		if from.readAt(w.stored, x.Offset) != nil || digestOf(w.stored) != c.Digest {
			missing[n] = true
			r.left[i].Add(1)
			continue
		}
		if _, err := writeSparse(to, w.stored, x.Offset); err != nil {
			return err
		}
	}
	return nil
}

// fetchInstead: what was there is gone.
func (r *restoring) fetchInstead(i int, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !isReplaced(err) {
		return err
	}
	delete(r.kept.missing, i)
	r.left[i].Store(int32(len(r.m.Entries[i].Extents)))
	return nil
}
