//go:build darwin || freebsd || netbsd

package agent

import (
	"runtime"
	"syscall"
)

func changeTime(s *syscall.Stat_t) int64 { return s.Ctimespec.Nano() }

// maxResident is a process's largest resident memory in bytes; macOS counts in
// bytes, the others in KiB.
func maxResident(u *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) * 1024
}
