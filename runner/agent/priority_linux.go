package agent

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	lowPriority = 10
	// ioprio_set(2): a process or thread, and the idle class.
	ioprioWhoProcess = 1
	ioprioIdle       = 3 << 13
)

// giveWay puts the calling goroutine on a thread of its own that works when
// nothing else wants the processor or the disk. The thread ends with the
// goroutine, since it is never unlocked: without powers nobody can raise it
// again. That a kernel or a sandbox refuses is no failure; the limits on
// reading and sending hold all the same.
func giveWay() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowPriority)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle)
}
