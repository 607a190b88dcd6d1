package jobspec

import (
	"slices"

	"github.com/agext/levenshtein"
)

// nearest is the candidate that given was likely meant to be, "" when none is
// near enough to be worth a question.
func nearest(given string, candidates []string) string {
	best, bestDistance := "", 0
	for _, candidate := range candidates {
		if candidate == given {
			continue
		}
		distance := levenshtein.Distance(given, candidate, nil)
		if distance > max(1, min(len(given), len(candidate))/3) && !(distance == 2 && sameLetters(given, candidate)) || distance >= max(len(given), len(candidate)) {
			continue
		}
		if best == "" || distance < bestDistance || distance == bestDistance && candidate < best {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// sameLetters tells words with two letters exchanged: jion, join.
func sameLetters(a, b string) bool {
	return slices.Equal(slices.Sorted(slices.Values([]byte(a))), slices.Sorted(slices.Values([]byte(b))))
}

// sorted is a sorted copy of names.
func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}
