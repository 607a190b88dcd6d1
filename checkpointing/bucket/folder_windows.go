package bucket

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

const (
	openNonblock = 0

	// lockCreates: a listing has no file ids here, so versions rest on the
	// time alone, and creation takes the lock to choose it.
	lockCreates = true
)

func inode(fs.FileInfo) uint64 { return 0 }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

func isTooLong(err error) bool {
	return errors.Is(err, windows.ERROR_FILENAME_EXCED_RANGE)
}

func isNotDir(err error) bool { return errors.Is(err, windows.ERROR_DIRECTORY) }

func isDir(error) bool { return false }

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

func isLinkRefused(err error) bool {
	return errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_SUPPORTED)
}

// rmdir removes an empty directory and nothing else.
func rmdir(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return windows.ERROR_DIRECTORY
	}
	return root.Remove(name)
}

// syncDir does nothing: NTFS journals its directories and gives no handle to
// flush them by.
func syncDir(*os.Root, string) error { return nil }
