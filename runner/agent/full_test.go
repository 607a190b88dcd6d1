//go:build unix

package agent

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// A bucket that is full is no full disk of the instance, though a folder says
// it with the same number.
func TestIsFull(t *testing.T) {
	for _, row := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("copy: %w", syscall.ENOSPC), true},
		{syscall.EDQUOT, true},
		{&checkpointing.Error{Code: checkpointing.CodeFull, Op: "restore", Err: syscall.ENOSPC}, true},
		{&bucket.Error{Code: bucket.CodeFull, Op: "put", Key: "data/x", Err: syscall.ENOSPC}, false},
		{fmt.Errorf("save: %w", &bucket.Error{Code: bucket.CodeFull, Err: syscall.ENOSPC}), false},
		{errors.New("else"), false},
	} {
		if got := isFull(row.err); got != row.want {
			t.Errorf("%v: %t", row.err, got)
		}
	}
}
