package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroups are an instance's control groups, as directories: a version 2 one,
// a version 1 one of the memory controller, both or none. They bound the
// memory and name the processes; nothing depends on them.
type cgroups []string

// newCgroups makes the groups that can be made, with the memory limit where
// the controller is there.
func newCgroups(id string, memory int64) cgroups {
	var made cgroups
	for _, place := range cgroupPlaces() {
		dir := filepath.Join(place.dir, "spotrelay", id)
		if !makeCgroup(dir) {
			continue
		}
		limit := filepath.Join(dir, place.limit)
		if memory > 0 {
			_ = os.WriteFile(limit, []byte(strconv.FormatInt(memory, 10)), 0)
		}
		made = append(made, dir)
	}
	return made
}

type cgroupPlace struct {
	dir   string // where groups of ours may be made
	limit string // file of the memory limit
}

// cgroupPlaces are the hierarchies' roots; an ordinary user who owns a part of
// one (a delegated slice) gets a place there.
func cgroupPlaces() []cgroupPlace {
	var places []cgroupPlace
	add := func(mount, controller, limit string) {
		for _, dir := range []string{mount, filepath.Join(mount, ownCgroup(controller))} {
			if syscall.Access(dir, 2) == nil { // W_OK
				places = append(places, cgroupPlace{dir, limit})
				return
			}
		}
	}
	for _, mount := range []string{cgroupRoot, filepath.Join(cgroupRoot, "unified")} {
		if _, err := os.Stat(filepath.Join(mount, "cgroup.procs")); err == nil {
			add(mount, "", "memory.max")
			break
		}
	}
	if _, err := os.Stat(filepath.Join(cgroupRoot, "memory", "memory.limit_in_bytes")); err == nil {
		add(filepath.Join(cgroupRoot, "memory"), "memory", "memory.limit_in_bytes")
	}
	return places
}

// ownCgroup is this process's own group in the hierarchy of a controller, ""
// for version 2.
func ownCgroup(controller string) string {
	data, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && slices.Contains(strings.Split(parts[1], ","), controller) {
			return parts[2]
		}
	}
	return "/"
}

func makeCgroup(dir string) bool {
	parent := filepath.Dir(dir)
	for range 3 { // the parent goes away with the last group of another instance
		if err := os.Mkdir(parent, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return false
		}
		_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+memory"), 0)
		err := os.Mkdir(dir, 0o755)
		if err == nil || errors.Is(err, fs.ErrExist) {
			return true
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return false
}

// add moves a process into the groups; one that refuses it is given up.
func (c cgroups) add(pid int) cgroups {
	var joined cgroups
	for _, dir := range c {
		if os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0) == nil {
			joined = append(joined, dir)
		} else {
			os.Remove(dir)
		}
	}
	return joined
}

// kill ends what is in the groups, and removes them.
func (c cgroups) kill() error {
	var faults []error
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	for _, dir := range c {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
		faults = append(faults, poll(ctx, func() (bool, error) { return removeCgroup(dir), nil }))
		os.Remove(filepath.Dir(dir))
	}
	return errors.Join(faults...)
}

// removeCgroup kills the processes in a group and those below it and removes
// what is empty; true when all is gone.
func removeCgroup(dir string) bool {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	for _, entry := range entries {
		if entry.IsDir() {
			removeCgroup(filepath.Join(dir, entry.Name()))
		}
	}
	data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	for _, text := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(text); err == nil && pid > 1 && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return os.Remove(dir) == nil
}

// oomKills counts the processes that the memory limit has ended.
func (c cgroups) oomKills() int64 {
	var most int64
	for _, dir := range c {
		for _, name := range []string{"memory.events", "memory.oom_control"} {
			data, _ := os.ReadFile(filepath.Join(dir, name))
			for line := range strings.Lines(string(data)) {
				fields := strings.Fields(line)
				if len(fields) == 2 && fields[0] == "oom_kill" {
					n, _ := strconv.ParseInt(fields[1], 10, 64)
					most = max(most, n)
				}
			}
		}
	}
	return most
}
