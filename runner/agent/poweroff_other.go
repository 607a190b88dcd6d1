//go:build unix && !linux

package agent

import "errors"

// powerOffKernel: the system's own commands must do it here.
func powerOffKernel() error { return errors.ErrUnsupported }
