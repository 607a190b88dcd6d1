package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// strays are the live processes of a process group, or with the variable marker
// in their first environment; a marker that ends in a slash is a prefix.
func strays(group int, marker string) []int {
	// The pids of a /proc that is another namespace's mean other processes.
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid <= 1 || pid == os.Getpid() {
			continue
		}
		in, alive := inGroup(pid, group)
		if alive && (in || marked(pid, marker)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// threads are the ids of all threads of the processes, those of the processes
// among them.
func threads(pids []int) []int {
	ids := []int{}
	for _, pid := range pids {
		entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if id, err := strconv.Atoi(entry.Name()); err == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// living are those of pids that are no zombies.
func living(pids []int) []int {
	var alive []int
	for _, pid := range pids {
		if _, ok := inGroup(pid, 0); ok && pid != os.Getpid() {
			alive = append(alive, pid)
		}
	}
	return alive
}

// inGroup reads /proc/<pid>/stat: whether the process is in the group, and
// whether it is alive at all.
func inGroup(pid, group int) (in, alive bool) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false, false
	}
	// The name in parentheses may hold anything; state, parent and group follow
	// the last one.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 3 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return false, false
	}
	return string(fields[2]) == strconv.Itoa(group), true
}

// marked reports whether the environment that the process was started with
// holds marker. What users run beside an attempt bears its marker too and is
// not the attempt's: it is found by its own, and by a prefix.
func marked(pid int, marker string) bool {
	if marker == "" {
		return false
	}
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	prefix := strings.HasSuffix(marker, "/")
	found, beside := false, false
	for variable := range bytes.SplitSeq(data, []byte{0}) {
		found = found || string(variable) == marker || prefix && strings.HasPrefix(string(variable), marker)
		beside = beside || bytes.HasPrefix(variable, []byte(varExec+"="))
	}
	return found && (!beside || prefix || strings.HasPrefix(marker, varExec+"="))
}
