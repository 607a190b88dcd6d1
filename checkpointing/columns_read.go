package checkpointing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// columnReader reads what columns writes. Its first fault makes all that
// follows zero.
type columnReader struct {
	data []byte
	err  error
}

var errShort = errors.New("it ends in the middle")

func (r *columnReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

func (r *columnReader) unsigned() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *columnReader) signed() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.data = r.data[n:]
	return v
}

// number is an unsigned value that is at most bound.
func (r *columnReader) number(what string, bound uint64) int {
	v := r.unsigned()
	if v > bound {
		r.fail(fmt.Errorf("%s is %d", what, v))
		return 0
	}
	return int(v)
}

func (r *columnReader) bytes(n int) []byte {
	if n > len(r.data) {
		r.fail(errShort)
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *columnReader) text() string {
	return string(r.bytes(r.number("a length", uint64(len(r.data)))))
}

func (r *columnReader) id() ID {
	return ID{Attempt: r.number("an attempt", math.MaxInt32), Sequence: int64(r.number("a sequence", math.MaxInt64))}
}

// counts are how long the columns are.
type counts struct{ packs, chunks, entries, extents int }

// readColumns is the inverse of manifestColumns. What it gives is not checked
// yet.
func readColumns(data []byte, version int) (*manifest, error) {
	r := &columnReader{data: data}
	m := new(manifest)
	n := r.head(m)
	m.Packs = r.packs(n.packs)
	m.Chunks = r.chunks(n.chunks, len(m.Packs))
	m.Entries = r.entries(n.entries)
	r.extents(m, n.extents)
	if version > oldVersion {
		r.marks(m)
	}
	if r.err == nil && len(r.data) > 0 {
		r.err = errors.New("something follows the manifest")
	}
	return m, r.err
}

func (r *columnReader) head(m *manifest) counts {
	m.ID = r.id()
	if r.number("the number of parents", 1) == 1 {
		m.Parent = &parent{Key: r.text(), ID: r.id(), Digest: r.text()}
	}
	m.SavedAt = time.UnixMilli(r.signed()).UTC()
	m.Root.Mode = uint32(r.number("a mode", math.MaxUint32))
	m.Root.Modified = r.signed()
	// No count asks for more memory than what follows is worth.
	rest := uint64(len(r.data))
	return counts{
		packs:   r.number("the number of packs", rest/34),
		chunks:  r.number("the number of chunks", rest/36),
		entries: r.number("the number of entries", rest/7),
		extents: r.number("the number of extents", rest/2),
	}
}

func (r *columnReader) packs(n int) []pack {
	packs := make([]pack, n)
	for i := range packs {
		copy(packs[i].Name[:], r.bytes(len(digest{})))
	}
	for i := range packs {
		packs[i].Size = int64(r.number("the size of a pack", maxPack))
	}
	for i := range packs {
		packs[i].Salt = r.text()
	}
	return packs
}

func (r *columnReader) chunks(n, packs int) []chunk {
	chunks := make([]chunk, n)
	before := int64(0)
	for i := range chunks {
		before += r.signed()
		if before < 0 || before >= int64(packs) {
			r.fail(fmt.Errorf("chunk %d lies in pack %d of %d", i, before, packs))
			return nil
		}
		chunks[i].Pack = int(before)
	}
	steps := make([]int64, n)
	for i := range steps {
		steps[i] = r.signed()
	}
	for i := range chunks {
		chunks[i].Size = r.number("the size of a chunk", maxChunk)
	}
	for i := range chunks {
		chunks[i].Stored = chunks[i].Size - r.number("what a chunk saves", uint64(chunks[i].Size))
	}
	for i := range chunks {
		copy(chunks[i].Digest[:], r.bytes(len(digest{})))
	}
	pack, end := -1, int64(0)
	for i := range chunks {
		if chunks[i].Pack != pack {
			pack, end = chunks[i].Pack, 0
		}
		offset := end + steps[i]
		if offset < 0 || offset > maxPack {
			r.fail(fmt.Errorf("chunk %d lies at %d in its pack", i, offset))
			return nil
		}
		chunks[i].Offset = int(offset)
		end = offset + int64(chunks[i].Stored)
	}
	return chunks
}

func (r *columnReader) entries(n int) []entry {
	entries := make([]entry, n)
	for i, t := range r.bytes(n) {
		entries[i].Type = entryType(t)
	}
	if !r.paths(entries) {
		return nil
	}
	for i := range entries {
		entries[i].Mode = uint32(r.number("a mode", math.MaxUint32))
	}
	modified := int64(0)
	for i := range entries {
		modified += r.signed()
		entries[i].Modified = modified
	}
	for i := range entries {
		entries[i].Size = int64(r.number("the size of a file", math.MaxInt64))
	}
	for i := range entries {
		if entries[i].Type == typeLink {
			entries[i].Link = r.text()
		}
	}
	return entries
}

// paths reads the names of entries. Their sum is bounded, since each may repeat
// the one before at the cost of a byte.
func (r *columnReader) paths(entries []entry) bool {
	before, left := "", 1<<20+512*len(r.data)
	for i := range entries {
		shared := r.number("a shared prefix", uint64(len(before)))
		before = before[:shared] + r.text()
		entries[i].Path = before
		if left -= len(before); left < 0 {
			r.fail(errors.New("its paths exceed all bounds"))
		}
		if r.err != nil {
			return false
		}
	}
	return true
}

func (r *columnReader) extents(m *manifest, n int) {
	all := make([]extent, n)
	for i := range m.Entries {
		if count := r.number("the number of extents", uint64(len(all))); count > 0 {
			m.Entries[i].Extents, all = all[:count:count], all[count:]
		}
	}
	if len(all) > 0 {
		r.fail(errors.New("it has extents of no file"))
		return
	}
	next := int64(0)
	for i := range m.Entries {
		for j := range m.Entries[i].Extents {
			next += r.signed()
			if next < 0 || next >= int64(len(m.Chunks)) {
				r.fail(fmt.Errorf("%q names chunk %d of %d", m.Entries[i].Path, next, len(m.Chunks)))
				return
			}
			m.Entries[i].Extents[j].Chunk = int(next)
			next++
		}
	}
	for i := range m.Entries {
		end := int64(0)
		for j := range m.Entries[i].Extents {
			x := &m.Entries[i].Extents[j]
			x.Offset = end + r.signed()
			end = x.Offset + int64(m.Chunks[x.Chunk].Size)
		}
	}
}

// marks reads what the system kept of each file.
func (r *columnReader) marks(m *manifest) {
	if m.Place = r.text(); m.Place == "" || r.err != nil {
		return
	}
	device, inode := uint64(0), uint64(0)
	for f := range m.files {
		device += uint64(r.signed())
		f.Mark.device = device
	}
	for f := range m.files {
		inode += uint64(r.signed())
		f.Mark.inode = inode
	}
	for f := range m.files {
		f.Mark.changed = f.Modified + r.signed()
	}
}
