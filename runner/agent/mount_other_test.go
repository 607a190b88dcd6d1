//go:build unix && !linux

package agent

import (
	"errors"
	"syscall"
)

func mountSmall(string) error { return errors.ErrUnsupported }

func unmount(string) {}

func pidNamespace() *syscall.SysProcAttr { return nil }

func mountProc() error { return errors.ErrUnsupported }
