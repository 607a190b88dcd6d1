package checkpointing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

const (
	// rounds bounds how often a save looks again at what changed.
	rounds = 8
	// firstPause is the wait before the second reading of what changed; it
	// doubles, up to lastPause.
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// Save implements Engine.
func (e *engine) Save(ctx context.Context, dir string, opts SaveOptions) (SaveResult, error) {
	start := time.Now()
	if err := bucket.CheckKey("put", opts.Key); err != nil {
		return SaveResult{}, err
	}
	if id, ok := idOfKey(opts.Key); ok && id != opts.ID {
		return SaveResult{}, &Error{Code: CodeConflict, Op: "save", What: opts.Key, Err: fmt.Errorf("the key is that of %s and the ID that of %s", ManifestName(id), ManifestName(opts.ID))}
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return SaveResult{}, localError("save", dir, err)
	}
	below, err := os.OpenRoot(absolute)
	if err != nil {
		return SaveResult{}, localError("save", dir, err)
	}
	defer below.Close()

	s := &saving{
		e:       e,
		opts:    opts,
		scanner: &scanner{root: below, dir: absolute, keep: opts.Keep},
		send:    newSending(e, opts),
		items:   map[text]*item{},
	}
	defer s.send.report.stop()
	if err := s.prepare(ctx); err != nil {
		return SaveResult{}, saveError(err)
	}
	last, err := s.settle(ctx)
	if err != nil {
		return SaveResult{}, saveError(err)
	}
	ref, err := s.commit(ctx, last)
	if err != nil {
		return SaveResult{}, saveError(err)
	}
	return SaveResult{Ref: ref, BytesSent: s.send.sent.Load(), Elapsed: time.Since(start), Skipped: last.skipped}, nil
}

// saveError gives an error that names nothing of its own a beginning.
func saveError(err error) error {
	if isOurs(err) || errors.As(err, new(*bucket.Error)) {
		return err
	}
	return fmt.Errorf("save: %w", err)
}

// saving is one save under way.
type saving struct {
	e       *engine
	opts    SaveOptions
	scanner *scanner
	send    *sending
	items   map[text]*item // what was read, by path
}

// item is a file as it was read.
type item struct {
	signature signature
	digest    *digest // of a small file
	parts     []part
}

// part is an extent whose chunk may still be under way.
type part struct {
	offset  int64
	from    int
	length  int
	content *content
}

// content is a chunk that a worker names once it knows its digest.
type content struct{ chunk chunk }

// prepare reads the base and looks whether chunks are being collected.
func (s *saving) prepare(ctx context.Context) error {
	s.send.report.stage(StageScanning)
	if s.opts.Base != nil {
		m, err := s.baseManifest(ctx, *s.opts.Base)
		switch {
		case err == nil:
			s.send.useBase(m)
		case isOurs(err):
			// All is sent then, which is slower and just as right.
			slog.Warn("checkpointing: the base of a save cannot be used", "base", s.opts.Base.Key, "error", err)
		default:
			return err
		}
	}
	salt, err := s.e.salt(ctx, s.opts.Key)
	s.send.salt = salt
	return err
}

func (s *saving) baseManifest(ctx context.Context, ref Ref) (*manifest, error) {
	if m := s.e.remembered(ref); m != nil {
		return m, nil
	}
	m, _, err := s.e.manifest(ctx, "save", ref)
	return m, err
}

// settle reads the directory until a scan finds it as it was read. That scan
// is what is committed.
func (s *saving) settle(ctx context.Context) (*scan, error) {
	pause := firstPause
	for round := 0; ; round++ {
		now, err := s.scanner.scan(ctx)
		if err != nil {
			return nil, err
		}
		changed := s.changed(now)
		if len(changed) == 0 {
			return now, nil
		}
		if round == rounds {
			return nil, &Error{
				Code: CodeUnsettled, Op: "save", What: s.scanner.shown(string(changed[0].Path)),
				Err:  fmt.Errorf("it kept changing while it was read %d times", rounds),
				Hint: "write to another name and rename it, or save at a moment when nothing is written",
			}
		}
		if round > 0 {
			if err := wait(ctx, pause); err != nil {
				return nil, err
			}
			pause = min(2*pause, lastPause)
		}
		if err := s.read(ctx, now, changed); err != nil {
			return nil, err
		}
	}
}

// changed is the files of a scan that have not been read as they are now.
func (s *saving) changed(now *scan) []*found {
	var changed []*found
	for i := range now.found {
		f := &now.found[i]
		if f.Type != typeFile {
			continue
		}
		if read := s.items[f.Path]; read == nil || read.signature != f.signature {
			changed = append(changed, f)
		}
	}
	return changed
}

// read reads files and sends what the bucket lacks of them.
func (s *saving) read(ctx context.Context, now *scan, files []*found) error {
	s.send.begin(now, files)
	r := newReading(ctx, s)
	for _, f := range files {
		if err := r.file(f); err != nil {
			r.abandon()
			return err
		}
	}
	return r.finish()
}

// commit writes the manifest, which makes the checkpoint.
func (s *saving) commit(ctx context.Context, last *scan) (Ref, error) {
	s.send.report.stage(StageCommitting)
	m := s.manifest(last)
	data, err := encodeManifest(m)
	if err != nil {
		return Ref{}, err
	}
	if err := ctx.Err(); err != nil {
		return Ref{}, err
	}
	ref := m.ref(s.opts.Key, data)
	_, err = retry(ctx, func() (bucket.Object, error) {
		return s.e.bucket.Put(ctx, s.opts.Key, bytes.NewReader(data), bucket.IfAbsent())
	})
	if errors.Is(err, bucket.ErrConflict) {
		m, ref, err = s.alreadyThere(ctx, m, ref, err)
	}
	if err != nil {
		return Ref{}, err
	}
	s.e.remember(m, ref)
	s.send.report.stage(StageCommitted)
	return ref, nil
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

// sameContent tells whether two manifests differ in nothing but the time.
func sameContent(a, b *manifest) bool {
	x, y := *a, *b
	x.SavedAt, y.SavedAt = time.Time{}, time.Time{}
	xJSON, xErr := manifestJSON(&x)
	yJSON, yErr := manifestJSON(&y)
	return xErr == nil && yErr == nil && bytes.Equal(xJSON, yJSON)
}

// manifest is that of a settled scan.
func (s *saving) manifest(last *scan) *manifest {
	m := &manifest{ID: s.opts.ID, SavedAt: time.Now().UTC().Truncate(time.Millisecond), Root: last.root}
	if p := s.opts.Parent; p != nil {
		m.Parent = &parent{Key: p.Key, ID: p.ID, Digest: p.Digest}
	}
	index := map[chunk]int{}
	m.Entries = make([]entry, len(last.found))
	for i := range last.found {
		m.Entries[i] = last.found[i].entry
		if last.found[i].Type != typeFile {
			continue
		}
		read := s.items[last.found[i].Path]
		m.Entries[i].Digest = read.digest
		for _, p := range read.parts {
			n, known := index[p.content.chunk]
			if !known {
				n = len(m.Chunks)
				index[p.content.chunk] = n
				m.Chunks = append(m.Chunks, p.content.chunk)
			}
			m.Entries[i].Extents = append(m.Entries[i].Extents, extent{Offset: p.offset, Chunk: n, From: p.from, Length: p.length})
		}
	}
	return m
}

func sortFound(f []found) {
	slices.SortFunc(f, func(a, b found) int { return strings.Compare(string(a.Path), string(b.Path)) })
}

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
