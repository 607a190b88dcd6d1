package main

import (
	"fmt"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// nodeJSON is one incarnation of a gang's node, as attempts --json prints it.
type nodeJSON struct {
	Node        int                `json:"node"`
	Incarnation int                `json:"incarnation"`
	Instance    string             `json:"instance,omitempty"` // absent while a lost one is being replaced
	Offer       providers.Offer    `json:"offer"`
	Address     string             `json:"address,omitempty"`
	Ended       *float64           `json:"ended_seconds,omitempty"`
	Class       job.Class          `json:"class,omitempty"` // by itself; "" while it runs
	Cause       job.Cause          `json:"cause,omitempty"`
	Charge      job.Charge         `json:"charge,omitempty"` // of one that was replaced; else the attempt's counts
	Evidence    *plan.Evidence     `json:"evidence,omitempty"`
	Cost        float64            `json:"cost_dollars"`
	Restored    *job.CheckpointRef `json:"restored,omitempty"`
	Checkpoint  *job.CheckpointRef `json:"checkpoint,omitempty"`
}

// nodesOf is a gang's nodes, each with its incarnations in order.
func nodesOf(record plan.AttemptRecord) []nodeJSON {
	var list []nodeJSON
	for n, node := range record.Nodes {
		for _, lost := range node.Lost {
			list = append(list, nodeJSON{
				Node: n, Incarnation: lost.Incarnation, Instance: lost.Instance, Offer: node.Offer, Ended: seconds(lost.Ended),
				Class: lost.Verdict.Class, Cause: lost.Verdict.Cause, Charge: lost.Verdict.Charge,
				Evidence: &lost.Evidence, Cost: lost.Cost,
			})
		}
		own := nodeJSON{
			Node: n, Incarnation: node.Incarnation, Instance: node.Instance, Offer: node.Offer, Address: node.Address,
			Ended: seconds(node.Ended), Evidence: node.Evidence, Cost: node.Cost, Restored: node.Restore, Checkpoint: node.Checkpoint,
		}
		if node.Verdict != nil {
			own.Class, own.Cause = node.Verdict.Class, node.Verdict.Cause
		}
		list = append(list, own)
	}
	return list
}

// nodeRow is a node below its attempt.
func nodeRow(v nodeJSON) []string {
	name, class, text := fmt.Sprintf("  node %d", v.Node), "running", ""
	if v.Incarnation > 1 {
		name += fmt.Sprintf(", incarnation %d", v.Incarnation)
	}
	switch {
	case v.Class != "":
		class = fmt.Sprintf("%s: %s", v.Class, v.Cause)
	case v.Ended != nil:
		class = "-"
	case v.Instance == "":
		class = "being replaced"
	}
	if v.Evidence != nil {
		text = v.Evidence.Text
	}
	return []string{name, v.Instance, narrate.Offer(v.Offer), "", moment(v.Ended), class, string(v.Charge), "", narrate.Money(v.Cost), text}
}
