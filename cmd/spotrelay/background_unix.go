//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// ownSession keeps the terminal's signals from a process.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
