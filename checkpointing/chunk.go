package checkpointing

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
)

const (
	// chunkSize is how much content a chunk holds at most. Files are cut at
	// its multiples, so that what is appended or changed in place leaves the
	// other chunks as they were.
	chunkSize = 4 << 20
	// smallFile is the size below which files share chunks.
	smallFile = 1 << 20
	// maxChunk is the largest chunk that a manifest may name, so that a reader
	// knows what memory it needs; room for larger ones in later versions.
	maxChunk = 64 << 20

	dataPrefix = "data/"
)

// The first byte of a stored chunk tells how the rest is to be read.
const (
	formPlain byte = 0
	formZstd  byte = 1
)

// digest is a BLAKE3-256 of content.
type digest [32]byte

func digestOf(content []byte) digest { return blake3.Sum256(content) }

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes it in hex.
func (d digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes and nothing else.
func (d *digest) UnmarshalText(text []byte) error {
	if len(text) != 2*len(d) {
		return fmt.Errorf("a digest has %d hex digits, this has %d characters", 2*len(d), len(text))
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("a digest is in lower case hex; it has %q", c)
		}
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// chunk names content in the bucket.
type chunk struct {
	Digest digest `json:"digest"`         // of the content
	Size   int    `json:"size"`           // of the content
	Salt   string `json:"salt,omitempty"` // sets it apart from a chunk that is being collected
}

// key is where the chunk lies.
func (c chunk) key() string {
	name := c.Digest.String()
	key := dataPrefix + name[:2] + "/" + name
	if c.Salt != "" {
		key += "-" + c.Salt
	}
	return key
}

// codec turns content into its stored form and back. It is made once and used
// from any number of goroutines.
type codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder // never unpacks past the capacity it is given
}

var sharedCodec = sync.OnceValue(func() *codec {
	// The options are constants; the errors are about impossible ones.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(parallel), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(parallel), zstd.WithDecoderMaxMemory(maxManifest), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err)
	}
	return &codec{encoder: encoder, decoder: decoder}
})

// sampleSize is how much of a chunk is tried to see whether compression pays.
const sampleSize = 64 << 10

// encode appends the stored form of content to dst. It is never longer than
// content by more than the first byte.
func (c *codec) encode(dst, content []byte) []byte {
	if c.pays(content) {
		dst = c.encoder.EncodeAll(content, append(dst, formZstd))
		if len(dst) <= len(content) {
			return dst
		}
		dst = dst[:0]
	}
	return append(append(dst, formPlain), content...)
}

func (c *codec) pays(content []byte) bool {
	if len(content) <= 2*sampleSize {
		return len(content) > 64
	}
	middle := len(content)/2 - sampleSize/2
	sample := content[middle : middle+sampleSize]
	return len(c.encoder.EncodeAll(sample, nil)) < sampleSize*15/16
}

var errChunkForm = errors.New("its form is unknown")

// decode gives the content of a stored chunk, which must be size bytes long.
// It uses buffer if that is large enough, and no more memory than size.
func (c *codec) decode(buffer, stored []byte, size int) ([]byte, error) {
	if len(stored) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	content := stored[1:]
	switch stored[0] {
	case formPlain:
	case formZstd:
		if cap(buffer) < size {
			buffer = make([]byte, 0, size)
		}
		var err error
		if content, err = c.decoder.DecodeAll(content, buffer[:0:size]); err != nil {
			return nil, err
		}
	default:
		return nil, errChunkForm
	}
	if len(content) != size {
		return nil, fmt.Errorf("it holds %d bytes and not %d", len(content), size)
	}
	return content, nil
}

// isZero tells whether content is all zero.
func isZero(content []byte) bool {
	for len(content) >= 8 {
		if content[0]|content[1]|content[2]|content[3]|content[4]|content[5]|content[6]|content[7] != 0 {
			return false
		}
		content = content[8:]
	}
	for _, b := range content {
		if b != 0 {
			return false
		}
	}
	return true
}
