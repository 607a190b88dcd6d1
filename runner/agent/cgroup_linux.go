package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/runner/job"
)

// cgroups is where this agent may make cgroups: in the unified hierarchy
// (version 2), in the memory hierarchy of version 1, in both (hybrid), or
// nowhere, which is no error.
type cgroups struct {
	unified       string // a folder of ours, "" for none
	unifiedMemory bool   // its children have the memory controller
	memory        string // a folder of ours in version 1's memory hierarchy, "" for none
	locks         []*os.File

	mu     sync.Mutex
	spare  []*cgroup // lent before, and as good as new
	made   int       // for lending
	closed bool
}

// cgroup is an attempt's own.
type cgroup struct {
	unified string
	memory  string // version 1
	v2mem   bool
	dir     *os.File // unified, open for the fork
	limit   int64    // of memory, 0 for none
	before  int64    // OOM kills before the start

	oomSeen   int64        // the counter when it was last read
	cpuBefore atomic.Int64 // nanoseconds used before the start
	killed    atomic.Bool  // it was told to kill what is in it
	lender    *cgroups     // that takes it back, nil: nobody
	thread    *thread      // that stands in it, nil until the first fork
}

// findCgroups makes the folders that the attempts' cgroups will lie in.
func findCgroups(name string) *cgroups {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return &cgroups{}
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return &cgroups{}
	}
	hierarchies := parseCgroups(string(mounts), string(own))
	cs := &cgroups{}
	for _, base := range hierarchies.unified {
		dir, memory, ok := cs.makeUnified(base, name)
		if !ok || cs.unified != "" && !memory {
			continue
		}
		if cs.unified != "" {
			removeCgroup(cs.unified)
		}
		cs.unified, cs.unifiedMemory = dir, memory
		if memory {
			return cs
		}
	}
	for _, base := range hierarchies.memory {
		if dir, ok := cs.make(base, name); ok {
			cs.memory = dir
			break
		}
	}
	return cs
}

// makeUnified makes a folder in the unified hierarchy and hands it the memory
// controller where that is possible.
func (cs *cgroups) makeUnified(base, name string) (dir string, memory, ok bool) {
	if has(base, "cgroup.controllers", "memory") {
		_ = writeValue(base, "cgroup.subtree_control", "+memory") // busy, or given already
	}
	dir, ok = cs.make(base, name)
	if !ok {
		return "", false, false
	}
	if has(dir, "cgroup.controllers", "memory") {
		memory = writeValue(dir, "cgroup.subtree_control", "+memory") == nil
	}
	return dir, memory, true
}

// make makes a folder for this agent below base and locks it for as long as
// the agent lives. Folders of agents that were killed are removed.
func (cs *cgroups) make(base, name string) (dir string, ok bool) {
	removeDead(base)
	dir = filepath.Join(base, cgroupPrefix+name)
	if os.Mkdir(dir, 0o755) != nil {
		return "", false
	}
	if lock, err := os.Open(dir); err == nil {
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			cs.locks = append(cs.locks, lock)
		} else {
			lock.Close()
		}
	}
	return dir, exists(dir)
}

// cgroupPrefix begins the names of agents' folders.
const cgroupPrefix = "spotrelay-agent-"

// removeDead removes the folders of agents that hold no lock any more.
func removeDead(base string) {
	dirs, err := filepath.Glob(filepath.Join(base, cgroupPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		lock, err := os.Open(dir)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			children, _ := filepath.Glob(filepath.Join(dir, "*.*"))
			for _, child := range children {
				_ = syscall.Rmdir(child) // files and what is busy stay
			}
			_ = syscall.Rmdir(dir)
		}
		lock.Close()
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// hierarchies is where cgroups may be made, the agent's own first.
type hierarchies struct {
	unified []string
	memory  []string
}

// parseCgroups reads /proc/self/mountinfo and /proc/self/cgroup.
func parseCgroups(mounts, own string) hierarchies {
	var unifiedPath, memoryPath string
	for line := range strings.Lines(own) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case id == "0" && controllers == "":
			unifiedPath = path
		case hasWord(controllers, ",", "memory"):
			memoryPath = path
		}
	}
	var h hierarchies
	for line := range strings.Lines(mounts) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		root, point := left[3], left[4]
		switch {
		case right[0] == "cgroup2":
			h.unified = append(h.unified, places(root, point, unifiedPath)...)
		case right[0] == "cgroup" && hasWord(right[2], ",", "memory"):
			h.memory = append(h.memory, places(root, point, memoryPath)...)
		}
	}
	return h
}

// places are the folders of a mount where a cgroup may be made: the process's
// own, and the top.
func places(root, point, own string) []string {
	if relative, err := filepath.Rel(root, own); err == nil && own != "" && filepath.IsLocal(relative) && relative != "." {
		return []string{filepath.Join(point, relative), point}
	}
	return []string{point}
}

func hasWord(text, separator, word string) bool {
	for w := range strings.SplitSeq(text, separator) {
		if w == word {
			return true
		}
	}
	return false
}

func has(dir, file, word string) bool {
	data, err := os.ReadFile(filepath.Join(dir, file))
	return err == nil && hasWord(strings.TrimSpace(string(data)), " ", word)
}

func writeValue(dir, file, value string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(value), 0o644)
}

// limits reports whether a memory limit can be set.
func (cs *cgroups) limits() bool { return cs.unifiedMemory || cs.memory != "" }

// remove removes the agent's folders, when nothing is left in them.
func (cs *cgroups) remove() {
	cs.discardSpare()
	removeCgroup(cs.unified)
	removeCgroup(cs.memory)
	for _, lock := range cs.locks {
		lock.Close()
	}
}

// create makes an attempt's cgroup with a memory limit in bytes, 0 for none.
// It is nil where none can be made.
func (cs *cgroups) create(name string, limit int64) (*cgroup, error) {
	if cs.unified == "" && cs.memory == "" {
		return nil, nil
	}
	cg := &cgroup{limit: limit}
	if err := cs.fill(cg, name, limit); err != nil {
		cg.remove()
		return nil, fmt.Errorf("making a cgroup: %w", err)
	}
	cg.before = cg.oomKills()
	cg.oomSeen = cg.before
	return cg, nil
}

func (cs *cgroups) fill(cg *cgroup, name string, limit int64) error {
	if cs.unified != "" {
		dir := filepath.Join(cs.unified, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		cg.unified, cg.v2mem = dir, cs.unifiedMemory
		if cg.v2mem && limit > 0 {
			if err := writeValue(dir, "memory.max", strconv.FormatInt(limit, 10)); err != nil {
				return err
			}
			_ = writeValue(dir, "memory.swap.max", "0") // there may be no swap to account for
		}
		file, err := os.Open(dir)
		if err != nil {
			return err
		}
		cg.dir = file
	}
	if cs.memory != "" {
		dir := filepath.Join(cs.memory, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		cg.memory = dir
		if limit > 0 {
			if err := writeValue(dir, "memory.limit_in_bytes", strconv.FormatInt(limit, 10)); err != nil {
				return err
			}
			_ = writeValue(dir, "memory.memsw.limit_in_bytes", strconv.FormatInt(limit, 10))
		}
	}
	return nil
}

// enter makes the next fork land in the cgroup of the unified hierarchy.
func (cg *cgroup) enter(attr *syscall.SysProcAttr) {
	if cg != nil && cg.dir != nil {
		attr.UseCgroupFD = true
		attr.CgroupFD = int(cg.dir.Fd())
	}
}

// oomKills is the counter of processes that were killed for want of memory.
func (cg *cgroup) oomKills() int64 {
	if cg.v2mem {
		data, _ := os.ReadFile(filepath.Join(cg.unified, "memory.events"))
		return parseOOM(data)
	}
	if cg.memory != "" {
		data, _ := os.ReadFile(filepath.Join(cg.memory, "memory.oom_control"))
		return parseOOM(data)
	}
	return 0
}

// parseOOM reads memory.events of version 2 or memory.oom_control of version 1.
// A group kill counts its processes in oom_kill too, so the larger is taken.
func parseOOM(data []byte) int64 {
	return max(counter(data, "oom_kill"), counter(data, "oom_group_kill"))
}

// counter is the value of a line "name value".
func counter(data []byte, name string) int64 {
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) == 2 && string(fields[0]) == name {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// grown is how many OOM kills there were since the start.
func (cg *cgroup) grown() int64 {
	if cg == nil {
		return 0
	}
	cg.oomSeen = cg.oomKills()
	return max(0, cg.oomSeen-cg.before)
}

// usage is what the tree has used up to now; zero where it is not counted.
func (cg *cgroup) usage() job.Usage {
	var u job.Usage
	if cg == nil {
		return u
	}
	u.CPU = cg.cpuUsed() - job.Duration(cg.cpuBefore.Load())
	switch {
	case cg.v2mem:
		u.MaxMemory = number(cg.unified, "memory.peak")
	case cg.memory != "":
		u.MaxMemory = number(cg.memory, "memory.max_usage_in_bytes")
	}
	return u
}

// cpuUsed is what was used in it since it was made.
func (cg *cgroup) cpuUsed() job.Duration {
	if cg.unified == "" {
		return 0
	}
	data, _ := os.ReadFile(filepath.Join(cg.unified, "cpu.stat"))
	return job.Duration(time.Duration(counter(data, "usage_usec")) * time.Microsecond)
}

func number(dir, file string) int64 {
	data, _ := os.ReadFile(filepath.Join(dir, file))
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n
}

// pids are the processes in it.
func (cg *cgroup) pids() []int {
	if cg == nil {
		return nil
	}
	dir := cg.unified
	if dir == "" {
		dir = cg.memory
	}
	data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	var pids []int
	for line := range strings.Lines(string(data)) {
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill kills all that is in it at once; where the kernel cannot, the caller
// kills them one by one.
func (cg *cgroup) kill() {
	if cg != nil && cg.unified != "" {
		cg.killed.Store(true)
		_ = writeValue(cg.unified, "cgroup.kill", "1")
	}
}

// remove gives it back, or removes it. What still ends in it is waited for, a
// short while.
func (cg *cgroup) remove() {
	if cg != nil && !cg.lender.keep(cg) {
		cg.discard()
	}
}

func (cg *cgroup) discard() {
	cg.thread.leave()
	if cg.dir != nil {
		cg.dir.Close()
	}
	removeCgroup(cg.unified)
	removeCgroup(cg.memory)
}

// removeCgroup removes a cgroup's folder; it is busy while killed processes
// are still on their way out.
func removeCgroup(dir string) {
	if dir == "" {
		return
	}
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for range 100 {
		err := syscall.Rmdir(dir)
		if !errors.Is(err, syscall.EBUSY) {
			return
		}
		<-pause.C
	}
}
