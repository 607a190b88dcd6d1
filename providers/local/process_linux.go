package local

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"
)

// process is a line of the process table.
type process struct {
	pid, parent, group int
	zombie             bool
	start              string
}

// readProcess reads /proc/<pid>/stat; see proc(5).
func readProcess(pid int) (process, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	text := string(data)
	// The second field is the program's name in parentheses, with anything in it.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return process{}, false
	}
	parent, _ := strconv.Atoi(fields[1])
	group, _ := strconv.Atoi(fields[2])
	// The first thread of a killed process may be a zombie while others still
	// hold the process's files and memory.
	threads, _ := strconv.Atoi(fields[17])
	return process{
		pid: pid, parent: parent, group: group,
		zombie: (fields[0] == "Z" || fields[0] == "X") && threads <= 1, start: fields[19],
	}, true
}

// processes is the process table.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var table []process
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := readProcess(pid); ok {
				table = append(table, p)
			}
		}
	}
	return table
}

// marked reports whether the process was started with this entry in its
// environment.
func marked(pid int, entry string) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for _, have := range bytes.Split(data, []byte{0}) {
		if string(have) == entry {
			return true
		}
	}
	return false
}

// processStart is when a living process started, in clock ticks since the
// machine's boot; "" if there is none.
func processStart(pid int) string {
	p, ok := readProcess(pid)
	if !ok || p.zombie {
		return ""
	}
	return p.start
}

// bootID is another one after every boot of the machine.
var bootID = sync.OnceValue(func() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
})

// machineMemory is the machine's memory in bytes.
var machineMemory = sync.OnceValue(func() int64 {
	data, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10
		}
	}
	return 0
})
