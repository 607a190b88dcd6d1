//go:build linux

package main

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// modules that a machine's network needs, in the order of their loading.
var modules = []string{
	"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover", "net_failover", "virtio_net",
}

// boot is what the keeper of a machine must know: FOLDER/instances/ID/boot.json.
type boot struct {
	UserData userData `json:"user_data"`
	Kernel   string   `json:"kernel"`
	Modules  string   `json:"modules"`
	Agent    string   `json:"agent"`
	Memory   int64    `json:"memory"`   // bytes
	MaxLife  int64    `json:"max_life"` // nanoseconds; 0: no bound
}

// writeInitramfs makes the machine's files: this program as its first process,
// the agent, and the network's modules.
func writeInitramfs(path string, b boot) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, program := range []string{self, b.Agent} {
		if err := checkStatic(program); err != nil {
			return err
		}
	}
	found, err := findModules(b.Modules)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	a := &archive{w: buffered}
	for _, folder := range []string{"dev", "proc", "sys", "tmp", "bin"} {
		a.folder(folder)
	}
	a.file("init", self)
	a.file("bin/spotrelay-agent", b.Agent)
	for _, name := range modules {
		if from := found[name]; from != "" {
			a.file("modules/"+name+".ko", from)
		}
	}
	return errors.Join(a.close(), buffered.Flush(), file.Close())
}

// checkStatic refuses a program that would need libraries, which a machine does
// not have.
func checkStatic(path string) error {
	program, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is no program for Linux: %w", path, err)
	}
	defer program.Close()
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs libraries; build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}

// findModules looks the modules' files up.
func findModules(dir string) (map[string]string, error) {
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok && err == nil && entry.Type().IsRegular() {
			found[name] = path
		}
		return err
	})
	if err == nil && found["virtio_net"] == "" {
		err = fmt.Errorf("there is no virtio_net.ko below %s", dir)
	}
	return found, err
}

// emulator is the command that runs a machine; port is where its metadata
// service is. See the QEMU manual, "-netdev user".
func emulator(b boot, initramfs string, port int) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command("qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
		"-m", fmt.Sprint(b.Memory>>20),
		"-kernel", b.Kernel, "-initrd", initramfs, "-append", "console=ttyS0 panic=-1 quiet",
		"-device", "virtio-net-pci,netdev=n0,romfile=",
		"-netdev", fmt.Sprintf("user,id=n0,net=169.254.169.0/24,host=%s,guestfwd=tcp:%s:80-cmd:%s dial 127.0.0.1:%d", hostAddress, metadataAddress, self, port))
	// However the keeper ends, its machine does.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return command, nil
}
