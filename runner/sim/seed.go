package sim

import (
	"fmt"
	"math"
	"time"
)

// Seed decides everything that is left to chance. A decision is named by what
// it is about and not by its place in a sequence, so that it is the same however
// the goroutines of a run interleave.
type Seed uint64

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// hashText adds a text to a hash (FNV-1a), and its end.
func hashText(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * fnvPrime
	}
	return (h ^ 0xff) * fnvPrime
}

// hashNumber adds a number to a hash.
func hashNumber(h, n uint64) uint64 { return mix(h ^ n*fnvPrime) }

// hash is a seed's number for a decision.
func (s Seed) hash(names ...any) uint64 {
	h := hashNumber(fnvOffset, uint64(s))
	for _, name := range names {
		switch name := name.(type) {
		case string:
			h = hashText(h, name)
		case int:
			h = hashNumber(h, uint64(name))
		case uint64:
			h = hashNumber(h, name)
		case time.Duration:
			h = hashNumber(h, uint64(name))
		default:
			h = hashText(h, fmt.Sprint(name))
		}
	}
	return h
}

// mix spreads what differs in a few bits over all of them (splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// part is a hash as a number from [0, 1).
func part(hash uint64) float64 { return float64(mix(hash)>>11) / (1 << 53) }

// chance is a number from [0, 1) for a decision.
func (s Seed) chance(names ...any) float64 { return part(s.hash(names...)) }

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

// scale is a number of [least, most), any power of ten in it as likely as
// another.
func (s Seed) scale(least, most float64, names ...any) float64 {
	return least * math.Pow(most/least, s.chance(names...))
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
