//go:build !windows

package checkpointing

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func mapBuffer(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("no memory for a pack of %d bytes: %w", size, err)
	}
	adviseHuge(b)
	return b, nil
}

// unmapBuffer fails only for what mapBuffer did not give.
func unmapBuffer(b []byte) { _ = unix.Munmap(b) }
