package agent

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes of a new process, in a cgroup.
func attributes(cg *cgroup) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	cg.enter(attr)
	return attr
}

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

// orphaned reports whether this process has a child that it did not start, or
// cannot tell: what descends from a task is handed to it when its own parent
// ends.
func (ps *processes) orphaned() bool {
	if !ps.reap {
		return true
	}
	// Orphans go to the first thread; the file shows that thread's children,
	// ended ones too.
	self := strconv.Itoa(os.Getpid())
	data, err := os.ReadFile("/proc/self/task/" + self + "/children")
	if err != nil {
		return true
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for field := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(field); err != nil || ps.waiting[pid] == nil {
			return true
		}
	}
	return false
}
