package ec2test

import (
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Machines makes instances real: processes in namespaces of their own (Linux;
// elsewhere Start fails). See the package's comment.
type Machines struct {
	// Dir gets a folder for each instance, which stays: its root, what it wrote,
	// its console.
	Dir string
	// Share are paths of this machine that instances see, at the same place and
	// writable: a bucket, a compiler's cache.
	Share []string
	// Programs are executables in /usr/local/bin of the image, by name.
	Programs map[string]string
	// Environment of the user data, beside PATH and LANG, as an image may have
	// it: "NAME=value".
	Environment []string
}

// plan is what an instance's first process is told.
type plan struct {
	Root     string   `json:"root"`
	Programs string   `json:"programs"`
	Share    []string `json:"share"`
	Console  string   `json:"console"`
	Hostname string   `json:"hostname"`
	UserData []byte   `json:"user_data"`

	Environment []string `json:"environment"`
}

// machine is the processes of an instance.
type machine struct {
	mu     sync.Mutex
	cmd    *exec.Cmd
	killed bool
	up     bool
	done   chan struct{}
}

func (m *machine) running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.up
}

// kill ends all of it, at once.
func (m *machine) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.killed = true
	if m.cmd != nil {
		_ = m.cmd.Process.Kill() // it may have ended
	}
}

func (m *machine) wait() { <-m.done }

func (s *Server) machines() []*machine {
	var all []*machine
	for _, i := range s.instances {
		if i.machine != nil {
			all = append(all, i.machine)
		}
	}
	return all
}

// startMachine boots an instance. Called with the lock held.
func (s *Server) startMachine(i *instance) {
	m := &machine{done: make(chan struct{})}
	i.machine = m
	dir := filepath.Join(s.options.Machines.Dir, i.id)
	console := filepath.Join(dir, "console")
	i.console = func() []byte {
		text, _ := os.ReadFile(console) // not there before the boot
		return text
	}
	handler := s.newMetadata(i)
	p := plan{
		Root: filepath.Join(dir, "root"), Programs: filepath.Join(dir, "programs"), Share: s.options.Machines.Share, Console: console,
		Hostname: i.id, UserData: i.userData(), Environment: s.options.Machines.Environment,
	}
	go func() {
		defer close(m.done)
		poweredOff, err := s.boot(m, p, dir, handler)
		s.ended(i, poweredOff, err)
	}()
}

// boot runs an instance to its end.
func (s *Server) boot(m *machine, p plan, dir string, handler http.Handler) (poweredOff bool, err error) {
	if err := s.prepare(p, dir); err != nil {
		return false, err
	}
	console, err := os.Create(filepath.Join(dir, "console"))
	if err != nil {
		return false, err
	}
	defer console.Close()
	return m.run(p, filepath.Join(dir, "plan.json"), console, handler)
}

// prepare makes the instance's folders.
func (s *Server) prepare(p plan, dir string) error {
	for _, path := range []string{p.Root, p.Programs} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	programs := maps.Clone(s.options.Machines.Programs)
	if programs == nil {
		programs = map[string]string{}
	}
	for _, name := range powerOffNames {
		programs[name] = powerOffProgram
	}
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(p.Programs, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "plan.json"), []byte(asJSON(p)), 0o644)
}

// ended notes the end of an instance's processes, whoever ended them.
func (s *Server) ended(i *instance, poweredOff bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.t.Errorf("ec2test: instance %s: %v", i.id, err)
		s.end(i, Reason{"Server.InternalError", "Server.InternalError: " + err.Error()})
		return
	}
	if !i.live() || !poweredOff {
		return
	}
	if i.data.String("InstanceInitiatedShutdownBehavior") == "terminate" || i.spot != nil {
		s.end(i, reasonInside)
		return
	}
	i.stopped, i.reason, i.ending = true, reasonInside, time.Time{}
}

// powerOffProgram stands for systemctl, poweroff and shutdown: the image's own
// init is asked, never this machine's.
const powerOffProgram = `#!/bin/sh
case "$0 $*" in
*systemctl*poweroff* | *systemctl*halt* | */poweroff* | */shutdown*) kill -TERM 1 ;;
*) exit 1 ;;
esac
`

// powerOffNames are where programs find it.
var powerOffNames = []string{"systemctl", "poweroff", "shutdown", "halt", "reboot"}
