package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// A gang's attempt is one AttemptRecord with a NodeRecord for each node: one
// number, one verdict, one charge. It is assigned to all of its instances in
// one event, and counts once all of them have accepted it. Agents prepare, say
// at which address, and start the command when the controller has told them
// the addresses of all. See the section on gangs in docs/design.md.

// NodeRecord is one node of a gang's attempt, as its present incarnation is.
type NodeRecord struct {
	// Instance it is on; "" while a lost one is being replaced.
	Instance    string          `json:"instance,omitempty"`
	Incarnation int             `json:"incarnation"` // from 1
	Offer       providers.Offer `json:"offer"`
	// Address where the others reach it, once it is prepared.
	Address    string             `json:"address,omitempty"`
	Assigned   Time               `json:"assigned,omitempty"`
	Accepted   Time               `json:"accepted,omitempty"` // 0: not yet
	Ended      Time               `json:"ended,omitempty"`    // 0: not yet
	Unattended Time               `json:"unattended,omitempty"`
	Restore    *job.CheckpointRef `json:"restore,omitempty"`
	Checkpoint *job.CheckpointRef `json:"checkpoint,omitempty"` // its newest, known at its end
	Verdict    *Verdict           `json:"verdict,omitempty"`    // by itself; the attempt's is what is charged
	Evidence   *Evidence          `json:"evidence,omitempty"`
	Cost       float64            `json:"cost,omitempty"`
	// Lost are the incarnations that were replaced, in order.
	Lost []LostNode `json:"lost,omitempty"`
}

// LostNode is an incarnation of a node that was lost and replaced.
type LostNode struct {
	Instance    string   `json:"instance"`
	Incarnation int      `json:"incarnation"`
	Ended       Time     `json:"ended"`
	Verdict     Verdict  `json:"verdict"` // with what it was charged to
	Evidence    Evidence `json:"evidence"`
	Left        Left     `json:"left"`
	Cost        float64  `json:"cost"`
}

// GangStop says why a gang's nodes are told to stop before their time.
type GangStop struct {
	Node   int    `json:"node"` // that was lost, or will be; -1: none
	Notice bool   `json:"notice,omitempty"`
	Reason string `json:"reason"`
}

// IsGang reports whether the attempt has several nodes.
func (rec *AttemptRecord) IsGang() bool { return len(rec.Nodes) > 0 }

// on reports whether an instance has the attempt, or a node of it, and it has
// not ended there.
func (rec *AttemptRecord) on(instance string) bool {
	if !rec.IsGang() {
		return rec.Instance == instance
	}
	return rec.nodeOn(instance) >= 0
}

// nodeOn is the node that an instance has and that has not ended, -1 for none.
func (rec *AttemptRecord) nodeOn(instance string) int {
	return slices.IndexFunc(rec.Nodes, func(n NodeRecord) bool { return n.Instance == instance && n.Ended == 0 })
}

// acceptedOn reports whether an instance has accepted the attempt.
func (rec *AttemptRecord) acceptedOn(instance string) bool {
	if !rec.IsGang() {
		return rec.Accepted != 0
	}
	n := rec.nodeOn(instance)
	return n >= 0 && rec.Nodes[n].Accepted != 0
}

// missing reports whether a node is lost and not replaced yet.
func (n *NodeRecord) missing() bool { return n.Instance == "" && n.Ended == 0 }

// addresses of all nodes, "" of those that have none.
func (rec *AttemptRecord) addresses() []string {
	addresses := make([]string, len(rec.Nodes))
	for n := range rec.Nodes {
		addresses[n] = rec.Nodes[n].Address
	}
	return addresses
}

// gathered reports whether every node has an address.
func (rec *AttemptRecord) gathered() bool { return !slices.Contains(rec.addresses(), "") }

// gangs are the indexes of a group whose gang has not ended, in order.
func (t *tick) gangs(g *group) []ref {
	refs := slices.SortedFunc(maps.Keys(t.work.gangs), func(a, b ref) int {
		return cmp.Or(cmp.Compare(a.task, b.task), cmp.Compare(a.index, b.index))
	})
	return slices.DeleteFunc(refs, func(r ref) bool { return t.groupOf(r) != g })
}

// asNode makes of a gang's assignment that of one node.
func (t *tick) asNode(a *job.Assignment, rec *AttemptRecord, r ref, instance string) {
	n := rec.nodeOn(instance)
	if n < 0 {
		return
	}
	node, task := &rec.Nodes[n], &t.Spec.Tasks[r.task]
	a.Restore = node.Restore
	a.Gang = &job.GangPart{Node: n, Nodes: len(rec.Nodes), Incarnation: node.Incarnation,
		Replace: task.OnNodeLoss == job.NodeLossReplace}
	if rec.Started != 0 {
		a.Gang.Addresses = rec.addresses()
	}
	if stop := rec.Stopping; stop != nil && !(stop.Notice && stop.Node == n) {
		a.Cancel = true // one that has a notice stops by that
	}
}

// acceptNode notes that a node appeared in its instance's status, and at which
// address it is prepared.
func (t *tick) acceptNode(id job.AttemptID, instance, address string) {
	rec, _ := t.live(id, instance)
	if rec == nil || !rec.IsGang() {
		return
	}
	n := rec.nodeOn(instance)
	if rec.Nodes[n].Accepted == 0 {
		t.emit(Event{NodeAccepted: &NodeAccepted{AttemptID: id, Node: n, Incarnation: rec.Nodes[n].Incarnation}})
		if rec.Accepted == 0 && !slices.ContainsFunc(rec.Nodes, func(n NodeRecord) bool { return n.Accepted == 0 }) {
			t.emit(Event{AttemptAccepted: &AttemptAccepted{AttemptID: id}})
		}
	}
	if address != "" && rec.Nodes[n].Address != address {
		t.emit(Event{NodeReady: &NodeReady{AttemptID: id, Node: n, Incarnation: rec.Nodes[n].Incarnation, Address: address}})
	}
}

// takeBack takes an assignment back that its instance has not accepted. Of a
// gang none has run yet then, unless a node ended by itself or is replaced.
func (t *tick) takeBack(inst *Instance, rec *AttemptRecord, id job.AttemptID, reason string) {
	if !rec.IsGang() || rec.Accepted == 0 && rec.Stopping == nil {
		t.emit(Event{AttemptWithdrawn: &AttemptWithdrawn{AttemptID: id, Reason: reason}})
		t.endUnwanted(id)
		return
	}
	t.emit(Event{NodeWithdrawn: &NodeWithdrawn{AttemptID: id, Node: rec.nodeOn(inst.ID), Reason: reason}})
	if r, ok := t.locate(id.Task, id.Index); ok {
		t.settleGang(rec, r)
	}
}

// gangNoticed stops the gangs that an instance with an interruption notice has
// a node of: the others save at the same time, and not when it is gone.
func (t *tick) gangNoticed(inst *Instance, n *job.Notice) {
	if n.Kind != job.NoticeInterruption {
		return
	}
	for _, id := range slices.Clone(inst.Attempts) {
		rec, r := t.live(id, inst.ID)
		if rec == nil || !rec.IsGang() || rec.Stopping != nil || !rec.acceptedOn(inst.ID) {
			continue
		}
		if t.replaceable(r, rec, preempted(job.CauseNotice)) {
			continue
		}
		node := rec.nodeOn(inst.ID)
		t.emit(Event{GangStopped: &GangStopped{AttemptID: id, GangStop: GangStop{
			Node: node, Notice: true, Reason: nodeName(rec, node) + " has an interruption notice"}}})
	}
}

// gangNodes is how many nodes a task's gang has, 0 when it is none.
func gangNodes(task *job.Task) int {
	if !task.IsGang() {
		return 0
	}
	return task.Nodes
}

// keys are the manifests that would be restored.
func (a *FoundCheckpoint) keys() []string {
	keys := a.Checkpoint.Keys()
	for i := range a.Nodes {
		keys = append(keys, a.Nodes[i].Keys()...)
	}
	return keys
}
