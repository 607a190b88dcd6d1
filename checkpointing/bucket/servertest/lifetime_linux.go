package servertest

import (
	"os/exec"
	"syscall"
)

// endWithParent has the command killed when its parent thread ends.
func endWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
