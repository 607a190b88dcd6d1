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
	field := func(data string) {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(data)))
		_, _ = h.Write(length[:]) // a hash never fails
		_, _ = h.WriteString(data)
	}
	number := func(n int64) {
		var value [8]byte
		binary.LittleEndian.PutUint64(value[:], uint64(n))
		_, _ = h.Write(value[:])
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
			field(string(m.Chunks[x.Chunk].Digest[:]))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
