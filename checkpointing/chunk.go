package checkpointing

import "encoding/binary"

const (
	// regionSize is how large files are cut: at its multiples, so that what is
	// appended or changed in place leaves the other chunks as they were.
	regionSize = 1 << 20
	// smallFile is the size below which a file is one chunk.
	smallFile = regionSize
	// maxChunk is the largest chunk that a manifest may name, so that a reader
	// knows what memory it needs.
	maxChunk = 16 << 20

	dataPrefix = "data/"
)

// chunk is content, and where it lies in a pack.
type chunk struct {
	Digest digest // of the content
	Size   int    // of the content
	Pack   int    // index in the manifest's packs
	Offset int    // in the pack
	Stored int    // length in the pack; less than Size when it is a zstd frame
}

// isZero tells whether content is all zero.
func isZero(content []byte) bool {
	for len(content) >= 32 {
		if binary.LittleEndian.Uint64(content)|binary.LittleEndian.Uint64(content[8:])|
			binary.LittleEndian.Uint64(content[16:])|binary.LittleEndian.Uint64(content[24:]) != 0 {
			return false
		}
		content = content[32:]
	}
	for _, b := range content {
		if b != 0 {
			return false
		}
	}
	return true
}
