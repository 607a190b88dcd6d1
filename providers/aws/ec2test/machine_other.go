//go:build !linux

package ec2test

import (
	"errors"
	"net/http"
	"os"
)

func (m *machine) run(plan, string, *os.File, http.Handler) (bool, error) {
	return false, errors.New("instances are real on Linux only")
}

// MachinesWork says why instances cannot be real here, nil where they can.
func MachinesWork() error { return errors.New("instances are real on Linux only") }
