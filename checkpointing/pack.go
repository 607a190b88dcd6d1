package checkpointing

import (
	"encoding/binary"

	"github.com/zeebo/blake3"
)

const (
	// packSize is how much a pack holds at most: large enough that 10,000
	// files of 16 KiB are 14 uploads, small enough that ten fit in memory.
	packSize = 12 << 20
	// maxPack is the largest that a manifest may name.
	maxPack = 1 << 30
)

// pack is an object with chunks, one after the other.
type pack struct {
	Name digest // of the table of its chunks
	Salt string // sets it apart from one that is being collected
	Size int64  // of the object
}

// packID tells packs apart.
type packID struct {
	name digest
	salt string
}

func (p *pack) id() packID { return packID{p.Name, p.Salt} }

// key is where the pack lies.
func (p *pack) key() string {
	name := p.Name.String()
	key := dataPrefix + name[:2] + "/" + name
	if p.Salt != "" {
		key += "-" + p.Salt
	}
	return key
}

// record is a chunk within a pack that is being made.
type record struct {
	content *content
	offset  int
	stored  int
}

// namePack names a pack by what it holds and how. So two packs of one name
// serve the same manifests, whoever made them, and the content is not hashed
// twice.
func namePack(records []record) digest {
	table := make([]byte, 0, len(records)*48)
	for _, r := range records {
		table = append(table, r.content.digest[:]...)
		table = binary.LittleEndian.AppendUint64(table, uint64(r.content.size))
		table = binary.LittleEndian.AppendUint64(table, uint64(r.stored))
	}
	return blake3.Sum256(table)
}

// content is a chunk under way from a file to a pack, or one that lies in a
// pack already.
type content struct {
	digest digest
	size   int
	pack   *pack // nil until it is packed
	offset int
	stored int
	same   *content // the content that is kept, when a save meets it twice
}

// kept is the content that lies in a pack.
func (c *content) kept() *content {
	for c.same != nil {
		c = c.same
	}
	return c
}

// contentsOf is a manifest's chunks as contents, by their index.
func contentsOf(m *manifest) []*content {
	all := make([]content, len(m.Chunks))
	contents := make([]*content, len(m.Chunks))
	for i, c := range m.Chunks {
		all[i] = content{digest: c.Digest, size: c.Size, pack: &m.Packs[c.Pack], offset: c.Offset, stored: c.Stored}
		contents[i] = &all[i]
	}
	return contents
}
