package checkpointing

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/blake3"
)

// content is the digest of what a restore would give, in names, kinds, sizes
// and bytes: not of modes and times, nor of the manifest's own place. Two
// saves of the same content have the same one. An empty directory has "".
func (m *manifest) content() string {
	if len(m.Entries) == 0 {
		return ""
	}
	h := blake3.New()
	row := make([]byte, 0, 4<<10) // a hash takes much at once sooner than little often
	number := func(n int64) { row = binary.LittleEndian.AppendUint64(row, uint64(n)) }
	field := func(data string) {
		number(int64(len(data)))
		row = append(row, data...)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		field(e.Path)
		number(int64(e.Type))
		field(e.Link)
		number(e.Size)
		number(int64(len(e.Extents)))
		for _, x := range e.Extents {
			number(x.Offset)
			number(int64(len(digest{})))
			row = append(row, m.Chunks[x.Chunk].Digest[:]...)
		}
		_, _ = h.Write(row) // it never fails
		row = row[:0]
	}
	return hex.EncodeToString(h.Sum(nil))
}
