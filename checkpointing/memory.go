package checkpointing

import (
	"slices"
	"sync"
)

// remembered is for how many directories an engine remembers what it read.
const remembered = 16

// memory is what an engine knows of a directory from the last save or restore
// of it. It is replaced whole, never changed.
type memory struct {
	ref      Ref       // zero when nothing was committed since
	manifest *manifest // of ref
	// items are the files as they were read or restored, by their paths; made
	// when they are asked for first. Nil: none.
	items func() map[string]*item
	sent  *sent
}

// known is a file as it was read or restored; nil if it was not.
func (m *memory) known(name string) *item {
	if m.items == nil {
		return nil
	}
	return m.items()[name]
}

// are gives items that there are already.
func are(items map[string]*item) func() map[string]*item {
	return func() map[string]*item { return items }
}

// item is a file as it was read.
type item struct {
	signature signature
	parts     []part
	likely    int64   // how much of it the last save that read it sent
	sketch    *sketch // of a large file, by which an insertion is noticed
}

// part is a chunk of a file, which may still be under way.
type part struct {
	offset  int64
	content *content
}

// sent is what an engine has sent for a directory and not committed: by saves
// that failed, and ahead of a save. It may be shared as long as no collection
// has begun since.
type sent struct {
	epoch string

	mu       sync.RWMutex
	packs    map[packID]bool
	contents map[digest]*content
}

func newSent(epoch string) *sent {
	return &sent{epoch: epoch, packs: map[packID]bool{}, contents: map[digest]*content{}}
}

// add notes what a pack holds that the bucket has now.
func (s *sent) add(p *pack, records []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs[p.id()] = true
	for _, r := range records {
		s.contents[r.content.digest] = r.content
	}
}

func (s *sent) has(id packID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.packs[id]
}

func (s *sent) find(d digest) *content {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.contents[d]
}

func (s *sent) empty() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.packs) == 0
}

// recall is what is known of a directory.
func (e *engine) recall(dir string) memory {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.memories[dir]
}

// remember replaces what is known of a directory.
func (e *engine) remember(dir string, m memory) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.order = slices.DeleteFunc(e.order, func(d string) bool { return d == dir })
	e.order = append(e.order, dir)
	e.memories[dir] = m
	if len(e.order) > remembered {
		delete(e.memories, e.order[0])
		e.order = e.order[1:]
	}
}

// recallManifest is the manifest of ref if some directory was saved or
// restored as it; nil otherwise, and for a ref without a digest, which only
// the bucket can resolve.
func (e *engine) recallManifest(ref Ref) *manifest {
	if ref.Digest == "" {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.memories {
		if m.manifest != nil && m.ref.Digest == ref.Digest && m.ref.Key == ref.Key {
			return m.manifest
		}
	}
	return nil
}
