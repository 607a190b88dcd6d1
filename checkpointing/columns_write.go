package checkpointing

import (
	"encoding/binary"
	"strings"
)

// columns collects a manifest's columns. Equal manifests have equal bytes.
type columns struct{ data []byte }

func (c *columns) unsigned(v uint64) { c.data = binary.AppendUvarint(c.data, v) }
func (c *columns) signed(v int64)    { c.data = binary.AppendVarint(c.data, v) }

func (c *columns) text(s string) {
	c.unsigned(uint64(len(s)))
	c.data = append(c.data, s...)
}

// manifestColumns writes a manifest column by column, so that equal things lie
// beside each other. FORMAT.md describes them in this order.
func manifestColumns(m *manifest) []byte {
	c := &columns{data: make([]byte, 0, 256+len(m.Packs)*40+len(m.Chunks)*40+len(m.Entries)*32)}
	c.head(m)
	c.packs(m.Packs)
	c.chunks(m.Chunks)
	c.entries(m.Entries)
	c.extents(m)
	c.marks(m)
	return c.data
}

func (c *columns) head(m *manifest) {
	c.unsigned(uint64(m.ID.Attempt))
	c.unsigned(uint64(m.ID.Sequence))
	if p := m.Parent; p != nil {
		c.unsigned(1)
		c.text(p.Key)
		c.unsigned(uint64(p.ID.Attempt))
		c.unsigned(uint64(p.ID.Sequence))
		c.text(p.Digest)
	} else {
		c.unsigned(0)
	}
	c.signed(m.SavedAt.UnixMilli())
	c.unsigned(uint64(m.Root.Mode))
	c.signed(m.Root.Modified)
	extents := 0
	for i := range m.Entries {
		extents += len(m.Entries[i].Extents)
	}
	for _, n := range []int{len(m.Packs), len(m.Chunks), len(m.Entries), extents} {
		c.unsigned(uint64(n))
	}
}

func (c *columns) packs(packs []pack) {
	for i := range packs {
		c.data = append(c.data, packs[i].Name[:]...)
	}
	for i := range packs {
		c.unsigned(uint64(packs[i].Size))
	}
	for i := range packs {
		c.text(packs[i].Salt)
	}
}

func (c *columns) chunks(chunks []chunk) {
	before := 0
	for i := range chunks {
		c.signed(int64(chunks[i].Pack - before))
		before = chunks[i].Pack
	}
	pack, end := -1, 0
	for i := range chunks {
		if chunks[i].Pack != pack {
			pack, end = chunks[i].Pack, 0
		}
		c.signed(int64(chunks[i].Offset - end))
		end = chunks[i].Offset + chunks[i].Stored
	}
	for i := range chunks {
		c.unsigned(uint64(chunks[i].Size))
	}
	for i := range chunks {
		c.unsigned(uint64(chunks[i].Size - chunks[i].Stored))
	}
	for i := range chunks {
		c.data = append(c.data, chunks[i].Digest[:]...)
	}
}

func (c *columns) entries(entries []entry) {
	for i := range entries {
		c.data = append(c.data, byte(entries[i].Type))
	}
	before := ""
	for i := range entries {
		shared := sharedPrefix(before, entries[i].Path)
		c.unsigned(uint64(shared))
		c.text(entries[i].Path[shared:])
		before = entries[i].Path
	}
	for i := range entries {
		c.unsigned(uint64(entries[i].Mode))
	}
	modified := int64(0)
	for i := range entries {
		c.signed(entries[i].Modified - modified)
		modified = entries[i].Modified
	}
	for i := range entries {
		c.unsigned(uint64(entries[i].Size))
	}
	for i := range entries {
		if entries[i].Type == typeLink {
			c.text(entries[i].Link)
		}
	}
}

func (c *columns) extents(m *manifest) {
	for i := range m.Entries {
		c.unsigned(uint64(len(m.Entries[i].Extents)))
	}
	next := 0
	for i := range m.Entries {
		for _, x := range m.Entries[i].Extents {
			c.signed(int64(x.Chunk - next))
			next = x.Chunk + 1
		}
	}
	for i := range m.Entries {
		end := int64(0)
		for _, x := range m.Entries[i].Extents {
			c.signed(x.Offset - end)
			end = x.Offset
			if x.Chunk >= 0 && x.Chunk < len(m.Chunks) {
				end += int64(m.Chunks[x.Chunk].Size)
			}
		}
	}
}

// marks writes what the system kept of each file.
func (c *columns) marks(m *manifest) {
	c.text(m.Place)
	if m.Place == "" {
		return
	}
	device, inode := uint64(0), uint64(0)
	for f := range m.files {
		c.signed(int64(f.Mark.device - device))
		device = f.Mark.device
	}
	for f := range m.files {
		c.signed(int64(f.Mark.inode - inode))
		inode = f.Mark.inode
	}
	for f := range m.files {
		c.signed(f.Mark.changed - f.Modified)
	}
}

// files yields the entries that are files.
func (m *manifest) files(yield func(*entry) bool) {
	for i := range m.Entries {
		if m.Entries[i].Type == typeFile && !yield(&m.Entries[i]) {
			return
		}
	}
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	if strings.HasPrefix(b, a[:n]) {
		return n
	}
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
