//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The machine's network: QEMU's own, moved so that the metadata service is at
// its usual address.
const (
	guestAddress    = "169.254.169.15"
	hostAddress     = "169.254.169.2"
	metadataAddress = "169.254.169.254"
	guestHome       = "/var/lib/spotrelay"
)

// userData is what the machine asks its metadata service for.
type userData struct {
	Instance    string            `json:"instance"`
	Environment map[string]string `json:"environment"`
	Forward     []int             `json:"forward"`
}

// guest is the first process of a machine. It brings the network up, asks who it
// is, starts the agent, and powers off when that ends.
func guest() {
	say := func(format string, args ...any) { fmt.Printf("init: "+format+"\n", args...) }
	err := errors.Join(mountAll(), loadModules(), bringUp("lo", "127.0.0.1", "255.0.0.0"), bringUp("eth0", guestAddress, "255.255.255.0"))
	if err != nil {
		say("%v", err)
	}
	data, err := whoAmI()
	if err != nil {
		say("the metadata service: %v", err)
		powerOff()
	}
	for _, port := range data.Forward {
		if err := forward(port); err != nil {
			say("forwarding port %d: %v", port, err)
		}
	}
	say("this is %s, its agent starts", data.Instance)
	environment := []string{"PATH=/bin", "HOME=/", "SPOTRELAY_INSTANCE=" + data.Instance, "SPOTRELAY_HOME=" + guestHome}
	for name, value := range data.Environment {
		environment = append(environment, name+"="+value)
	}
	agent, err := os.StartProcess("/bin/spotrelay-agent", []string{"spotrelay-agent"}, &os.ProcAttr{
		Env: environment, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		say("the agent: %v", err)
		powerOff()
	}
	for { // the first process inherits the orphans
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if pid == agent.Pid {
			say("the agent ended with %d", status.ExitStatus())
			powerOff()
		}
		if errors.Is(err, unix.ECHILD) {
			powerOff()
		}
	}
}

func powerOff() {
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func mountAll() error {
	var errs []error
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}} {
		errs = append(errs, os.MkdirAll(m[1], 0o755))
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			errs = append(errs, fmt.Errorf("mount %s: %w", m[1], err))
		}
	}
	return errors.Join(append(errs, os.MkdirAll(guestHome, 0o755))...)
}

// loadModules loads those that the archive has, in the order that they need.
func loadModules() error {
	var errs []error
	for _, name := range modules {
		file, err := os.Open("/modules/" + name + ".ko")
		if errors.Is(err, os.ErrNotExist) {
			continue // part of the kernel
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := unix.FinitModule(int(file.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("module %s: %w", name, err))
		}
		_ = file.Close()
	}
	return errors.Join(errs...)
}

// bringUp gives a network interface its address.
func bringUp(name, address, mask string) error {
	for tries := 0; ; tries++ {
		if _, err := net.InterfaceByName(name); err == nil {
			break
		}
		if tries == 100 {
			return fmt.Errorf("there is no network interface %s", name)
		}
		time.Sleep(20 * time.Millisecond) // the driver is looking for it
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	for _, set := range []struct {
		request uint
		address string
	}{{unix.SIOCSIFADDR, address}, {unix.SIOCSIFNETMASK, mask}} {
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := request.SetInet4Addr(net.ParseIP(set.address).To4()); err != nil {
			return err
		}
		if _, _, failed := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), uintptr(set.request), uintptr(unsafe.Pointer(request))); failed != 0 {
			return fmt.Errorf("%s: %w", name, failed)
		}
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if _, _, failed := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(request))); failed != 0 {
		return fmt.Errorf("%s: %w", name, failed)
	}
	return nil
}

// whoAmI asks the metadata service, and takes its time over: requests to a
// bucket are signed with the time.
func whoAmI() (userData, error) {
	var data userData
	var err error
	for range 100 {
		var response *http.Response
		response, err = http.Get("http://" + metadataAddress + "/user-data")
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		defer response.Body.Close()
		if now, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			_ = unix.Settimeofday(&unix.Timeval{Sec: now.Unix()})
		}
		return data, json.NewDecoder(response.Body).Decode(&data)
	}
	return data, err
}

// forward makes a port of the host's loopback one of the machine's own.
func forward(port int) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go join(from, strings.Join([]string{hostAddress, fmt.Sprint(port)}, ":"))
		}
	}()
	return nil
}

func join(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(from, to)
}
