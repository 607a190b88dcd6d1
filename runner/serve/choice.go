package serve

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// weight is how much a controller is meant for a run: the one with the most
// takes it (rendezvous hashing, Thaler and Ravishankar 1998). When a controller
// comes or goes only its own share of the runs moves.
func weight(controller, run string) uint64 {
	sum := sha256.Sum256([]byte(controller + "\x00" + run))
	return binary.BigEndian.Uint64(sum[:])
}

// rank is how many of the living are meant more for a run than self is.
func rank(self, run string, living []sighting) int {
	n, own := 0, weight(self, run)
	for _, other := range living {
		if other.id != self && other.hasRoom() && weight(other.id, run) > own {
			n++
		}
	}
	return n
}

// excess is how many runs a controller should hand over to the others: what it
// has beyond its share, and beyond a slack that keeps runs from wandering to
// and fro. Sums are over all that live, itself among them.
func excess(own, all, controllers int) int {
	if controllers < 2 {
		return 0
	}
	share := int(math.Ceil(float64(all) / float64(controllers)))
	slack := max(2, share/5)
	return max(0, own-share-slack)
}
