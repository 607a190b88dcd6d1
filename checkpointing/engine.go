package checkpointing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

const (
	// mostLanes is how many transfers are under way at once at most.
	mostLanes = 16
	// mostSaves is how many directories are saved at once; others wait.
	mostSaves = 2
)

// engine keeps what saves and restores have in common.
type engine struct {
	bucket bucket.Bucket
	codec  *codec
	// saves and aheads lend memory; saving holds those who may use it.
	saves, aheads *arena
	saving        chan struct{}
	copying       chan struct{}

	mu       sync.Mutex
	memories map[string]memory // by directory
	order    []string          // of use
	// damaged packs were found wrong or missing; a save that has their content
	// writes it anew instead of sharing it.
	damaged map[string]bool
}

func newEngine(b bucket.Bucket) Engine {
	return &engine{
		bucket:   b,
		codec:    sharedCodec(),
		saves:    newArena(saveBuffers),
		aheads:   newArena(aheadBuffers),
		saving:   make(chan struct{}, mostSaves),
		copying:  make(chan struct{}, 1),
		memories: map[string]memory{},
		damaged:  map[string]bool{},
	}
}

// List implements Engine.
func (e *engine) List(ctx context.Context, prefix string) ([]Ref, error) {
	refs, err := retry(ctx, func() ([]Ref, error) {
		var refs []Ref
		for o, err := range e.bucket.List(ctx, prefix, "") {
			if err != nil {
				return nil, err
			}
			if id, ok := idOfKey(o.Key); ok {
				refs = append(refs, Ref{Key: o.Key, ID: id})
			}
		}
		return refs, nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(refs, func(a, b Ref) int {
		switch {
		case a.ID.Less(b.ID):
			return -1
		case b.ID.Less(a.ID):
			return 1
		}
		return strings.Compare(a.Key, b.Key)
	})
	return refs, nil
}

// Inspect implements Engine.
func (e *engine) Inspect(ctx context.Context, ref Ref) (Ref, []Entry, error) {
	m, full, err := e.manifest(ctx, "inspect", ref)
	if err != nil {
		return Ref{}, nil, err
	}
	entries := make([]Entry, len(m.Entries))
	for i := range m.Entries {
		entries[i] = m.Entries[i].public()
	}
	return full, entries, nil
}

// manifest fetches and checks what ref points at.
func (e *engine) manifest(ctx context.Context, op string, ref Ref) (*manifest, Ref, error) {
	data, err := e.get(ctx, ref.Key, maxManifest)
	if err != nil {
		return nil, Ref{}, missing(op, ref.Key, err)
	}
	if ref.Digest != "" && digestOf(data).String() != ref.Digest {
		return nil, Ref{}, &Error{Code: CodeCorrupt, Op: op, What: ref.Key, Err: errors.New("the manifest is not the one that was committed: its digest differs"), Hint: hintOlder}
	}
	m, err := decodeManifest(data)
	if err != nil {
		return nil, Ref{}, manifestError(op, ref.Key, err)
	}
	if id, ok := idOfKey(ref.Key); ok && id != m.ID {
		return nil, Ref{}, &Error{Code: CodeCorrupt, Op: op, What: ref.Key, Err: errors.New("the manifest is that of " + ManifestName(m.ID)), Hint: hintOlder}
	}
	return m, m.ref(ref.Key, data), nil
}

const (
	hintOlder   = "an older checkpoint may be whole"
	hintVersion = "use a version of spotrelay that knows it"
	hintUnsafe  = "it was not made by spotrelay; do not use this bucket before you know who wrote it"
)

func manifestError(op, key string, err error) error {
	var version errVersion
	var unsafe *errUnsafe
	switch {
	case errors.As(err, &version):
		return &Error{Code: CodeVersion, Op: op, What: key, Err: err, Hint: hintVersion}
	case errors.As(err, &unsafe):
		return &Error{Code: CodeUnsafe, Op: op, What: key, Err: err, Hint: hintUnsafe}
	}
	return &Error{Code: CodeCorrupt, Op: op, What: key, Err: err, Hint: hintOlder}
}

// missing makes a CodeMissing of a not-found and leaves other errors.
func missing(op, key string, err error) error {
	if errors.Is(err, bucket.ErrNotFound) {
		return &Error{Code: CodeMissing, Op: op, What: key, Err: err, Hint: hintOlder}
	}
	return err
}

func (e *engine) setDamaged(key string, damaged bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if damaged {
		e.damaged[key] = true
	} else {
		delete(e.damaged, key)
	}
}

func (e *engine) isDamaged(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.damaged[key]
}
