package checkpointing

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/windows"
)

const openNonblock = 0

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

func fileIdentity(fs.FileInfo) (inode uint64, changed int64) { return 0, 0 }
