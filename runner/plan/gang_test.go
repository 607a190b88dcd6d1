package plan

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// gangOf is a run of one task with so many nodes.
func gangOf(nodes int, loss job.NodeLoss, retries job.Retries) *job.Spec {
	spec := one(retries)
	spec.Tasks[0].Nodes, spec.Tasks[0].OnNodeLoss = nodes, loss
	return spec
}

// gangRuns waits until an attempt's commands run on all of its nodes.
func (w *world) gangRuns(t *testing.T, attempt, nodes int) []*vm {
	t.Helper()
	id := job.AttemptID{Task: "train", Attempt: attempt}
	vms := make([]*vm, nodes)
	w.until(t, "all nodes run", func() bool {
		n := 0
		for _, m := range w.vms {
			if _, started := m.alive[id]; started {
				vms[m.nodes[id].Node] = m
				n++
			}
		}
		return n == nodes
	})
	return vms
}

// saveAll has every node save a round.
func (w *world) saveAll(vms []*vm, attempt int) {
	for _, m := range vms {
		w.saves(m, attempt)
	}
}

// allEnd has every node end with exit 0.
func (w *world) allEnd(vms []*vm, attempt int) {
	for _, m := range vms {
		w.ends(m, attempt, job.AttemptEnd{Exited: true, Committed: true})
	}
}

// One node of four has a notice: all save and stop, one attempt is charged as
// preempted, and the next one goes on from the round that all have, on the
// three instances that are left and a new one. Then a node is gone without a
// notice, and another one fails for that and is heard of first: it is still one
// preemption. The last attempt is on-demand on every node.
func TestGangLosesNodes(t *testing.T) {
	w := play(t, gangOf(4, "", job.Retries{Attempts: 3, OnDemandAttempts: 1}))
	vms := w.gangRuns(t, 1, 4)
	w.saveAll(vms, 1)
	vms[2].status.Notice, vms[2].status.Phase = interruption, job.PhaseDraining
	w.step(time.Second)
	w.saveLast(vms[2], job.AttemptID{Task: "train", Attempt: 1})
	w.ends(vms[2], 1, job.AttemptEnd{Exited: true, ExitCode: 143, Notice: interruption, SignalSent: true})
	w.step(time.Second)
	w.kill(vms[2], providers.EndReclaimed)

	vms = w.gangRuns(t, 2, 4)
	if n := len(w.vms); n != 5 {
		t.Errorf("%d instances were rented, want 5: three go on", n)
	}
	w.saveAll(vms, 2)
	w.ends(vms[3], 2, job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Minute)})
	w.kill(vms[0], providers.EndReclaimed)

	vms = w.gangRuns(t, 3, 4)
	for n, m := range vms {
		if m.Offer.Capacity != providers.OnDemand {
			t.Errorf("node %d of the final attempt is on %s", n, m.Offer.Capacity)
		}
	}
	w.allEnd(vms, 3)
	w.untilFinished(t, OutcomeSucceeded)
	x := w.state.Index("train", 0)
	if x.Charged != 2 || x.Preempted != 2 || x.Failures != 0 {
		t.Errorf("%d attempts are charged, %d as preempted and %d as failed, want 2, 2 and 0", x.Charged, x.Preempted, x.Failures)
	}
	golden(t, "gang", w)
}

// With replace the others go on: they are assigned the same attempt, only the
// addresses change, and each lost incarnation is charged once. The one before
// the final attempts stops all, since these are on-demand on every node.
func TestGangReplacesNodes(t *testing.T) {
	w := play(t, gangOf(3, job.NodeLossReplace, job.Retries{Attempts: 3, OnDemandAttempts: 1}))
	vms := w.gangRuns(t, 1, 3)
	w.saveAll(vms, 1)
	w.step(time.Second)
	saved := vms[1].status.Running[0].Checkpoint
	w.kill(vms[1], providers.EndReclaimed)
	w.until(t, "node 1 is replaced", func() bool {
		rec := w.state.Index("train", 0).current()
		return rec != nil && rec.Nodes[1].Incarnation == 2 && rec.gathered()
	})
	again := w.gangRuns(t, 1, 3)
	if again[0] != vms[0] || again[2] != vms[2] || again[1] == vms[1] {
		t.Error("the nodes that were not lost did not go on where they were")
	}
	if got := vms[0].desired.Attempts[0].Gang.Addresses[1]; got != again[1].ID+":1" {
		t.Errorf("node 0 is told that node 1 is at %s", got)
	}
	if from := again[1].desired.Attempts[0].Restore; from == nil || from.Key != saved.Key {
		t.Errorf("the new node 1 goes on from %v, want its own newest", from)
	}
	x := w.state.Index("train", 0)
	if x.Charged != 1 || x.Preempted != 1 {
		t.Errorf("%d charges, want one for the lost incarnation", x.Charged)
	}
	w.kill(again[1], providers.EndReclaimed)
	vms = w.gangRuns(t, 2, 3)
	w.allEnd(vms, 2)
	w.untilFinished(t, OutcomeSucceeded)
	if x.Charged != 2 || len(x.Attempts) != 2 {
		t.Errorf("%d charges in %d attempts, want 2 in 2", x.Charged, len(x.Attempts))
	}
	golden(t, "gang-replace", w)
}

// Half of a gang is rented, held until capacity_wait, and given back; then it is
// looked for elsewhere.
func TestPartialGangIsGivenBack(t *testing.T) {
	spec := gangOf(4, "", job.Retries{Attempts: 2, OnDemandAttempts: 1, CapacityWait: job.Duration(5 * time.Minute)})
	spec.Fleets = append(spec.Fleets, job.Fleet{Name: "gcp", Provider: "gcp"})
	spec.Tasks[0].Fleets = []string{"aws", "gcp"}
	w := play(t, spec)
	w.has = map[string]int{"aws": 2}
	vms := w.gangRuns(t, 1, 4)
	for n, m := range vms {
		if m.Tags[providers.TagFleet] != "gcp" {
			t.Errorf("node %d runs in %s", n, m.Tags[providers.TagFleet])
		}
	}
	w.allEnd(vms, 1)
	w.untilFinished(t, OutcomeSucceeded)
	if x := w.state.Index("train", 0); x.Charged != 0 || len(x.Attempts) != 1 {
		t.Errorf("%d attempts and %d charges, want 1 and none", len(x.Attempts), x.Charged)
	}
	golden(t, "gang-partial", w)
}

// Nowhere are there enough: after capacity_wait in the one fleet, on spot and
// on-demand, the task ends for want of capacity, and nothing is left.
func TestGangWithoutCapacity(t *testing.T) {
	w := play(t, gangOf(4, "", job.Retries{Attempts: 2, OnDemandAttempts: 1, CapacityWait: job.Duration(5 * time.Minute)}))
	w.has = map[string]int{"aws": 3}
	w.untilFinished(t, OutcomeFailed)
	if x := w.state.Index("train", 0); len(x.Attempts) != 0 || x.Charged != 0 {
		t.Errorf("%d attempts and %d charges, want none", len(x.Attempts), x.Charged)
	}
	golden(t, "gang-no-capacity", w)
}

func anyGang(t *rapid.T) *job.Spec {
	spec := anySpec(t)
	spec.MaxInstances = 0
	nodes := rapid.IntRange(2, 4).Draw(t, "nodes")
	if rapid.Bool().Draw(t, "bounded") {
		spec.MaxInstances = nodes + rapid.IntRange(0, 2).Draw(t, "beyond")
	}
	spec.Tasks[0].Count = rapid.IntRange(0, 3).Draw(t, "few")
	gang := &spec.Tasks[1]
	gang.Count, gang.Dedicated = rapid.IntRange(1, 3).Draw(t, "gangs"), false
	gang.Nodes = nodes
	gang.OnNodeLoss = rapid.SampledFrom([]job.NodeLoss{"", job.NodeLossReplace}).Draw(t, "on node loss")
	return spec
}

// In any world: no command of a gang runs unless all nodes were prepared, none
// runs twice, what is charged is charged once, all goes on from what all have,
// and nothing is left behind.
func TestAnyGang(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { anyWorld(t, anyGang(t)) })
}
