package sim

import (
	"fmt"
	"hash/fnv"
	"math"
	"time"
)

// Seed decides everything that is left to chance. A decision is named by what
// it is about and not by its place in a sequence, so that it is the same however
// the goroutines of a run interleave.
type Seed uint64

// chance is a number from [0, 1) for a decision.
func (s Seed) chance(names ...any) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, uint64(s))
	for _, name := range names {
		fmt.Fprint(h, "\x00", name)
	}
	return float64(mix(h.Sum64())>>11) / (1 << 53)
}

// mix spreads what differs in a few bits over all of them (splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// happens reports whether something of a probability does.
func (s Seed) happens(probability float64, names ...any) bool {
	return probability > 0 && s.chance(names...) < probability
}

// between is a whole number of [least, most].
func (s Seed) between(least, most int, names ...any) int {
	return least + int(s.chance(names...)*float64(most-least+1))
}

// span is a duration of [least, most).
func (s Seed) span(least, most time.Duration, names ...any) time.Duration {
	return least + time.Duration(s.chance(names...)*float64(most-least))
}

// wait is how long something takes that has a rate for each hour: exponential.
// Without a rate it is for ever.
func (s Seed) wait(perHour float64, names ...any) time.Duration {
	if perHour <= 0 {
		return math.MaxInt64
	}
	hours := -math.Log(1-s.chance(names...)) / perHour
	if hours > 1e6 {
		return math.MaxInt64
	}
	return time.Duration(hours * float64(time.Hour))
}
