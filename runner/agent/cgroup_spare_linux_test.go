package agent

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
)

// lent starts a command in a cgroup that was lent and waits for its end.
func lent(t *testing.T, cs *cgroups, argv ...string) *cgroup {
	t.Helper()
	cg, err := cs.lend(0)
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	path, err := lookPath(argv[0], defaultPath, "/")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProcesses(false).start(command{path: path, argv: argv, dir: "/", output: null, cgroup: cg})
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if code := p.status.ExitStatus(); code != 0 {
		t.Fatalf("%v ended with %d", argv, code)
	}
	return cg
}

func TestCgroupsAreUsedAgain(t *testing.T) {
	cs := findCgroups("test-" + strings.ToLower(rand.Text()))
	defer cs.remove()
	if cs.unified == "" && cs.memory == "" {
		t.Skip("no cgroup can be made here, so nothing of them can be tested")
	}
	busy := lent(t, cs, "sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
	used := busy.usage()
	dir := busy.unified + busy.memory
	busy.remove()
	if cs.unifiedMemory {
		if len(cs.spare) > 0 {
			t.Error("one whose memory's peak cannot be reset is kept")
		}
		return
	}
	idle := lent(t, cs, "true")
	if idle.unified+idle.memory != dir {
		t.Errorf("%s was made, and %s was spare", idle.unified+idle.memory, dir)
	}
	if after := idle.usage(); idle.unified != "" && after.CPU >= used.CPU {
		t.Errorf("used %s, of which the attempt before had %s", after.CPU, used.CPU)
	}
	// One that was told to kill would kill what starts in it.
	idle.kill()
	idle.remove()
	if idle.unified != "" && len(cs.spare) > 0 {
		t.Error("one that was told to kill is kept")
	}
	lent(t, cs, "true").remove()
}
