package plan

import (
	"fmt"
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// place is where an attempt runs, as far as no other may run there.
func (w *world) place(m *vm, id job.AttemptID) string {
	if n, ok := m.nodes[id]; ok {
		return fmt.Sprintf("%s/%d", series(id), n.Node)
	}
	return series(id)
}

// prepareNode accepts a gang's node: it is prepared, and its command does not run.
func (w *world) prepareNode(m *vm, a job.Assignment) {
	m.nodes[a.AttemptID] = *a.Gang
	m.status.Running = append(m.status.Running, job.AttemptStatus{
		AttemptID: a.AttemptID, Step: job.StepGathering, Address: m.ID + ":1"})
	w.prepared(a.AttemptID)[a.Gang.Node] = true
}

func (w *world) prepared(id job.AttemptID) map[int]bool {
	name := fmt.Sprint(id)
	if w.ready[name] == nil {
		w.ready[name] = map[int]bool{}
	}
	return w.ready[name]
}

// startNode starts a node's command once all are there, and holds the promises:
// none starts without all, in one fleet, alone as this node, from what all have.
func (w *world) startNode(m *vm, a job.Assignment) {
	running := slices.ContainsFunc(m.status.Running, func(r job.AttemptStatus) bool { return r.AttemptID == a.AttemptID })
	if _, started := m.alive[a.AttemptID]; started || !running || a.Cancel || !a.Gang.Whole() {
		return
	}
	if n := len(w.prepared(a.AttemptID)); n != a.Gang.Nodes {
		w.fault("node %d of %v starts when %d of %d nodes are prepared", a.Gang.Node, a.AttemptID, n, a.Gang.Nodes)
	}
	at := w.place(m, a.AttemptID)
	if other, runs := w.runs[at]; runs && other != m.ID {
		w.fault("node %s starts on %s while one runs on %s", at, m.ID, other)
	}
	for _, other := range w.vms {
		for id := range other.alive {
			if series(id) == series(a.AttemptID) && id != a.AttemptID {
				w.fault("%v starts on %s while %v runs on %s", a.AttemptID, m.ID, id, other.ID)
			}
		}
	}
	if a.Gang.Incarnation == 1 {
		w.goesOnFromAll(a)
	}
	m.nodes[a.AttemptID] = *a.Gang
	w.runs[at] = m.ID
	m.alive[a.AttemptID] = 0
}

// goesOnFromAll holds the promise that a gang goes on from what all nodes have.
func (w *world) goesOnFromAll(a job.Assignment) {
	var answer FoundCheckpoint
	w.findGang(&ActionFind{Task: a.Task, Index: a.Index, Nodes: a.Gang.Nodes,
		Exclude: w.state.Index(a.Task, a.Index).Bad, Attempt: a.Attempt - 1}, &answer)
	want := ""
	if answer.Checkpoint != nil {
		want = answer.Nodes[a.Gang.Node].Key
	}
	got := ""
	if a.Restore != nil {
		got = a.Restore.Key
	}
	if got != want {
		w.fault("node %d of %v goes on from %q, and all have %q", a.Gang.Node, a.AttemptID, got, want)
	}
}

func nodeSeries(id job.AttemptID, node int) string { return fmt.Sprintf("%s/%d", series(id), node) }

func (w *world) saveNode(m *vm, i int, id job.AttemptID, n job.GangPart, round int64) {
	s := nodeSeries(id, n.Node)
	c := &job.CheckpointRef{Attempt: id.Attempt, Sequence: job.GangSequence(n.Incarnation, round)}
	c.Key = fmt.Sprintf("ckpt/%s/%d-%d", s, c.Attempt, c.Sequence)
	c.Digest, c.Content = c.Key, c.Key
	w.saved[s] = append(w.saved[s], c)
	m.status.Running[i].Checkpoint = c
}

// saveLast is a gang's node that saves after its command was told to end.
func (w *world) saveLast(m *vm, id job.AttemptID) {
	n, ok := m.nodes[id]
	i := slices.IndexFunc(m.status.Running, func(a job.AttemptStatus) bool { return a.AttemptID == id })
	if _, started := m.alive[id]; !ok || !started || i < 0 || w.dice.one(3, "no last save") {
		return
	}
	if task, _ := w.spec.Task(id.Task); task.Execution.Checkpoint != nil {
		w.saveNode(m, i, id, n, job.LastRound)
	}
}

// findGang is the newest round that every node has.
func (w *world) findGang(a *ActionFind, answer *FoundCheckpoint) {
	type round struct {
		attempt int
		round   int64
	}
	have := map[round][]job.CheckpointRef{}
	for n := range a.Nodes {
		newest := map[round]job.CheckpointRef{}
		for _, c := range w.saved[nodeSeries(job.AttemptID{Task: a.Task, Index: a.Index}, n)] {
			at := round{c.Attempt, job.GangRound(c.Sequence)}
			if !slices.Contains(a.Exclude, c.Key) && c.Sequence >= newest[at].Sequence {
				newest[at] = *c
			}
		}
		for at, c := range newest {
			have[at] = append(have[at], c)
		}
	}
	var best round
	for at, refs := range have {
		if len(refs) == a.Nodes && (at.attempt > best.attempt || at.attempt == best.attempt && at.round > best.round) {
			best = at
		}
	}
	if best.attempt == 0 {
		return
	}
	answer.Nodes = have[best]
	answer.Checkpoint = &job.CheckpointRef{Key: fmt.Sprintf("gang/%s/%d/%d-%d", a.Task, a.Index, best.attempt, best.round),
		Attempt: best.attempt, Sequence: best.round}
}
