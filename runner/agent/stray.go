//go:build unix

package agent

import (
	"syscall"
	"time"
)

// sweepFor bounds how long killed processes are waited for.
const sweepFor = 3 * time.Second

// noGroup is no process group.
const noGroup = -1

// sweep kills what is left of an attempt after its first process has ended:
// its process group, its cgroup, and whatever bears its marker in the
// environment, wherever it has gone (setsid, double fork). It is how many
// processes it found alive.
func sweep(group int, marker string, cg *cgroup) int {
	found := map[int]bool{}
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for begun := time.Now(); ; {
		alive := append(strays(group, marker), living(cg.pids())...)
		for _, pid := range alive {
			found[pid] = true
		}
		if group != noGroup {
			_ = syscall.Kill(-group, syscall.SIGKILL)
		}
		cg.kill()
		if len(alive) == 0 || time.Since(begun) > sweepFor {
			return len(found)
		}
		for _, pid := range alive {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-pause.C
	}
}
