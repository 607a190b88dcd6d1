package agent

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func mountSmall(dir string) error { return unix.Mount("tmpfs", dir, "tmpfs", 0, "size=12m") }

func unmount(dir string) { _ = unix.Unmount(dir, unix.MNT_DETACH) }

// pidNamespace makes a process the first of its own namespace.
func pidNamespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
}

// mountProc gives a process that is the first of its namespace a /proc of that.
func mountProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("proc", "/proc", "proc", 0, "")
}
