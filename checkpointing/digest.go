package checkpointing

import (
	"encoding/hex"

	"github.com/zeebo/blake3"
)

// digest is a BLAKE3-256 of content.
type digest [32]byte

func digestOf(content []byte) digest { return blake3.Sum256(content) }

func (d digest) String() string { return hex.EncodeToString(d[:]) }
