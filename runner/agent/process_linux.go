package agent

import (
	"math"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes prepares the calling goroutine to fork into a cgroup. leave is
// called after the fork.
func attributes(cg *cgroup) (attr *syscall.SysProcAttr, leave func(), err error) {
	attr = &syscall.SysProcAttr{Setpgid: true}
	if cg == nil {
		return attr, func() {}, nil
	}
	leave, err = cg.enter(attr)
	return attr, leave, err
}

// lockThread binds the goroutine to its thread for good: the thread ends with
// the goroutine, and what was done to it ends too.
func lockThread() { runtime.LockOSThread() }

// keepOpenFiles has no process inherit what this one has open, or has inherited
// itself from whatever started it. An old kernel refuses, which costs nothing
// but that.
func keepOpenFiles() {
	const firstOther = 3
	_ = unix.CloseRange(firstOther, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

// becomeSubreaper makes orphaned descendants children of this process, so that
// they can be found and collected.
func becomeSubreaper() error {
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}
