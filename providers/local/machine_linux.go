package local

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	selfExe = "/proc/self/exe" // also when the file was replaced meanwhile

	handshakeTimeout = 20 * time.Second

	inNamespaces = "own pid, mount, host name and IPC namespaces; kernel, files and user are this machine's"
)

// startMachine starts the instance's first process, up to the point where only
// release is missing. The calling goroutine must be locked to its thread and
// outlive the machine: the kernel ends the machine with that thread.
func startMachine(folder instanceFolder, rec record, plan bootPlan, console *os.File) (*machine, error) {
	var refused error
	if rec.Isolation != isolationGroup {
		for _, user := range userNamespaces() {
			plan.Namespaces, plan.OwnNetwork = true, rec.Network == networkIsolated
			m, err := startStage(folder, rec, plan, console, user)
			if err == nil {
				m.isolation = inNamespaces
				return m, nil
			}
			refused = errors.Join(refused, err)
		}
		if rec.Isolation == isolationNamespaces || rec.Network == networkIsolated {
			return nil, fmt.Errorf("namespaces are refused on this machine: %w", refused)
		}
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become the subreaper: %w", err)
	}
	plan.Namespaces, plan.OwnNetwork = false, false
	plan.Environment = append(plan.Environment, "TMPDIR="+folder.tmp())
	m, err := startStage(folder, rec, plan, console, false)
	if err != nil {
		return nil, err
	}
	m.group = true
	m.isolation = "process group: as the fleet's configuration asks"
	if refused != nil {
		m.isolation = "process group: namespaces are refused on this machine: " + firstLine(refused)
	}
	return m, nil
}

// userNamespaces says whether to try without and with a user namespace: root
// needs none, unless its powers were cut.
func userNamespaces() []bool {
	if os.Geteuid() == 0 {
		return []bool{false, true}
	}
	return []bool{true}
}

func firstLine(err error) string {
	text := err.Error()
	for i, r := range text {
		if r == '\n' {
			return text[:i]
		}
	}
	return text
}

// startStage starts the init stage and sees it through to ready.
func startStage(folder instanceFolder, rec record, plan bootPlan, console *os.File, userNamespace bool) (*machine, error) {
	if err := writeJSON(folder.bootFile(), plan); err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "init"), os.NewFile(uintptr(pair[1]), "supervisor")
	timeout := unix.NsecToTimeval(handshakeTimeout.Nanoseconds())
	_ = unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	m := &machine{mark: markOf(rec.Instance.ID)}
	m.cmd = &exec.Cmd{
		Path: selfExe, Args: []string{initStage, string(folder)},
		Stdout: console, Stderr: console, ExtraFiles: []*os.File{theirs},
		Env:         []string{m.mark},
		SysProcAttr: stageAttributes(plan, userNamespace),
	}
	err = m.cmd.Start()
	theirs.Close()
	if err != nil {
		ours.Close()
		return nil, err
	}
	m.watch()
	m.cgroups = newCgroups(rec.Instance.ID, rec.Instance.Offer.Memory).add(m.cmd.Process.Pid)
	if err := m.awaitReady(pair[0], plan.OwnNetwork); err != nil {
		_ = m.kill()
		ours.Close()
		return nil, err
	}
	m.release = func() error {
		err := releaseStage(pair[0])
		if err != nil || plan.Namespaces {
			ours.Close()
			return err
		}
		m.link = ours // as long as it is open, the keeper keeps
		return nil
	}
	return m, nil
}

func stageAttributes(plan bootPlan, userNamespace bool) *syscall.SysProcAttr {
	if !plan.Namespaces {
		return &syscall.SysProcAttr{Setsid: true}
	}
	attributes := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	attributes.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	if plan.OwnNetwork {
		attributes.Cloneflags |= unix.CLONE_NEWNET
	}
	if userNamespace {
		// Everybody stays who he is, so that files look the same on both sides.
		// The init stage keeps what it needs over the exec; the agent does not.
		uid, gid := os.Geteuid(), os.Getegid()
		attributes.Cloneflags |= unix.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attributes.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE}
	}
	return attributes
}

// awaitReady waits for the stage's report.
func (m *machine) awaitReady(socket int, ownNetwork bool) error {
	text, files, err := receive(socket)
	if err != nil {
		return err
	}
	if len(text) == 0 || text[0] != messageReady {
		return stageError(text)
	}
	if !ownNetwork {
		return nil
	}
	if len(files) != 1 {
		return errors.New("the instance's network came without its listener")
	}
	file := os.NewFile(uintptr(files[0]), "metadata")
	defer file.Close()
	m.listener, err = net.FileListener(file)
	return err
}

// releaseStage lets the stage become the agent and sees that it does.
func releaseStage(socket int) error {
	if err := unix.Sendmsg(socket, []byte{messageGo}, nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	text, _, err := receive(socket)
	if err == nil && len(text) > 0 && text[0] != messageReady {
		err = stageError(text)
	}
	return err
}

func stageError(text []byte) error {
	if len(text) > 1 && text[0] == messageError {
		return errors.New(string(text[1:]))
	}
	return errors.New("the instance's first process ended before it was set up")
}

func receive(socket int) (text []byte, files []int, err error) {
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	var n, rightsLen int
	for {
		n, rightsLen, _, _, err = unix.Recvmsg(socket, text, rights, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.ECONNRESET) { // the other end is gone with something unread
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("hear from the instance's first process: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsLen])
	if err != nil {
		return nil, nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, nil, err
		}
		files = append(files, fds...)
	}
	return text[:n], files, nil
}

// describeExit is how the first process ended, in words.
func (m *machine) describeExit() string {
	text := m.cmd.ProcessState.String()
	if kills := m.cgroups.oomKills(); kills > 0 {
		text += fmt.Sprintf("; the instance's memory limit ended %d of its processes", kills)
	}
	return text
}

// isolationFaults says what of the wanted isolation this machine refuses.
func isolationFaults(c config) []providers.Fault {
	if c.isolation == isolationGroup || c.isolation == isolationAuto && c.network == networkHost {
		return nil
	}
	if err := probeNamespaces(); err != nil {
		path := "isolation"
		if c.network == networkIsolated {
			path = "network"
		}
		return []providers.Fault{{
			Severity: providers.SeverityError, Path: []string{path},
			Summary: "This machine refuses the namespaces that it needs: " + err.Error(),
			Detail:  `Allow user namespaces (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns), or leave it at isolation = "auto" with network = "host".`,
		}}
	}
	return nil
}

// probeNamespaces starts a process that does nothing in new namespaces.
func probeNamespaces() error {
	var err error
	for _, user := range userNamespaces() {
		path, lookErr := exec.LookPath("true")
		if lookErr != nil {
			return nil //nolint:nilerr // a launch will tell
		}
		cmd := exec.Command(path)
		cmd.SysProcAttr = stageAttributes(bootPlan{Namespaces: true, OwnNetwork: true}, user)
		cmd.SysProcAttr.Pdeathsig = 0
		if err = cmd.Run(); err == nil {
			return nil
		}
	}
	return err
}
