package agent

import (
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/job"
)

// What is started has the score, and so has what it started itself before it
// was given it: here a child from before, in the same cgroup.
func TestExpose(t *testing.T) {
	cs := findCgroups("test-" + strings.ToLower(rand.Text()))
	defer cs.remove()
	cg, err := cs.lend(0)
	if err != nil {
		t.Fatal(err)
	}
	defer cg.remove()
	inside, outside := started(t, cg), started(t, nil)
	score := ownOOMScore() + 300 // everybody may raise it
	expose(outside.pid, score, nil)
	if got := scoreOf(t, outside.pid); got != score {
		t.Errorf("the process has %d, want %d", got, score)
	}
	second := started(t, cg)
	expose(second.pid, score, cg)
	for _, p := range []*process{second, inside} {
		if got := scoreOf(t, p.pid); got != score && (p == second || cg != nil) {
			t.Errorf("a process in the cgroup has %d, want %d", got, score)
		}
	}
	if got := scoreOf(t, os.Getpid()); got != score-300 {
		t.Errorf("the agent itself has %d, and had %d", got, score-300)
	}
}

// started is a process that waits until the test is over.
func started(t *testing.T, cg *cgroup) *process {
	t.Helper()
	ps := newProcesses(false)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	path, err := lookPath("sleep", defaultPath, "/")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ps.start(command{path: path, argv: []string{"sleep", "1000"}, dir: "/", output: null, cgroup: cg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.signal(9)
		<-p.done
	})
	return p
}

func scoreOf(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return score
}

// Every command of an attempt gets the score that is not the agent's, and hands
// it on.
func TestTasksAreExposed(t *testing.T) {
	r := newRig(t)
	score := ownOOMScore() + 300
	r.agent.processes.exposed, r.agent.processes.oomScore = true, score
	a := scored(strconv.Itoa(score))
	r.assign(a)
	r.saysOnly(a.AttemptID, strconv.Itoa(score))
}

// scored is a task whose commands wait until they have the score, and tell that
// of what they start then.
func scored(want string) job.Assignment {
	begun := `until [ "$(cat /proc/$$/oom_score_adj)" = ` + want + ` ]; do sleep 0.01; done; `
	return helper("", withCommand("sh", "-c", begun+"for i in 1 2 3 4; do cat /proc/self/oom_score_adj & done; wait"), func(a *job.Assignment) {
		a.Execution.Setup = []string{"sh", "-c", begun + "cat /proc/self/oom_score_adj"}
	})
}

func (r *rig) saysOnly(id job.AttemptID, want string) {
	r.Helper()
	if end := r.end(id); end.ExitCode != 0 || !end.Exited {
		r.Fatalf("end: %+v", end)
	}
	lines := strings.Fields(r.log(id))
	if len(lines) != 5 {
		r.Errorf("it says %q", lines)
	}
	for _, line := range lines {
		if line != want {
			r.Errorf("it says %q, want %s alone", lines, want)
		}
	}
}

// An agent that the kernel is to spare does not have its tasks spared; one that
// is to go first has them go first, too.
func TestOOMScoreOfTasks(t *testing.T) {
	for _, scores := range []struct{ agent, task string }{{"-900", "0"}, {"400", "400"}} {
		t.Run("agent at "+scores.agent, func(t *testing.T) {
			b, address := folderBucket(t)
			r := &rig{TB: t, bucket: b, engine: checkpointing.Open(b), home: t.TempDir(), desired: job.Desired{Run: testRun, Instance: testInstance, Epoch: 1}}
			startAgentAt(t, scores.agent, address, r.home)
			a := scored(scores.task)
			r.assign(a)
			r.saysOnly(a.AttemptID, scores.task)
		})
	}
}

// startAgentAt runs an agent of this score until the test is over.
func startAgentAt(t *testing.T, score, address, home string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `echo "$1" >/proc/self/oom_score_adj || exit 97; echo; exec "$0"`, self, score)
	cmd.Env = append(os.Environ(), helperVariable+"=agent "+address+" "+home+" 0")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if n, _ := io.ReadFull(out, make([]byte, 1)); n == 0 {
		t.Skip("no right to lower the score (CAP_SYS_RESOURCE); TestTasksAreExposed shows that tasks are given theirs")
	}
}
