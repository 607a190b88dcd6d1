//go:build linux || darwin

package local

import (
	"net"
	"os"
	"os/exec"
)

// machine is an instance's processes.
type machine struct {
	cmd       *exec.Cmd // the first process
	isolation string    // in words
	cgroups   cgroups
	group     bool          // a process group instead of namespaces
	mark      string        // in the environment of its processes
	exited    chan struct{} // closed when the first process has ended
	release   func() error  // lets the first process become the agent
	listener  net.Listener  // of the metadata server, in a network of its own
	link      *os.File      // tells the keeper of a process group that this process lives
}

// watch waits for the first process.
func (m *machine) watch() {
	m.exited = make(chan struct{})
	go func() {
		_ = m.cmd.Wait()
		close(m.exited)
	}()
}

// population of the machine as it stands.
func (m *machine) population() population {
	p := population{roots: []int{m.cmd.Process.Pid}}
	if m.group {
		// What was orphaned has been handed to this process, its subreaper.
		p.roots = append(p.roots, os.Getpid())
		p.mark = m.mark
	}
	return p
}

// freeze stops every process; the instance then neither works nor answers.
func (m *machine) freeze() {
	if m.cmd.Process != nil {
		m.population().freeze()
	}
}

// kill ends every process and returns when none is left. It may be repeated.
func (m *machine) kill() error {
	if m.cmd.Process == nil {
		return m.cgroups.kill()
	}
	if m.group {
		p := m.population()
		err := p.kill()
		<-m.exited
		if faults := m.cgroups.kill(); err == nil {
			err = faults
		}
		return err
	}
	// The end of a namespace's first process is the end of all: the kernel
	// lets it be waited for only when no other is left.
	_ = m.cmd.Process.Kill()
	<-m.exited
	return m.cgroups.kill()
}
