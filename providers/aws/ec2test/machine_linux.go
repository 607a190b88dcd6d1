package ec2test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stageName is the name by which this program, started again, knows that it is
// an instance's first process.
const stageName = "ec2test-instance"

// run starts the first process, serves its metadata and waits for its end. The
// kernel ends the instance with the thread that started it, so the thread is
// kept.
func (m *machine) run(p plan, planFile string, console *os.File, handler http.Handler) (poweredOff bool, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "stage"), os.NewFile(uintptr(pair[1]), "server")
	defer ours.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{stageName, planFile},
		Env: []string{}, Stdout: console, Stderr: console, ExtraFiles: []*os.File{theirs}, SysProcAttr: namespaces(),
	}
	m.mu.Lock()
	if m.killed { // before it began
		m.mu.Unlock()
		theirs.Close()
		return false, nil
	}
	err = cmd.Start()
	if err == nil {
		m.cmd = cmd
	}
	m.mu.Unlock()
	theirs.Close()
	if err != nil {
		return false, fmt.Errorf("namespaces are refused on this machine: %w", err)
	}
	metadata := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	defer metadata.Close()
	serving := m.serve(ours, metadata)
	_ = cmd.Wait() // its state says how it ended
	// A namespace's first process that was powered off from inside ends as by
	// SIGINT (reboot(2)).
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	poweredOff = status.Signaled() && status.Signal() == syscall.SIGINT
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.killed {
		return poweredOff, nil
	}
	return poweredOff, serving
}

// namespaces of an instance; root needs none for the user.
func namespaces() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Setsid: true, Pdeathsig: syscall.SIGKILL,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
	}
	if os.Geteuid() != 0 {
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return a
}

// MachinesWork says why instances cannot be real here, nil where they can. It
// starts one process that does nothing.
func MachinesWork() error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.SysProcAttr = []string{stageName, ""}, namespaces()
	cmd.SysProcAttr.Pdeathsig = 0
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("namespaces are refused on this machine: %w", err)
	}
	return nil
}

// serve takes the listener at the metadata address from the first process and
// lets it go on.
func (m *machine) serve(socket *os.File, metadata *http.Server) error {
	listener, err := receiveListener(socket)
	if err != nil {
		return err
	}
	go func() { _ = metadata.Serve(listener) }() // until it is closed
	if _, err := socket.Write([]byte{1}); err != nil {
		return err
	}
	m.mu.Lock()
	m.up = true
	m.mu.Unlock()
	return nil
}

func receiveListener(socket *os.File) (net.Listener, error) {
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, rightsLen, _, _, err := unix.Recvmsg(int(socket.Fd()), text, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsLen])
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("the instance's first process: " + string(text[:n]))
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(files[0]), "metadata")
	defer file.Close()
	return net.FileListener(file)
}
