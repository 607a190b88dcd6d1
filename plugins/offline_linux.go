package plugins

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// cutNetwork gives the command a network namespace of its own, which has not
// even a loopback, if this machine lets it. Unix sockets go through.
func cutNetwork(command *exec.Cmd) {
	if namespaces() {
		unshare(command.SysProcAttr)
	}
}

// namespaces reports whether a process in namespaces of its own can be started.
var namespaces = sync.OnceValue(func() bool {
	path, err := exec.LookPath("true")
	if err != nil {
		return false
	}
	probe := exec.Command(path)
	probe.SysProcAttr = &syscall.SysProcAttr{}
	unshare(probe.SysProcAttr)
	return probe.Run() == nil
})

func unshare(attributes *syscall.SysProcAttr) {
	attributes.Cloneflags |= syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET
	attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
	attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
}
