package local

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The init stage is an instance's first process until it becomes the agent. It
// talks with the supervisor over the socket on descriptor 3, a message each:
//
//	init        R[+listener]   everything is set up
//	supervisor  G              the agent is there: go
//	init        E<text>        it went wrong
//
// That the socket closes after G, or brings another R, says that the agent
// runs.
const (
	initSocket = 3

	messageReady = 'R'
	messageGo    = 'G'
	messageError = 'E'
)

// bootPlan is boot.json: what the init stage does.
type bootPlan struct {
	ID          string   `json:"id"`
	Namespaces  bool     `json:"namespaces"`
	OwnNetwork  bool     `json:"own_network,omitempty"`
	Tmp         string   `json:"tmp"`            // becomes /tmp
	Keep        []string `json:"keep,omitempty"` // what is seen below /tmp nevertheless
	Agent       string   `json:"agent"`
	Dir         string   `json:"dir"`
	Environment []string `json:"environment"`
}

// runInit sets the instance's world up and becomes the agent, or its keeper
// where there are no namespaces. It returns the exit code.
func runInit(folder string) int {
	// What follows is about the thread: the signal at the parent's end and the
	// capabilities belong to the one that calls exec.
	runtime.LockOSThread()
	unix.CloseOnExec(initSocket)
	var plan bootPlan
	err := readJSON(instanceFolder(folder).bootFile(), &plan)
	if err == nil {
		err = initialize(plan)
	}
	code := 1
	if err == nil && plan.Namespaces {
		err = becomeAgent(plan)
	} else if err == nil {
		code, err = keep(plan)
	}
	if err != nil {
		_ = unix.Sendmsg(initSocket, append([]byte{messageError}, err.Error()...), nil, nil, unix.MSG_NOSIGNAL)
	}
	return code
}

// initialize sets everything up and waits until the agent is there.
func initialize(plan bootPlan) error {
	var rights []byte
	if plan.Namespaces {
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
			return fmt.Errorf("ask for the signal at the supervisor's end: %w", err)
		}
		if err := enterWorld(plan); err != nil {
			return err
		}
	}
	if plan.OwnNetwork {
		listener, err := ownNetwork()
		if err != nil {
			return err
		}
		rights = unix.UnixRights(int(listener.Fd()))
	}
	if err := unix.Sendmsg(initSocket, []byte{messageReady}, rights, nil, 0); err != nil {
		return fmt.Errorf("report to the supervisor: %w", err)
	}
	answer := make([]byte, 1)
	n, err := unix.Read(initSocket, answer)
	for err == unix.EINTR {
		n, err = unix.Read(initSocket, answer)
	}
	if err != nil || n != 1 || answer[0] != messageGo {
		return errors.New("the supervisor gave up before the agent's start")
	}
	return nil
}

// becomeAgent returns only when it failed.
func becomeAgent(plan bootPlan) error {
	if err := os.Chdir(plan.Dir); err != nil {
		return err
	}
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	err := syscall.Exec(plan.Agent, []string{plan.Agent}, plan.Environment)
	return fmt.Errorf("start the agent %s: %w", plan.Agent, err)
}

// enterWorld makes the new namespaces differ from the machine's.
func enterWorld(plan bootPlan) error {
	if err := unix.Sethostname([]byte(plan.ID)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	// What is mounted here stays here; what the machine mounts later is seen.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("detach the mounts: %w", err)
	}
	const plain = unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount("proc", "/proc", "proc", plain|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := ownTmp(plan.Tmp, plan.Keep); err != nil {
		return err
	}
	// Shared memory is lost with a VM too. Where there is none, nothing is.
	if _, err := os.Stat("/dev/shm"); err == nil {
		if err := unix.Mount("tmpfs", "/dev/shm", "tmpfs", plain, "mode=1777"); err != nil {
			return fmt.Errorf("mount /dev/shm: %w", err)
		}
	}
	return nil
}

// ownTmp covers /tmp with the instance's own folder, in which the paths to
// keep have been bound at their old places.
func ownTmp(tmp string, keep []string) error {
	for _, path := range keep {
		at := filepath.Join(tmp, strings.TrimPrefix(path, sharedTmp))
		if err := bind(path, at); err != nil {
			return err
		}
	}
	if err := unix.Mount(tmp, sharedTmp, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", tmp, sharedTmp, err)
	}
	return nil
}

func bind(path, at string) error {
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(at, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
		err = os.WriteFile(at, nil, 0o600)
	}
	if err == nil {
		err = unix.Mount(path, at, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err != nil {
		return fmt.Errorf("keep %s in sight: %w", path, err)
	}
	return nil
}

// keepVisible picks what lies below /tmp from paths, the outermost of those
// that lie in each other. Its second result is false when /tmp itself is among
// them, which then cannot be covered.
func keepVisible(paths []string) ([]string, bool) {
	var below []string
	for _, path := range paths {
		for _, p := range []string{filepath.Clean(path), resolve(path)} {
			if p == sharedTmp {
				return nil, false
			}
			if strings.HasPrefix(p, sharedTmp+"/") {
				below = append(below, p)
			}
		}
	}
	slices.SortFunc(below, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	var keep []string
	for _, path := range below {
		if !slices.ContainsFunc(keep, func(k string) bool { return path == k || strings.HasPrefix(path, k+"/") }) {
			keep = append(keep, path)
		}
	}
	return keep, true
}

func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return filepath.Clean(path)
}

// ownNetwork brings the new network namespace up: loopback, the metadata
// address on it, and a listener there.
func ownNetwork() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	settings := []struct {
		device  string
		request uint
		set     func(*unix.Ifreq) error
	}{
		{"lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
		{"lo:1", unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{169, 254, 169, 254}) }},
		{"lo:1", unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 255}) }},
	}
	for _, s := range settings {
		request, err := unix.NewIfreq(s.device)
		if err == nil {
			err = s.set(request)
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, s.request, request)
		}
		if err != nil {
			return nil, fmt.Errorf("set %s up: %w", s.device, err)
		}
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(169, 254, 169, 254), Port: 80})
	if err != nil {
		return nil, fmt.Errorf("listen at the metadata address: %w", err)
	}
	return listener.File()
}
