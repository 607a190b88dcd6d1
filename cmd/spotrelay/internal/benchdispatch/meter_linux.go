package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adopt makes what a measured program leaves behind (an instance, a daemon) a
// child of this process, so that what it uses counts.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// sampleEvery is how often the memory of a program's processes is summed up.
const sampleEvery = 100 * time.Millisecond

// meter measures all processes that descend from this one.
type meter struct {
	before float64
	ends   chan struct{}
	done   sync.WaitGroup
	peak   int64
}

func startMeter() (*meter, error) {
	m := &meter{before: childrenTime(), ends: make(chan struct{})}
	m.done.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.peak = max(m.peak, residentOf(descendants(os.Getpid())))
			case <-m.ends:
				return
			}
		}
	})
	return m, nil
}

// stop is the processor time and the largest memory since the start. It waits
// for what was left behind.
func (m *meter) stop() (seconds float64, peak int64) {
	for {
		_, err := syscall.Wait4(-1, nil, 0, nil)
		if err != nil && err != syscall.EINTR {
			break // there is no child left
		}
	}
	close(m.ends)
	m.done.Wait()
	return childrenTime() - m.before, m.peak
}

// childrenTime is what ended children have used, and theirs, in seconds.
func childrenTime() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// descendants are the processes below a process.
func descendants(root int) []int {
	entries, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, path := range entries {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
		if len(fields) > 1 {
			parent, _ := strconv.Atoi(string(fields[1]))
			children[parent] = append(children[parent], pid)
		}
	}
	found := children[root]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// residentOf is the resident memory of processes together, in bytes; what they
// share is counted for each.
func residentOf(pids []int) int64 {
	var pages int64
	for _, pid := range pids {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
		if err != nil {
			continue
		}
		if fields := bytes.Fields(data); len(fields) > 1 {
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			pages += n
		}
	}
	return pages * int64(os.Getpagesize())
}
