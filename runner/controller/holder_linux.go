package controller

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// bootID changes with every boot of the kernel.
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// processNamespace names the set of process ids that this process sees.
func processNamespace() string {
	name, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return name
}

// processStart is when a process started, in ticks since the boot; "" for one
// that is gone or a zombie, known false when that cannot be told.
func processStart(pid int) (start string, known bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		// With hidepid others' processes look gone: then even our own
		// namespace's first one does.
		_, first := os.Stat("/proc/1/stat")
		return "", errors.Is(err, fs.ErrNotExist) && first == nil
	}
	// The second field is the command in brackets and may hold anything.
	i := bytes.LastIndexByte(data, ')')
	if i < 0 {
		return "", false
	}
	fields := strings.Fields(string(data[i+1:]))
	if len(fields) < 20 {
		return "", false
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", true
	}
	return fields[19], true // field 22 of proc(5)
}
