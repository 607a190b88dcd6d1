//go:build unix && !linux

package agent

import "syscall"

// attributes of a new process; there are no cgroups here.
func attributes(*cgroup) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// orphaned: what is left of a task cannot be told from others here.
func (*processes) orphaned() bool { return true }

// keepOpenFiles: what this process opens is kept from others in any case.
func keepOpenFiles() {}

// becomeSubreaper: there is no such thing here; orphans go to the system.
func becomeSubreaper() error { return nil }
