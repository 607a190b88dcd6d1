package job

import (
	"crypto/sha256"
	"encoding/binary"
)

// SeedOf is the seed of an index, SPOTRELAY_SEED to its program: above 0 and
// below 2^32, which every generator of random numbers takes. It is made from
// the task's name and the index alone (of a for_each: the key), so that it is
// the same in each attempt, and in each run of the task. The indexes of an
// array by count have seeds that all differ.
func (t *Task) SeedOf(index int) uint64 {
	sum := sha256.Sum256([]byte("spotrelay seed 1\x00" + t.Name + "\x00" + t.KeyOf(index)))
	seed := binary.LittleEndian.Uint32(sum[:])
	if t.KeyOf(index) == "" {
		seed += uint32(index)
	}
	// The finalizer of MurmurHash3: one to one, so no two indexes meet.
	seed ^= seed >> 16
	seed *= 0x85ebca6b
	seed ^= seed >> 13
	seed *= 0xc2b2ae35
	seed ^= seed >> 16
	return max(uint64(seed), 1)
}
