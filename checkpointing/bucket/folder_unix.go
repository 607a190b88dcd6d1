//go:build !windows

package bucket

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// openNonblock keeps an open from waiting when something planted a FIFO.
	openNonblock = syscall.O_NONBLOCK

	// lockCreates: creation needs no lock where inodes tell files apart.
	lockCreates = false
)

func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

func isTooLong(err error) bool  { return errors.Is(err, syscall.ENAMETOOLONG) }
func isNotDir(err error) bool   { return errors.Is(err, syscall.ENOTDIR) }
func isDir(err error) bool      { return errors.Is(err, syscall.EISDIR) }
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// isLinkRefused: the file system has no hard links, or a policy forbids them.
func isLinkRefused(err error) bool {
	for _, refused := range []error{syscall.EPERM, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EMLINK} {
		if errors.Is(err, refused) {
			return true
		}
	}
	return false
}

// rmdir removes an empty directory and nothing else, which os.Root.Remove
// would not promise.
func rmdir(root *os.Root, name string) error {
	parent, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer parent.Close()
	return unix.Unlinkat(int(parent.Fd()), path.Base(name), unix.AT_REMOVEDIR)
}

func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // some network file systems know no such thing
	}
	return err
}
