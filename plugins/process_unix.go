//go:build unix

package plugins

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the terminal's signals from the process.
func ownGroup(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
