package agent

import "golang.org/x/sys/unix"

// powerOffKernel writes out what is in memory and powers off at once.
func powerOffKernel() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
