package ec2test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The stage is an instance's first process: it makes the instance's world, runs
// the user data as cloud-init does, and stays as the init of the instance.

func init() {
	if len(os.Args) == 2 && os.Args[0] == stageName {
		os.Exit(runStage(os.Args[1]))
	}
}

const stageSocket = 3

func runStage(planFile string) int {
	if planFile == "" { // see MachinesWork
		return 0
	}
	unix.CloseOnExec(stageSocket)
	err := stage(planFile)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "the instance's first process:", err)
	_ = unix.Sendmsg(stageSocket, []byte(err.Error()), nil, nil, unix.MSG_NOSIGNAL) // the console has it too
	return 1
}

func stage(planFile string) error {
	data, err := os.ReadFile(planFile)
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(p.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := buildRoot(p); err != nil {
		return err
	}
	listener, err := metadataListener()
	if err != nil {
		return err
	}
	if err := unix.Chroot(p.Root); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Sendmsg(stageSocket, []byte("up"), unix.UnixRights(int(listener.Fd())), nil, 0); err != nil {
		return err
	}
	listener.Close()
	if n, err := unix.Read(stageSocket, make([]byte, 1)); err != nil || n != 1 {
		return errors.New("the server has gone")
	}
	powerOff := make(chan os.Signal, 1)
	signal.Notify(powerOff, unix.SIGTERM)
	go func() {
		<-powerOff
		endInstance()
	}()
	if err := runUserData(p.UserData, p.Environment); err != nil {
		fmt.Println("user data:", err)
	}
	reap()
	_, _ = unix.Read(stageSocket, make([]byte, 1)) // runs empty until the server ends it
	return nil
}

// shutdownGrace is what processes have after the init told them to end.
const shutdownGrace = 2 * time.Second

// endInstance is what an init does on power-off. The kernel keeps it within the
// namespace (reboot(2)): everything in it is killed.
func endInstance() {
	fmt.Println("init: powering off")
	_ = unix.Kill(-1, unix.SIGTERM) // there may be nobody
	for began := time.Now(); time.Since(began) < shutdownGrace; time.Sleep(10 * time.Millisecond) {
		if unix.Kill(-1, 0) != nil {
			break
		}
	}
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Println("init: power off:", err)
	os.Exit(1)
}

// runUserData starts a script, as cloud-init does: as root, with little in its
// environment.
func runUserData(data []byte, environment []string) error {
	if !bytes.HasPrefix(data, []byte("#!")) {
		fmt.Println("no script in the user data")
		return nil
	}
	script := "/var/lib/cloud/instance/scripts/part-001"
	if err := os.MkdirAll(filepath.Dir(script), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(script, data, 0o700); err != nil {
		return err
	}
	_, err := os.StartProcess(script, []string{script}, &os.ProcAttr{
		Env:   append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}, environment...),
		Files: []*os.File{nil, os.Stdout, os.Stderr},
	})
	return err
}

// reap waits for whatever ends, until nothing is left.
func reap() {
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// systemFolders are this machine's that make the image, read only.
var systemFolders = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"}

// ownFolders are the instance's.
var ownFolders = []string{"/dev/shm", "/home", "/mnt", "/opt", "/proc", "/root", "/run", "/srv", "/sys", "/tmp", "/var/cache", "/var/lib", "/var/log", "/var/tmp"}

// devices that programs expect.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}

// buildRoot makes the file system that the instance sees.
func buildRoot(p plan) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("detach the mounts: %w", err)
	}
	if err := unix.Mount(p.Root, p.Root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind the root: %w", err)
	}
	for _, path := range ownFolders {
		if err := os.MkdirAll(p.Root+path, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(p.Root+"/tmp", 0o1777); err != nil {
		return err
	}
	for _, path := range systemFolders {
		if err := bindSystem(p.Root, path); err != nil {
			return err
		}
	}
	if err := unix.Mount(p.Programs, p.Root+"/usr/local/bin", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind /usr/local/bin: %w", err)
	}
	if err := unix.Mount("proc", p.Root+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, path := range append(devices, p.Share...) {
		if err := bind(path, p.Root+path); err != nil {
			return err
		}
	}
	if err := bind(p.Console, p.Root+"/dev/console"); err != nil {
		return err
	}
	if err := coverKernel(p.Root); err != nil {
		return err
	}
	return os.Symlink("/proc/self/fd", p.Root+"/dev/fd")
}

// coverKernel hides what in /proc is the whole machine's: an instance that
// powers itself off by all means must not reach it.
func coverKernel(root string) error {
	if _, err := os.Stat(root + "/proc/sysrq-trigger"); err == nil {
		if err := unix.Mount("/dev/null", root+"/proc/sysrq-trigger", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover /proc/sysrq-trigger: %w", err)
		}
	}
	if err := unix.Mount(root+"/proc/sys", root+"/proc/sys", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover /proc/sys: %w", err)
	}
	return readOnly(root + "/proc/sys")
}

// bindSystem shows a folder of this machine, read only; a link stays a link.
func bindSystem(root, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil //nolint:nilerr // not every system has all of them
	}
	if info.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(target, root+path)
	}
	if err := bind(path, root+path); err != nil {
		return err
	}
	return readOnly(root + path)
}

// readOnly changes a mount; the flags that it has must stay in a user namespace.
func readOnly(at string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(at, &stat); err != nil {
		return err
	}
	keep := uintptr(stat.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME)
	if err := unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|keep, ""); err != nil {
		return fmt.Errorf("make %s read only: %w", at, err)
	}
	return nil
}

// bind shows a file or folder of this machine at another place.
func bind(path, at string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(at, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
		err = os.WriteFile(at, nil, 0o644)
	}
	if err == nil {
		err = unix.Mount(path, at, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err != nil {
		return fmt.Errorf("show %s: %w", path, err)
	}
	return nil
}

// metadataListener brings loopback up with the metadata address on it, and
// listens there.
func metadataListener() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for _, device := range []struct {
		name    string
		request uint
		address []byte
	}{
		{"lo", unix.SIOCSIFFLAGS, nil},
		{"lo:1", unix.SIOCSIFADDR, []byte{169, 254, 169, 254}},
		{"lo:1", unix.SIOCSIFNETMASK, []byte{255, 255, 255, 255}},
	} {
		request, err := unix.NewIfreq(device.name)
		if err != nil {
			return nil, err
		}
		if device.address == nil {
			request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		} else if err := request.SetInet4Addr(device.address); err != nil {
			return nil, err
		}
		if err := unix.IoctlIfreq(fd, device.request, request); err != nil {
			return nil, fmt.Errorf("set %s up: %w", strings.TrimSuffix(device.name, ":1"), err)
		}
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(169, 254, 169, 254), Port: 80})
	if err != nil {
		return nil, fmt.Errorf("listen at the metadata address: %w", err)
	}
	return listener.File()
}
