package checkpointing

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// commit writes the manifest, which makes the checkpoint.
func (s *saving) commit(ctx context.Context, last *scan) (Ref, error) {
	s.send.report.stage(StageCommitting)
	// Nothing may be committed while it is not known whether what it names is
	// being collected.
	if _, err := s.epoch.wait(ctx); err != nil {
		return Ref{}, err
	}
	m := s.manifest(last)
	data := encodeManifest(m)
	if err := ctx.Err(); err != nil {
		return Ref{}, err
	}
	ref := m.ref(s.opts.Key, data)
	m, ref, err := s.create(ctx, m, ref, data)
	if err != nil {
		return Ref{}, err
	}
	s.e.remember(s.scanner.dir, memory{ref: ref, manifest: m, items: s.itemsOf(last)})
	s.send.report.stage(StageCommitted)
	return ref, nil
}

// create writes a manifest where there is none. A store may answer with a
// conflict to one of two writers at once (S3: 409) when neither of them has
// written yet, so one without an object is no last word.
func (s *saving) create(ctx context.Context, m *manifest, ref Ref, data []byte) (*manifest, Ref, error) {
	for try := 1; ; try++ {
		err := s.e.put(ctx, s.opts.Key, bucket.IfAbsent(), func() error {
			_, err := s.e.bucket.Put(ctx, s.opts.Key, bytes.NewReader(data), bucket.IfAbsent())
			return err
		})
		if !errors.Is(err, bucket.ErrConflict) {
			return m, ref, err
		}
		there, thereRef, err := s.alreadyThere(ctx, m, ref, err)
		if try == tries || !errors.Is(err, &Error{Code: CodeMissing}) {
			return there, thereRef, err
		}
		if err := wait(ctx, firstTry); err != nil {
			return nil, Ref{}, err
		}
	}
}

// itemsOf leaves out what vanished while it was read.
func (s *saving) itemsOf(last *scan) map[string]*item {
	if len(s.items) == last.files {
		return s.items
	}
	items := make(map[string]*item, last.files)
	for i := range last.found {
		if read := s.items[last.found[i].Path]; read != nil {
			items[last.found[i].Path] = read
		}
	}
	return items
}

// alreadyThere decides about a key that is taken: by this very save, whose
// answer was lost or which is repeated, or by something else.
func (s *saving) alreadyThere(ctx context.Context, m *manifest, ref Ref, conflict error) (*manifest, Ref, error) {
	there, thereRef, err := s.e.manifest(ctx, "save", Ref{Key: s.opts.Key})
	if err != nil {
		return nil, Ref{}, errors.Join(conflict, err)
	}
	if thereRef.Digest != ref.Digest && !sameContent(there, m) {
		return nil, Ref{}, &Error{
			Code: CodeConflict, Op: "save", What: s.opts.Key, Err: conflict,
			Hint: "every checkpoint has a sequence of its own; this one was used for other content",
		}
	}
	return there, thereRef, nil
}

// sameContent tells whether two manifests restore the same, wherever it lies.
func sameContent(a, b *manifest) bool {
	if a.ID != b.ID || a.Root != b.Root || (a.Parent == nil) != (b.Parent == nil) || a.Parent != nil && *a.Parent != *b.Parent {
		return false
	}
	return slices.EqualFunc(a.Entries, b.Entries, func(x, y entry) bool {
		if x.Path != y.Path || x.Type != y.Type || x.Mode != y.Mode || x.Modified != y.Modified || x.Size != y.Size || x.Link != y.Link {
			return false
		}
		return slices.EqualFunc(x.Extents, y.Extents, func(v, w extent) bool {
			return v.Offset == w.Offset && a.Chunks[v.Chunk].Digest == b.Chunks[w.Chunk].Digest
		})
	})
}

// manifest is that of a settled scan.
func (s *saving) manifest(last *scan) *manifest {
	b := newManifestBuilder(len(last.found))
	b.m.ID, b.m.Root = s.opts.ID, last.root
	b.m.SavedAt = time.Now().UTC().Truncate(time.Millisecond)
	if p := s.opts.Parent; p != nil {
		b.m.Parent = &parent{Key: p.Key, ID: p.ID, Digest: p.Digest}
	}
	for i := range last.found {
		e := last.found[i].entry
		if e.Type == typeFile {
			e.Extents = b.extents(s.items[e.Path].parts)
		}
		b.m.Entries = append(b.m.Entries, e)
	}
	return b.m
}
