package main

import (
	"os/exec"
	"syscall"
)

// ownSession keeps the console's signals from a process.
func ownSession(cmd *exec.Cmd) {
	const detachedProcess = 0x00000008
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | detachedProcess}
}
