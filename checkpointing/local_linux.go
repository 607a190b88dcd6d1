package checkpointing

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setTime sets a file's time to the nanosecond.
func setTime(fd int, modified int64) error {
	t := [2]unix.Timespec{unix.NsecToTimespec(modified), unix.NsecToTimespec(modified)}
	return uninterrupted(func() error {
		// utimensat without a path is futimens, which x/sys does not have.
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&t)), 0, 0, 0) //nolint:gosec // as x/sys itself makes its calls
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// allocate reserves room for a file without holes, where the file system can,
// so that it lies in few pieces. In memory there are none: each page would be
// made before the first byte is fetched, and not while others are.
func (f *localFile) allocate(size int64) error {
	var fs unix.Statfs_t
	if err := uninterrupted(func() error { return unix.Fstatfs(f.fd, &fs) }); err == nil && fs.Type == unix.TMPFS_MAGIC {
		return nil
	}
	err := uninterrupted(func() error { return unix.Fallocate(f.fd, 0, 0, size) })
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return f.fail("reserve room for", err)
	}
	return nil
}

// data is the next stretch of a file at or after offset that is no hole; none
// when start is size.
func (f *localFile) data(offset, size int64) (start, end int64) {
	start, err := unix.Seek(f.fd, offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size
	}
	if err != nil {
		return offset, size
	}
	end, err = unix.Seek(f.fd, start, unix.SEEK_HOLE)
	if err != nil {
		return start, size
	}
	return min(start, size), min(end, size)
}

// adviseHuge asks for large pages, which cost fewer faults; it does not matter
// when there are none.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// willNeed begins to read a stretch of a file from the disk. Several goroutines
// that read one file defeat what the system does by itself.
func (f *localFile) willNeed(offset, length int64) {
	_ = unix.Fadvise(f.fd, offset, length, unix.FADV_WILLNEED) // it is an advice
}
