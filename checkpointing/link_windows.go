package checkpointing

import (
	"errors"
	"os"
)

// linkBetween is not to be had here; the file is copied.
func linkBetween(_, _ *os.Root, _ string) error { return errors.ErrUnsupported }
