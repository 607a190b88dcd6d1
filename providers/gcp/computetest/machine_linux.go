package computetest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// machine is the processes of an instance: pid 1 of namespaces of their own,
// which runs the startup script and stays. Where namespaces are refused it is a
// process group, and its processes are found by their environment.
type machine struct {
	folder  string
	cmd     *exec.Cmd
	mark    string // an entry in the environment of all its processes
	ended   chan struct{}
	killing sync.Once
}

// initScript is pid 1. It hides what a process could end the real machine by
// (systemd's sockets are below /run), gives the console to the instance, runs
// the startup script as the guest agent does, reaps what is left over, and ends
// at the signal that the instance's own poweroff sends.
const initScript = `
if [ "$1" = own ]; then
  mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run || exit 70
  [ ! -e /dev/console ] || mount --bind "$2/console.log" /dev/console
fi
trap 'exit 0' USR2
(cd "$2" && "$2/startup-script"; echo "startup-script exit status $?") &
while :; do sleep 3600 & wait $!; done
`

// programs that a machine finds before the real ones.
var programs = map[string]string{
	"poweroff":  "#!/bin/sh\nexec kill -USR2 1\n",
	"shutdown":  "#!/bin/sh\nexec kill -USR2 1\n",
	"systemctl": "#!/bin/sh\necho 'there is no systemd here' >&2\nexit 1\n",
}

// power starts an instance's processes. The lock is held.
func (s *Server) power(in *instance) {
	script, ok := attribute(in, "startup-script")
	if !ok {
		return
	}
	if err := in.metadata.listen(); err != nil {
		s.failed("computetest: %v", err)
		return
	}
	s.machines++
	m := &machine{
		// Short, since sockets are below it.
		folder: filepath.Join(s.options.Machines, strconv.Itoa(s.machines)),
		mark:   "COMPUTETEST_INSTANCE=" + in.token(), ended: make(chan struct{}),
	}
	environment := append(os.Environ(), s.options.Environment...)
	environment = append(environment, m.mark, "PATH="+filepath.Join(m.folder, "bin")+":"+os.Getenv("PATH"), "GCE_METADATA_HOST="+in.metadata.address,
		"HOME="+m.folder, "SPOTRELAY_HOME="+filepath.Join(m.folder, "agent"), "TMPDIR="+filepath.Join(m.folder, "tmp"))
	if err := m.start(script, environment); err != nil {
		s.failed("computetest: starting the machine of %s: %v", in.name, err)
		return
	}
	in.machine = m
	go s.watch(in, m)
}

// watch takes an instance whose first process ended by itself for one that was
// shut down from inside.
func (s *Server) watch(in *instance, m *machine) {
	<-m.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || in.gone || in.status != statusRunning {
		return
	}
	s.systemOperation("compute.instances.guestTerminate", in)
	in.status = statusTerminated
	in.metadata.stop()
}

func (m *machine) start(script string, environment []string) error {
	bin := filepath.Join(m.folder, "bin")
	for _, folder := range []string{bin, filepath.Join(m.folder, "tmp")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(m.folder, "startup-script"), []byte(script), 0o755); err != nil {
		return err
	}
	var refused error
	for _, way := range ways() {
		console, err := os.OpenFile(m.consoleFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		m.cmd = exec.Command("/bin/sh", "-c", initScript, "init", way.name, m.folder)
		m.cmd.Dir, m.cmd.Env, m.cmd.Stdout, m.cmd.Stderr = m.folder, environment, console, console
		m.cmd.SysProcAttr = way.attributes
		if way.name == "group" { // there is no other way to be sure of systemd
			m.cmd.Env = append(m.cmd.Env, "SPOTRELAY_LEAVE=exit")
		}
		err = m.launch()
		console.Close()
		if err == nil {
			return nil
		}
		refused = err
	}
	return refused
}

// launch starts pid 1 from a thread that stays until it has ended: the kernel
// kills it when that thread ends, and so when the test is killed.
func (m *machine) launch() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := m.cmd.Start()
		started <- err
		if err == nil {
			_ = m.cmd.Wait() // however it ends
			close(m.ended)
		}
	}()
	return <-started
}

// way is how a machine's processes are kept apart.
type way struct {
	name       string
	attributes *syscall.SysProcAttr
}

// ways are tried in this order: root needs no user namespace.
func ways() []way {
	own := func(user bool) *syscall.SysProcAttr {
		a := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		if user {
			a.Cloneflags |= unix.CLONE_NEWUSER
			a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
			a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		}
		return a
	}
	all := []way{{"own", own(true)}, {"group", &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}}}
	if os.Geteuid() == 0 {
		return append([]way{{"own", own(false)}}, all...)
	}
	return all
}

func (m *machine) consoleFile() string { return filepath.Join(m.folder, "console.log") }

func (m *machine) console() string {
	data, err := os.ReadFile(m.consoleFile())
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// softOff is what the ACPI button does to a machine whose agent is a service:
// the agent is told to end.
func (m *machine) softOff() {
	for _, pid := range m.processes() {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && bytes.HasPrefix(line, []byte(filepath.Join(m.folder, "agent", "boot", "agent")+"\x00")) {
			_ = unix.Kill(pid, unix.SIGTERM) // it may have ended
		}
	}
}

// kill ends every process of the machine and returns when there is none.
func (m *machine) kill() {
	m.killing.Do(func() {
		_ = m.cmd.Process.Kill() // in a namespace, all others die with it
		<-m.ended
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
			left := m.processes()
			if len(left) == 0 {
				return
			}
			for _, pid := range left {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
			waitALittle()
		}
	})
}

func waitALittle() { <-time.After(5 * time.Millisecond) }

// processes are those that live with the machine's mark.
func (m *machine) processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		environment, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err != nil || !strings.Contains("\x00"+string(environment), "\x00"+m.mark+"\x00") {
			continue
		}
		found = append(found, pid)
	}
	return found
}

// Processes are the pids of an instance's processes, also after its end.
func (s *Server) Processes(id uint64) []int {
	s.mu.Lock()
	var m *machine
	for _, in := range s.instances {
		if in.id == id {
			m = in.machine
		}
	}
	s.mu.Unlock()
	if m == nil {
		return nil
	}
	return m.processes()
}
