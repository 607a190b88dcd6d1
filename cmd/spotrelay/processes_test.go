package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// processesOf are the processes that were started for a place, by their
// environment or their command line. Linux only; elsewhere there are none.
func processesOf(dir string) map[int]string {
	found := map[int]string{}
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return found
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil || pid == os.Getpid() {
			continue
		}
		command, err := os.ReadFile(filepath.Join(entry, "cmdline"))
		if err != nil || len(command) == 0 {
			continue // gone, or a zombie
		}
		environment, _ := os.ReadFile(filepath.Join(entry, "environ"))
		local := []byte("SPOTRELAY_LOCAL_DIR=" + filepath.Join(dir, "local"))
		if bytes.Contains(command, []byte(dir+"/")) || bytes.Contains(environment, append(local, 0)) {
			found[pid] = string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
		}
	}
	return found
}

// waitForNone waits until no process of a place is left, and gives those that
// are after so long.
func waitForNone(dir string, patience time.Duration) []string {
	deadline := time.After(patience)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		left := processesOf(dir)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-deadline:
			var commands []string
			for pid, command := range left {
				commands = append(commands, strconv.Itoa(pid)+" "+command)
			}
			return commands
		}
	}
}

// endProcesses ends what a failed test left.
func endProcesses(dir string) {
	for pid := range processesOf(dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have gone meanwhile
	}
}
