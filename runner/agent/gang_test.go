//go:build unix

package agent

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

func onLoopback(o *Options) { o.Address = "127.0.0.1" }

// node makes an assignment that of node 1 of 3.
func node(a *job.Assignment) { a.Gang = &job.GangPart{Node: 1, Nodes: 3, Incarnation: 1} }

// gathering waits until a node is prepared and is its address.
func (r *rig) gathering(id job.AttemptID) string {
	r.Helper()
	status := r.status("a prepared node", func(s job.Status) bool {
		return len(s.Running) == 1 && s.Running[0].AttemptID == id && s.Running[0].Step == job.StepGathering && s.Running[0].Address != ""
	})
	return status.Running[0].Address
}

// A node is prepared and waits, holding its port; its command starts when all
// addresses are there, with what it is told of them, and the file follows.
func TestGangGathers(t *testing.T) {
	t.Parallel()
	r := newRig(t, onLoopback)
	a := helper("environment", node)
	a.Execution.Env["PET_NNODES"] = "2:4"
	r.assign(a)
	own := r.gathering(a.AttemptID)
	if l, err := net.Listen("tcp", own); err == nil {
		l.Close()
		t.Errorf("the port of %s is not held", own)
	}
	r.desired.Attempts[0].Gang = &job.GangPart{Node: 1, Nodes: 3, Incarnation: 1, Addresses: []string{"10.0.0.1:7", own, ""}}
	r.write()
	r.status("the newer document", func(s job.Status) bool { return s.Sequence == r.desired.Sequence })
	if again := r.gathering(a.AttemptID); again != own {
		t.Errorf("it is at %s and then at %s", own, again)
	}
	r.desired.Attempts[0].Gang = &job.GangPart{Node: 1, Nodes: 3, Incarnation: 1, Addresses: []string{"10.0.0.1:7", own, "10.0.0.3:9"}}
	r.write()
	if end := r.end(a.AttemptID); !end.Committed {
		t.Errorf("end: %+v", end)
	}
	var text strings.Builder
	if err := store.ReadLogAt(t.Context(), r.bucket, store.NodeLogPrefix(testRun, a.AttemptID, 1, 1), &text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"SPOTRELAY_NODE=1", "SPOTRELAY_NODES=3", "SPOTRELAY_NODE_INCARNATION=1", "SPOTRELAY_NODE_ADDRESSES=10.0.0.1:7," + own + ",10.0.0.3:9",
		"MASTER_ADDR=10.0.0.1", "MASTER_PORT=7", "RANK=1", "WORLD_SIZE=3", "NODE_RANK=1",
		"PET_NNODES=2:4", "PET_NODE_RANK=1", "PET_MASTER_ADDR=10.0.0.1", "PET_MASTER_PORT=7",
	} {
		if !slices.Contains(strings.Split(text.String(), "\n"), line) {
			t.Errorf("%q is missing in:\n%s", line, text.String())
		}
	}
}

// One that is told to stop while it waits has not run, and blames nobody.
func TestGangCancelledWhileGathering(t *testing.T) {
	t.Parallel()
	r := newRig(t, onLoopback)
	a := helper("exit 0", node)
	r.assign(a)
	r.gathering(a.AttemptID)
	r.desired.Attempts[0].Cancel = true
	r.write()
	if end := r.end(a.AttemptID); !end.Cancelled || end.Exited || end.AgentError != "" || end.Step != job.StepGathering {
		t.Errorf("end: %+v", end)
	}
}

// In a network of its own no other node reaches it, which is said.
func TestGangWithoutAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *Options) { o.Address = bootstrap.AddressNone })
	a := helper("exit 0", node)
	r.assign(a)
	if end := r.end(a.AttemptID); end.Exited || !strings.Contains(end.AgentError, "network of its own") {
		t.Errorf("end: %+v", end)
	}
}

// While the command runs its addresses file follows the document; a node that
// is away is a dash. What is saved at the end is of the last round, at its own
// place, also where nothing changed since.
func TestGangFollowsAndSaves(t *testing.T) {
	t.Parallel()
	r := newRig(t, onLoopback)
	a := helper("trap", node, withCheckpoint)
	a.Gang.Addresses = []string{"h:1", "h:2", "h:3"}
	a.Gang.Incarnation = 2
	r.assign(a)
	r.running(a.AttemptID)
	r.desired.Attempts[0].Gang = &job.GangPart{Node: 1, Nodes: 3, Incarnation: 2, Addresses: []string{"", "h:2", "h:4"}}
	r.write()
	file := filepath.Join(filepath.Dir(r.work(a.AttemptID)), nodeAddressFileName)
	r.await("the new addresses", func() bool {
		data, err := os.ReadFile(file)
		return err == nil && string(data) == "-\nh:2\nh:4\n"
	})
	r.desired.Attempts[0].Cancel = true
	r.write()
	end := r.end(a.AttemptID)
	want := store.SeriesPrefix(testRun, a.Task, a.Index, 1, "") +
		checkpointing.ManifestName(checkpointing.ID{Attempt: a.Attempt, Sequence: job.GangSequence(2, job.LastRound)})
	if end.Saved == nil || end.Saved.Key != want {
		t.Errorf("saved %+v, want %s", end.Saved, want)
	}
}

// Of a gang's checkpoints all stay from the newest round on that every node has.
func TestGangKeepsWhatAllHave(t *testing.T) {
	t.Parallel()
	r := newRig(t, onLoopback)
	save := func(node int, round int64) string {
		id := checkpointing.ID{Attempt: 1, Sequence: job.GangSequence(1, round)}
		key := store.CheckpointKey(testRun, "train", 0, node, id)
		if _, err := r.engine.Save(t.Context(), t.TempDir(), checkpointing.SaveOptions{Key: key, ID: id}); err != nil {
			t.Fatal(err)
		}
		return key
	}
	var own []string
	for round := int64(1); round <= 5; round++ {
		own = append(own, save(1, round))
	}
	for _, round := range []int64{1, 2, 3} {
		save(0, round)
		save(2, round+1)
	}
	attempt := newAttempt(r.agent, job.Assignment{
		AttemptID: job.AttemptID{Task: "train", Attempt: 2}, Gang: &job.GangPart{Node: 1, Nodes: 3, Incarnation: 1},
		Execution: job.Execution{Command: []string{"x"}, Checkpoint: &job.Checkpoint{Path: "ckpt"}},
	}, 1)
	defer attempt.closeSavers()
	kept, err := attempt.savers[0].keptForGang(t.Context())
	if err != nil || !slices.Equal(kept, own[2:]) {
		t.Errorf("kept %v, %v, want %v", kept, err, own[2:])
	}
}
