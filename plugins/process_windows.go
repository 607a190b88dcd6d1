package plugins

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the console's Ctrl-C from the process.
func ownGroup(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
