package plan

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// backoff is the pause after the nth failure, from 1: Initial * Factor^(n-1),
// at most Max. With jitter it is uniform in the upper half of that, by a hash
// of the seed and of whose pause it is, so that a plan can be repeated.
func backoff(b job.Backoff, n int, seed uint64, task string, index int) Time {
	pause := float64(b.Initial) * math.Pow(max(b.Factor, 1), float64(n-1))
	if b.Max > 0 {
		pause = min(pause, float64(b.Max))
	}
	pause = min(pause, float64(math.MaxInt64/4))
	if b.Jitter {
		pause *= 0.5 + 0.5*chance(seed, task, index, n)
	}
	return Time(pause).Round(time.Millisecond)
}

// chance is a number in [0, 1) that the arguments alone decide.
func chance(seed uint64, task string, index, n int) float64 {
	h := fnv.New64a()
	var numbers [24]byte
	binary.LittleEndian.PutUint64(numbers[0:], seed)
	binary.LittleEndian.PutUint64(numbers[8:], uint64(index))
	binary.LittleEndian.PutUint64(numbers[16:], uint64(n))
	h.Write(numbers[:])
	h.Write([]byte(task))
	// FNV's upper bits are poor for short inputs; splitmix64's last step mixes.
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}
