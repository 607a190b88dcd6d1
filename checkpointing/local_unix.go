//go:build !windows

package checkpointing

import (
	"errors"
	"io/fs"
	"syscall"
)

// openNonblock keeps an open from waiting when a FIFO took a file's place.
const openNonblock = syscall.O_NONBLOCK

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

func fileIdentity(info fs.FileInfo) (inode uint64, changed int64) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return uint64(stat.Ino), changeTime(stat)
}
