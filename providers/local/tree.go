//go:build linux || darwin

package local

import (
	"context"
	"os"
	"syscall"
	"time"
)

// killPatience bounds the wait for killed processes to be gone; one in an
// uninterruptible call of the kernel takes as long as the call.
const killPatience = 5 * time.Second

// population tells the processes of an instance from the rest of the machine:
// the roots, what bears the mark in its environment, what descends from these,
// and what is in a root's process group.
type population struct {
	roots []int
	mark  string // an entry such as "SPOTRELAY_INSTANCE=i-1"; "" asks nobody
}

// members are the living processes of the population, never this one.
func (p population) members() []int {
	table := processes()
	children := map[int][]int{}
	for _, entry := range table {
		children[entry.parent] = append(children[entry.parent], entry.pid)
	}
	in := map[int]bool{}
	queue := append([]int(nil), p.roots...)
	for _, entry := range table {
		if p.mark != "" && marked(entry.pid, p.mark) {
			queue = append(queue, entry.pid)
		}
	}
	for len(queue) > 0 {
		pid := queue[0]
		queue = queue[1:]
		if !in[pid] {
			in[pid] = true
			queue = append(queue, children[pid]...)
		}
	}
	var members []int
	self := os.Getpid()
	for _, entry := range table {
		if entry.zombie || entry.pid == self || entry.pid == 1 {
			continue
		}
		if in[entry.pid] || p.leads(entry.group) {
			members = append(members, entry.pid)
		}
	}
	return members
}

// leads reports whether a process group was founded by one of the roots; this
// process's own group is nobody's.
func (p population) leads(group int) bool {
	for _, root := range p.roots {
		if root == group && root != os.Getpid() {
			return true
		}
	}
	return false
}

// freeze stops every process, those too that are started meanwhile.
func (p population) freeze() {
	stopped := map[int]bool{}
	for fresh := true; fresh; {
		fresh = false
		for _, pid := range p.members() {
			if !stopped[pid] {
				stopped[pid], fresh = true, true
				_ = syscall.Kill(pid, syscall.SIGSTOP)
			}
		}
	}
}

// kill ends every process and returns when none is left. It stops them first,
// so that none can outrun it by starting others.
func (p population) kill() error {
	p.freeze()
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		members := p.members()
		for _, pid := range members {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		reapOrphans(0)
		return len(members) == 0, nil
	})
}

// reapOrphans collects the zombies that were handed to this process as their
// subreaper, all but the one that has an owner who waits for it.
func reapOrphans(but int) {
	self := os.Getpid()
	for _, entry := range processes() {
		if entry.zombie && entry.parent == self && entry.pid != but {
			var status syscall.WaitStatus
			_, _ = syscall.Wait4(entry.pid, &status, syscall.WNOHANG, nil)
		}
	}
}
