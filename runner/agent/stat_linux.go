package agent

import "syscall"

func changeTime(s *syscall.Stat_t) int64 { return s.Ctim.Nano() }

// maxResident is a process's largest resident memory in bytes.
func maxResident(u *syscall.Rusage) int64 { return u.Maxrss * 1024 }
