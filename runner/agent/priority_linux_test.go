package agent

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The thread that gives way is of a low priority and ends with its
// goroutine; the others are as they were.
func TestGiveWay(t *testing.T) {
	type priority struct {
		nice, io int
		thread   int
	}
	read := func() priority {
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			t.Error(err)
		}
		io, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, 0, 0)
		return priority{20 - nice, int(io), unix.Gettid()} // the system call gives 20-nice
	}
	before, low := make(chan priority, 1), make(chan priority, 1)
	go func() {
		giveWay()
		low <- read()
	}()
	got := <-low
	if got.nice != lowPriority || got.io != ioprioIdle {
		t.Errorf("the thread has %+v", got)
	}
	// The runtime parks the process's first thread instead of ending it.
	if got.thread != unix.Getpid() && !until(func() bool { return unix.Tgkill(unix.Getpid(), got.thread, 0) != nil }) {
		t.Error("its thread lives on")
	}
	for range 20 {
		go func() { before <- read() }()
		if other := <-before; other.nice == lowPriority {
			t.Fatalf("a goroutine of others runs with %+v", other)
		}
	}
}
