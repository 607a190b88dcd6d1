//go:build linux || darwin

package local

import (
	"fmt"
	"os"
	"sync/atomic"
)

// The names, as argv[0], under which the program is started again. They are
// not environment variables, which a task of an instance would inherit.
const (
	supervisorStage = "spotrelay-local-instance"
	initStage       = "spotrelay-local-init"
)

// staged says that the program's main asked IsStage. A program that does not
// would start itself over and over instead of a supervisor.
var staged atomic.Bool

// IsStage reports whether this process was started as a part of an instance.
// A program that uses the provider asks first thing in main, before it reads
// its arguments, and then exits with what RunStage returns.
func IsStage() bool {
	staged.Store(true)
	switch os.Args[0] {
	case supervisorStage, initStage:
		return true
	}
	return false
}

// RunStage does the work of the stage that IsStage found and returns the exit
// code.
func RunStage() int {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, os.Args[0]+" is started by spotrelay's local provider, with an instance's folder")
		return 2
	}
	switch os.Args[0] {
	case supervisorStage:
		return supervise(os.Args[1])
	case initStage:
		return runInit(os.Args[1])
	}
	return 2
}
