package local

import (
	"bytes"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// process is a line of the process table.
type process struct {
	pid, parent, group int
	zombie             bool
	start              string
}

const zombieState = 5 // SZOMB in sys/proc.h

// processes is the process table.
func processes() []process {
	infos, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	table := make([]process, 0, len(infos))
	for i := range infos {
		table = append(table, fromKinfo(&infos[i]))
	}
	return table
}

func fromKinfo(info *unix.KinfoProc) process {
	return process{
		pid: int(info.Proc.P_pid), parent: int(info.Eproc.Ppid), group: int(info.Eproc.Pgid),
		zombie: info.Proc.P_stat == zombieState,
		start:  fmt.Sprintf("%d.%06d", info.Proc.P_starttime.Sec, info.Proc.P_starttime.Usec),
	}
}

// marked reports whether the process was started with this entry in its
// environment.
func marked(pid int, entry string) bool {
	data, err := unix.SysctlRaw("kern.procargs2", pid)
	return err == nil && bytes.Contains(data, append(append([]byte{0}, entry...), 0))
}

// processStart is when a living process started; "" if there is none.
func processStart(pid int) string {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(info.Proc.P_pid) != pid {
		return ""
	}
	p := fromKinfo(info)
	if p.zombie {
		return ""
	}
	return p.start
}

// bootID is another one after every boot of the machine.
var bootID = sync.OnceValue(func() string {
	id, _ := unix.Sysctl("kern.bootsessionuuid")
	return id
})

// machineMemory is the machine's memory in bytes.
var machineMemory = sync.OnceValue(func() int64 {
	n, _ := unix.SysctlUint64("hw.memsize")
	return int64(n)
})
