//go:build !windows && !linux

package checkpointing

import "golang.org/x/sys/unix"

// setTime sets a file's time to the microsecond.
func setTime(fd int, modified int64) error {
	t := unix.NsecToTimeval(modified)
	return uninterrupted(func() error { return unix.Futimes(fd, []unix.Timeval{t, t}) })
}

func (f *localFile) allocate(int64) error { return nil }

func (f *localFile) data(offset, size int64) (start, end int64) { return offset, size }

func adviseHuge([]byte) {}

func (f *localFile) willNeed(int64, int64) {}
