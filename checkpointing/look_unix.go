//go:build !windows

package checkpointing

import (
	"errors"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// isReplaced: something that is no file, or a link, has taken its place.
func isReplaced(err error) bool {
	return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR)
}

// lookAt looks at an entry of a directory, at a link itself.
func lookAt(dir *os.File, name string) (look, error) {
	var stat unix.Stat_t
	err := uninterrupted(func() error { return unix.Fstatat(int(dir.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW) })
	runtime.KeepAlive(dir)
	if err != nil {
		return look{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return lookOf(&stat), nil
}

func lookOf(stat *unix.Stat_t) look {
	l := look{
		signature: signature{
			device: uint64(stat.Dev), inode: stat.Ino, size: stat.Size,
			modified: stat.Mtim.Nano(), changed: stat.Ctim.Nano(),
		},
		mode:      fs.FileMode(stat.Mode & 0o777),
		allocated: stat.Blocks * 512,
		links:     uint64(stat.Nlink),
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		l.mode |= fs.ModeDir
	case unix.S_IFLNK:
		l.mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		l.mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		l.mode |= fs.ModeSocket
	case unix.S_IFCHR, unix.S_IFBLK:
		l.mode |= fs.ModeDevice
	default:
		l.mode |= fs.ModeIrregular
	}
	return l
}

// uninterrupted repeats a call that a signal has interrupted.
func uninterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
