package checkpointing

import "slices"

// manifestBuilder numbers the packs and chunks of a manifest in the order of
// their first use.
type manifestBuilder struct {
	m      *manifest
	packs  map[packID]int
	chunks map[digest]int
	// last is the pack that was used last.
	last     *pack
	lastPack int
}

func newManifestBuilder(entries int) *manifestBuilder {
	return &manifestBuilder{
		m:      &manifest{Entries: make([]entry, 0, entries)},
		packs:  map[packID]int{},
		chunks: make(map[digest]int, entries),
	}
}

// extents names the chunks of a file.
func (b *manifestBuilder) extents(parts []part) []extent {
	if len(parts) == 0 {
		return nil
	}
	extents := make([]extent, len(parts))
	for i, p := range parts {
		extents[i] = extent{Offset: p.offset, Chunk: b.chunk(p.content.kept())}
	}
	return extents
}

func (b *manifestBuilder) chunk(c *content) int {
	if n, known := b.chunks[c.digest]; known {
		return n
	}
	n := len(b.m.Chunks)
	b.chunks[c.digest] = n
	b.m.Chunks = append(b.m.Chunks, chunk{Digest: c.digest, Size: c.size, Pack: b.pack(c.pack), Offset: c.offset, Stored: c.stored})
	return n
}

func (b *manifestBuilder) pack(p *pack) int {
	if p == b.last {
		return b.lastPack
	}
	n, known := b.packs[p.id()]
	if !known {
		n = len(b.m.Packs)
		b.packs[p.id()] = n
		b.m.Packs = append(b.m.Packs, *p)
	}
	b.last, b.lastPack = p, n
	return n
}

// item is a file of a manifest as an item without a signature; nil if there is
// no such file.
func (m *manifest) item(name string) *item {
	i, found := slices.BinarySearchFunc(m.Entries, name, func(e entry, name string) int {
		switch {
		case e.Path < name:
			return -1
		case e.Path > name:
			return 1
		}
		return 0
	})
	if !found || m.Entries[i].Type != typeFile {
		return nil
	}
	known := &item{parts: make([]part, len(m.Entries[i].Extents))}
	for j, x := range m.Entries[i].Extents {
		c := m.Chunks[x.Chunk]
		known.parts[j] = part{offset: x.Offset, content: &content{digest: c.Digest, size: c.Size, pack: &m.Packs[c.Pack], offset: c.Offset, stored: c.Stored}}
	}
	return known
}
