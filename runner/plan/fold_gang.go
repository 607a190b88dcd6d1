package plan

import (
	"slices"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

func (s *State) applyGang(e Event) bool {
	switch {
	case e.NodeAccepted != nil:
		s.changeNode(e.NodeAccepted.AttemptID, e.NodeAccepted.Node, func(_ ref, _ *AttemptRecord, n *NodeRecord) {
			n.Accepted = stamp(e.At)
		})
	case e.NodeReady != nil:
		s.nodeReady(e.At, e.NodeReady)
	case e.NodeEnded != nil:
		s.nodeEnded(e.At, e.NodeEnded)
	case e.NodeAssigned != nil:
		s.nodeAssigned(e.At, e.NodeAssigned)
	case e.NodeWithdrawn != nil:
		s.nodeWithdrawn(e.At, e.NodeWithdrawn)
	case e.GangStopped != nil:
		if rec, r := s.live(e.GangStopped.AttemptID, ""); rec != nil && rec.Stopping == nil {
			stop := e.GangStopped.GangStop
			rec.Stopping = &stop
			s.tellGang(rec)
			s.enough(s.groupOf(r), sideOf(rec.Offer.Capacity))
		}
	case e.GangReturned != nil:
		g := e.GangReturned
		put(&s.Left, leftKey(g.Group, g.Capacity, g.Fleet), g.Until)
		delete(s.Short, shortKey(g.Group, g.Capacity))
	default:
		return false
	}
	return true
}

func leftKey(group string, capacity providers.CapacityType, fleet string) string {
	return shortKey(group, capacity) + "/" + fleet
}

// enough ends a gang group's shortage of a side: it has what it lacked.
func (s *State) enough(g *group, side int) {
	if g.nodes > 1 {
		delete(s.Short, shortKey(g.key, capacityOf(side)))
	}
}

// tellGang has every node of a gang told anew what to do.
func (s *State) tellGang(rec *AttemptRecord) {
	for n := range rec.Nodes {
		if node := &rec.Nodes[n]; node.Ended == 0 && s.Instances[node.Instance] != nil {
			s.work.dirty[node.Instance] = struct{}{}
		}
	}
}

// changeNode changes a node of a gang that has not ended.
func (s *State) changeNode(id job.AttemptID, n int, change func(ref, *AttemptRecord, *NodeRecord)) {
	if rec, r := s.live(id, ""); rec != nil && n >= 0 && n < len(rec.Nodes) {
		change(r, rec, &rec.Nodes[n])
	}
}

// gangAssigned makes the nodes of a gang's new attempt.
func (s *State) gangAssigned(at Time, r ref, rec *AttemptRecord, a *AttemptAssigned) {
	for _, node := range a.Nodes {
		made := NodeRecord{Instance: node.Instance, Incarnation: 1, Assigned: stamp(at), Restore: node.Restore}
		if inst := s.Instances[node.Instance]; inst != nil {
			made.Offer = inst.Offer
		}
		rec.Nodes = append(rec.Nodes, made)
	}
	s.work.gangs[r] = struct{}{}
	s.enough(s.groupOf(r), sideOf(rec.Offer.Capacity))
}

// instances that have the attempt, or a node of it that has not ended.
func (rec *AttemptRecord) instances() []string {
	if !rec.IsGang() {
		return []string{rec.Instance}
	}
	var instances []string
	for n := range rec.Nodes {
		if rec.Nodes[n].Ended == 0 && rec.Nodes[n].Instance != "" {
			instances = append(instances, rec.Nodes[n].Instance)
		}
	}
	return instances
}

func (s *State) dropFrom(instance string, id job.AttemptID) {
	s.changeInstance(instance, func(inst *Instance) { inst.drop(id, s.work.now, s.work.watches[inst.ID]) })
}

func (s *State) nodeReady(at Time, e *NodeReady) {
	s.changeNode(e.AttemptID, e.Node, func(_ ref, rec *AttemptRecord, n *NodeRecord) {
		n.Address = e.Address
		if !rec.gathered() {
			return
		}
		if rec.Started == 0 {
			rec.Started = stamp(at)
		}
		s.tellGang(rec)
	})
}

func (s *State) nodeEnded(at Time, e *NodeEnded) {
	s.changeNode(e.AttemptID, e.Node, func(r ref, rec *AttemptRecord, n *NodeRecord) {
		verdict, evidence := e.Verdict, e.Evidence
		s.leaveInstance(e.Instance, &AttemptEnded{AttemptID: e.AttemptID, AtOnce: e.AtOnce})
		if !e.Replaced {
			n.Ended, n.Verdict, n.Evidence, n.Cost, n.Checkpoint = stamp(at), &verdict, &evidence, e.Cost, e.Checkpoint
			return
		}
		x := s.at(r)
		after := x.counters().plus(e.Charge)
		x.Charged, x.Preempted, x.Failures, x.Hosts = after.charged, after.preempted, after.failures, after.hosts
		if e.FreeHost {
			x.FreeHosts++
		}
		lost := LostNode{Instance: e.Instance, Incarnation: e.Incarnation, Ended: stamp(at), Verdict: verdict,
			Evidence: evidence, Left: e.Left, Cost: e.Cost}
		*n = NodeRecord{Incarnation: n.Incarnation, Offer: n.Offer, Restore: e.Checkpoint, Lost: append(n.Lost, lost)}
		s.tellGang(rec)
	})
}

func (s *State) nodeAssigned(at Time, e *NodeAssigned) {
	s.changeNode(e.AttemptID, e.Node, func(r ref, rec *AttemptRecord, n *NodeRecord) {
		n.Instance, n.Incarnation, n.Assigned, n.Restore = e.Instance, e.Incarnation, stamp(at), e.Restore
		if inst := s.Instances[e.Instance]; inst != nil {
			n.Offer = inst.Offer
		}
		if e.Node == 0 {
			rec.Instance = e.Instance
		}
		s.enough(s.groupOf(r), sideOf(rec.Offer.Capacity))
		s.changeInstance(e.Instance, func(inst *Instance) { inst.Attempts = append(inst.Attempts, e.AttemptID) })
	})
}

// nodeWithdrawn: of a gang that goes on the node is missing again, of one that
// stops it has ended.
func (s *State) nodeWithdrawn(at Time, e *NodeWithdrawn) {
	s.changeNode(e.AttemptID, e.Node, func(_ ref, rec *AttemptRecord, n *NodeRecord) {
		instance := n.Instance
		if rec.Stopping != nil {
			n.Ended = stamp(at)
		} else {
			n.Instance, n.Assigned, n.Accepted, n.Address = "", 0, 0, ""
			rec.Refused = append(rec.Refused, instance)
		}
		s.dropFrom(instance, e.AttemptID)
	})
}

// unattended counts a tenure's gap to the node that an instance has.
func (rec *AttemptRecord) unattended(instance string, length Time) {
	if n := rec.nodeOn(instance); n >= 0 {
		rec.Nodes[n].Unattended += length
		return
	}
	rec.Unattended += length
}

// wasOn reports whether an instance has had a node of the attempt: its agent
// knows the attempt, and does not take it a second time.
func (rec *AttemptRecord) wasOn(instance string) bool {
	return slices.ContainsFunc(rec.Nodes, func(n NodeRecord) bool {
		return n.Instance == instance ||
			slices.ContainsFunc(n.Lost, func(l LostNode) bool { return l.Instance == instance })
	}) || slices.Contains(rec.Refused, instance)
}
