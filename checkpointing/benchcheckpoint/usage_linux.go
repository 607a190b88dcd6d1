package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// peak is the largest resident memory of an ended process in bytes. The system
// starts it at that of this process, which is kept small.
func peak(state *os.ProcessState) int64 {
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss << 10
	}
	return 0
}

// processorTime is what this process has used, in seconds.
func processorTime() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// free is the room in dir: the file system's, and for one in memory no more
// than the memory that is left.
func free(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	room := int64(fs.Bavail) * fs.Bsize
	if fs.Type != unix.TMPFS_MAGIC {
		return room, nil
	}
	memory, err := available()
	return min(room, memory), err
}

// available is the memory that may be taken without swapping.
func available() (int64, error) {
	all, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return kibAfter(string(all), "MemAvailable:")
}

// device tells file systems apart.
func device(dir string) uint64 {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return 0
	}
	return s.Dev
}

// peakOf is the largest resident memory so far of a process that runs.
func peakOf(pid int) int64 {
	all, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	n, err := kibAfter(string(all), "VmHWM:")
	if err != nil {
		return 0
	}
	return n
}

// kibAfter is the number of KiB after a name, in bytes.
func kibAfter(all, name string) (int64, error) {
	_, rest, _ := strings.Cut(all, name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("the system names no " + name)
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	return n << 10, err
}
