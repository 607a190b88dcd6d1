package store

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdMagic begins every zstd frame; no JSON document begins so.
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxDocument*4), zstd.WithDecoderConcurrency(2))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

func compress(data []byte) []byte { return encoder().EncodeAll(data, nil) }

// compressor compresses what is written to it, a part after the other, each a
// frame of its own: what reads one frame reads any number.
type compressor struct {
	plain []byte // not compressed yet
	out   []byte
}

// part is how much is compressed at once.
const part = 1 << 20

// Write implements io.Writer; it gives no errors.
func (c *compressor) Write(p []byte) (int, error) {
	c.plain = append(c.plain, p...)
	if len(c.plain) >= part {
		c.flush()
	}
	return len(p), nil
}

func (c *compressor) flush() {
	c.out = encoder().EncodeAll(c.plain, c.out)
	c.plain = c.plain[:0]
}

// bytes is all that was written, compressed.
func (c *compressor) bytes() []byte {
	if len(c.plain) > 0 {
		c.flush()
	}
	return c.out
}

// decompress undoes compress; data that is not compressed comes back as it is.
func decompress(key string, data []byte) ([]byte, error) {
	if !bytes.HasPrefix(data, zstdMagic) {
		return data, nil
	}
	plain, err := decoder().DecodeAll(data, nil)
	if err != nil {
		return nil, corrupt(key, "decompressing it: %w", err)
	}
	return plain, nil
}
