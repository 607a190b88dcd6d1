package job

import (
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// NewRunID makes a run's id: lower-case ULID, so ids sort by the submitter's
// time and need no coordination. Randomness comes from entropy.
func NewRunID(now time.Time, entropy io.Reader) (string, error) {
	id, err := ulid.New(ulid.Timestamp(now), entropy)
	if err != nil {
		return "", err
	}
	return strings.ToLower(id.String()), nil
}

// ValidRunID reports whether id can be a run's id, so that it is safe in a key.
func ValidRunID(id string) bool {
	_, err := ulid.ParseStrict(strings.ToUpper(id))
	return err == nil && id == strings.ToLower(id)
}
