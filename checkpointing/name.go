package checkpointing

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// ManifestName is the last element of a checkpoint's key, such as
// 000002-000000000017 for the 17th of attempt 2. Names sort as their IDs do,
// up to a million attempts and a billion sequences times a thousand.
func ManifestName(id ID) string {
	return fmt.Sprintf("%06d-%012d", id.Attempt, id.Sequence)
}

// ParseManifestName is the inverse of ManifestName; it accepts nothing that
// ManifestName does not make.
func ParseManifestName(name string) (ID, bool) {
	attempt, sequence, found := strings.Cut(name, "-")
	if !found {
		return ID{}, false
	}
	a, err := strconv.ParseUint(attempt, 10, 31)
	if err != nil {
		return ID{}, false
	}
	s, err := strconv.ParseUint(sequence, 10, 63)
	if err != nil {
		return ID{}, false
	}
	id := ID{Attempt: int(a), Sequence: int64(s)}
	return id, ManifestName(id) == name
}

// idOfKey is the ID in a checkpoint's key.
func idOfKey(key string) (ID, bool) { return ParseManifestName(path.Base(key)) }
