package local

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/spotrelay/spotrelay/providers"
)

// bootPlan is what the first process starts with.
type bootPlan struct {
	ID          string
	Tmp         string
	Keep        []string
	Agent       string
	Dir         string
	Environment []string
}

// keepVisible keeps everything: /tmp is not covered on this system.
func keepVisible([]string) ([]string, bool) { return nil, true }

// runInit is not a stage on this system.
func runInit(string) int { return 2 }

var errNoNamespaces = errors.New("this system has no namespaces")

// startMachine prepares the instance's first process; release starts it.
func startMachine(folder instanceFolder, rec record, plan bootPlan, console *os.File) (*machine, error) {
	if rec.Isolation == isolationNamespaces || rec.Network == networkIsolated {
		return nil, errNoNamespaces
	}
	m := &machine{
		group: true, mark: markOf(rec.Instance.ID),
		isolation: "process group: " + errNoNamespaces.Error(),
	}
	m.cmd = &exec.Cmd{
		Path: plan.Agent, Args: []string{plan.Agent}, Dir: plan.Dir,
		Env:    append(plan.Environment, "TMPDIR="+folder.tmp()),
		Stdout: console, Stderr: console,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	m.exited = make(chan struct{})
	m.release = func() error {
		if err := m.cmd.Start(); err != nil {
			return err
		}
		m.watch()
		return nil
	}
	return m, nil
}

// describeExit is how the first process ended, in words.
func (m *machine) describeExit() string { return m.cmd.ProcessState.String() }

// isolationFaults says what of the wanted isolation this machine refuses.
func isolationFaults(c config) []providers.Fault {
	if c.isolation != isolationNamespaces && c.network != networkIsolated {
		return nil
	}
	return []providers.Fault{{
		Severity: providers.SeverityError,
		Summary:  "Instances cannot be isolated so: " + errNoNamespaces.Error(),
		Detail:   `Leave it at isolation = "auto" with network = "host".`,
	}}
}
