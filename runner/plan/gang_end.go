package plan

import (
	"fmt"

	"github.com/spotrelay/spotrelay/runner/job"
)

// endNode ends one node of a gang. The attempt ends once, when all have: the
// loss of a machine makes programs elsewhere fail, and which of the two is
// heard of first is chance.
func (t *tick) endNode(inst *Instance, rec *AttemptRecord, r ref, e Evidence) {
	task, x := &t.Spec.Tasks[r.task], t.at(r)
	id := job.AttemptID{Task: task.Name, Index: int(r.index), Attempt: rec.Attempt}
	n := rec.nodeOn(inst.ID)
	node := &rec.Nodes[n]
	t.complete(&e, inst, rec, r)
	if e.End != nil {
		e.Progress = movedOn(node.Restore, e.End.Saved)
	}
	v := Classify(e, task.Retries)
	e.Text = Explain(e)
	if rec.Accepted == 0 && rec.Stopping == nil && (e.End == nil || hostLost(v)) {
		t.emit(Event{AttemptWithdrawn: &AttemptWithdrawn{AttemptID: id,
			Reason: nodeName(rec, n) + " was lost before all nodes had accepted"}})
		t.endUnwanted(id)
		return
	}
	ended := &NodeEnded{
		AttemptID: id, Node: n, Incarnation: node.Incarnation, Instance: inst.ID, Evidence: e,
		Cost:       shareOf(inst, t.now-node.Assigned+node.Unattended),
		Checkpoint: t.newestOfNode(inst, node, id, e.End),
	}
	lost := v.Class != job.Succeeded
	stopped := e.End != nil && e.End.Cancelled && rec.Stopping != nil && rec.Stopped == "" && !t.stopped(r.task)
	switch {
	case lost && stopped:
		v = nothing(job.Cancelled, job.CauseNodeLost)
	case lost && rec.Stopping == nil && t.replaceable(r, rec, v):
		ended.Replaced = true
		if replacedFree(x, rec, v) {
			v.Charge, ended.FreeHost = job.ChargeNothing, true
		}
		ended.Left = x.counters().plus(v.Charge).left(task.Retries)
	case lost:
		ended.AtOnce = failedAtOnce(v, e.End)
	}
	ended.Verdict = v
	t.emit(Event{NodeEnded: ended})
	if lost && !ended.Replaced && rec.Stopping == nil {
		t.emit(Event{GangStopped: &GangStopped{AttemptID: id, GangStop: GangStop{
			Node: n, Reason: fmt.Sprintf("%s ended as %s", nodeName(rec, n), v.Class)}}})
	}
	t.settleGang(rec, r)
}

// replaceable reports whether a node that was lost so is replaced while the
// others go on: its machine went, the budgets allow it, and the attempt may go
// on where it is. The final attempts are on-demand on every node, so that
// before them all begin anew.
func (t *tick) replaceable(r ref, rec *AttemptRecord, v Verdict) bool {
	task, x := &t.Spec.Tasks[r.task], t.at(r)
	if task.OnNodeLoss != job.NodeLossReplace || !hostLost(v) || rec.Accepted == 0 || rec.Stopped != "" || t.stopped(r.task) {
		return false
	}
	// With nobody left to go on, all begin anew from what all have.
	if len(rec.instances()) < 2 {
		return false
	}
	if replacedFree(x, rec, v) {
		return true
	}
	if _, reason := t.noFurther(r, v, x.counters().plus(v.Charge), task.Retries); reason != "" {
		return false
	}
	charges := 1
	if v.Charge == job.ChargeNothing {
		charges = 0
	}
	return rec.Final || t.sideAfter(r, charges) == onSpot
}

// settleGangs ends the gangs that wait for nothing any more, since the run has
// ended while a node was to be replaced.
func (t *tick) settleGangs() {
	if !t.over() {
		return
	}
	for _, g := range t.work.groups {
		for _, r := range t.gangs(g) {
			if rec := t.at(r).current(); rec != nil {
				t.settleGang(rec, r)
			}
		}
	}
}

// settleGang ends a gang's attempt when no node of it is left.
func (t *tick) settleGang(rec *AttemptRecord, r ref) {
	for n := range rec.Nodes {
		node := &rec.Nodes[n]
		if node.Ended == 0 && (node.Instance != "" || rec.Stopping == nil && !t.over()) {
			return
		}
	}
	v, n := t.gangVerdict(rec, r)
	e := Evidence{Text: "no node of it ran"}
	if own := rec.Nodes[n].Evidence; own != nil {
		e = *own
	}
	if v.Class != job.Succeeded {
		e.Text = nodeName(rec, n) + ": " + e.Text
		if stop := rec.Stopping; stop != nil && stop.Node != n {
			e.Text += "; " + stop.Reason
		}
	}
	ended := &AttemptEnded{AttemptID: job.AttemptID{
		Task: t.Spec.Tasks[r.task].Name, Index: int(r.index), Attempt: rec.Attempt}}
	for i := range rec.Nodes {
		ended.Cost += rec.Nodes[i].Cost
		for _, lost := range rec.Nodes[i].Lost {
			ended.Cost += lost.Cost
		}
	}
	t.conclude(&Instance{ID: rec.Nodes[n].Instance}, rec, r, v, e, ended)
}

// gangVerdict is what a gang's attempt was, and the node that says so: success
// when all succeeded; else the first machine that was lost, else the first node
// that ended otherwise by itself. A node that we stopped says nothing.
func (t *tick) gangVerdict(rec *AttemptRecord, r ref) (Verdict, int) {
	retries := t.Spec.Tasks[r.task].Retries
	all, first, machine := true, -1, -1
	earlier := func(a, b int) bool { return b < 0 || rec.Nodes[a].Ended < rec.Nodes[b].Ended }
	for n := range rec.Nodes {
		v := rec.Nodes[n].Verdict
		all = all && v != nil && v.Class == job.Succeeded
		if v == nil || v.Class == job.Succeeded || v.Cause == job.CauseNodeLost {
			continue
		}
		if earlier(n, first) {
			first = n
		}
		if hostLost(*v) && earlier(n, machine) {
			machine = n
		}
	}
	switch stop := rec.Stopping; {
	case all:
		return *rec.Nodes[0].Verdict, 0
	case machine >= 0:
		return Classify(*rec.Nodes[machine].Evidence, retries), machine
	case first >= 0:
		return Classify(*rec.Nodes[first].Evidence, retries), first
	case t.stopped(r.task) || rec.Stopped != "":
		return Classify(Evidence{CancelRequested: t.cancelled(r.task), RunFailed: t.Fault != "" && !t.cancelled(r.task), Stopped: rec.Stopped}, retries), 0
	case stop != nil && stop.Notice: // it ended well within its notice, the others did not
		return preempted(job.CauseNotice), stop.Node
	}
	return nothing(job.Cancelled, job.CauseNodeLost), 0
}

// newestOfNode is the newest checkpoint of a node that is known when it ends.
func (t *tick) newestOfNode(inst *Instance, node *NodeRecord, id job.AttemptID, end *job.AttemptEnd) *job.CheckpointRef {
	c := node.Restore
	if end != nil && end.Saved != nil {
		return job.Newest(c, end.Saved)
	}
	if w := t.work.watches[inst.ID]; w != nil {
		if a := w.runs(id); a != nil {
			c = job.Newest(c, a.Checkpoint)
		}
	}
	return c
}

// nodeName is a node for people.
func nodeName(rec *AttemptRecord, n int) string {
	if n < 0 || n >= len(rec.Nodes) {
		return "a node"
	}
	return fmt.Sprintf("node %d of %d (%s)", n, len(rec.Nodes), rec.Nodes[n].Instance)
}
