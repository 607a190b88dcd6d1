//go:build unix && !linux

package agent

import "syscall"

// attributes of a new process; there are no cgroups here.
func attributes(*cgroup) (attr *syscall.SysProcAttr, leave func(), err error) {
	return &syscall.SysProcAttr{Setpgid: true}, func() {}, nil
}

// keepOpenFiles: what this process opens is kept from others in any case.
func keepOpenFiles() {}

// becomeSubreaper: there is no such thing here; orphans go to the system.
func becomeSubreaper() error { return nil }
