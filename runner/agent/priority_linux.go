package agent

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	// lowPriority is a tenth of the weight of others. At the lowest one a thread
	// beside a task that uses all processors waits 200 ms each time it wakes
	// (EEVDF: a slice divided by its weight), and so would a save for it to stop.
	lowPriority = 10
	// ioprio_set(2): a process or thread, and the idle class.
	ioprioWhoProcess = 1
	ioprioIdle       = 3 << 13
)

// giveWay puts the calling goroutine on a thread of its own that lets others
// have the processor first, and works on the disk when nothing else wants to.
// The thread ends with the goroutine, since it is never unlocked: without powers
// nobody can raise it again. That a kernel or a sandbox refuses is no failure;
// the limits on reading and sending hold all the same.
func giveWay() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowPriority)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle)
}
