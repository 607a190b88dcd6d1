package checkpointing

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// codec packs content and unpacks it. It is made once and used from any number
// of goroutines.
type codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder // never unpacks past the capacity it is given
}

var sharedCodec = sync.OnceValue(func() *codec {
	// The options are constants; the errors are about impossible ones.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithEncoderCRC(false), zstd.WithWindowSize(regionSize))
	if err != nil {
		panic(err)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecoderMaxMemory(maxManifest), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err)
	}
	return &codec{encoder: encoder, decoder: decoder}
})

// Of a chunk a sample from its middle is tried to see whether compression pays:
// a quarter, from leastSample to mostSample bytes. Content that does not
// compress is given up at 5 GB/s, so that this costs little beside its hashing.
const (
	leastSample = 4 << 10
	mostSample  = 32 << 10
)

// pays tells whether packed content is so much smaller that unpacking it is
// worth while: a tenth. Weights in float32 give less.
func pays(packed, content int) bool { return packed <= content-content/10 }

// encode packs content in place if that pays and gives the length of what is
// now in it. The scratch buffer is used and returned, grown when need be.
func (c *codec) encode(content, scratch []byte) (stored int, _ []byte) {
	if len(content) < 64 {
		return len(content), scratch
	}
	if sample := min(len(content)/4, mostSample); sample >= leastSample {
		middle := len(content)/2 - sample/2
		scratch = c.encoder.EncodeAll(content[middle:middle+sample], scratch[:0])
		if !pays(len(scratch), sample) {
			return len(content), scratch
		}
	}
	scratch = c.encoder.EncodeAll(content, scratch[:0])
	if !pays(len(scratch), len(content)) {
		return len(content), scratch
	}
	return copy(content, scratch), scratch
}

// decode gives the content of a stored chunk, which must be size bytes long.
// It uses buffer, which must have that capacity, and no more memory.
func (c *codec) decode(buffer, stored []byte, size int) ([]byte, error) {
	if len(stored) == size {
		return stored, nil
	}
	content, err := c.decoder.DecodeAll(stored, buffer[:0:size])
	if err != nil {
		return nil, err
	}
	if len(content) != size {
		return nil, fmt.Errorf("it holds %d bytes and not %d", len(content), size)
	}
	return content, nil
}
