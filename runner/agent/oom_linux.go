package agent

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ownOOMScore is the agent's oom_score_adj, -1000 to 1000: how soon the kernel
// kills it for want of memory. 0 where it cannot be read.
func ownOOMScore() int {
	data, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return score
}

// expose gives a process that was just started its oom_score_adj, which it has
// inherited from the agent, and gives it to what it started before that: what
// it starts after inherits it. A process that is gone needs none, and one that
// may not be changed stays as the agent is.
func expose(pid, score int, cg *cgroup) {
	setOOMScore(pid, score)
	for _, other := range cg.pids() {
		if other != pid && other != os.Getpid() { // whose thread may stand in it
			setOOMScore(other, score)
		}
	}
}

func setOOMScore(pid, score int) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte(strconv.Itoa(score)))
	_ = unix.Close(fd)
}
