//go:build unix && !linux

package agent

import "errors"

func mountSmall(string) error { return errors.ErrUnsupported }

func unmount(string) {}
