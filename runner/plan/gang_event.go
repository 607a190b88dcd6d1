package plan

import (
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// GangNode is where a node of a gang is assigned, and what it goes on from.
type GangNode struct {
	Instance string             `json:"instance"`
	Restore  *job.CheckpointRef `json:"restore,omitempty"`
}

// NodeAccepted is the appearance of a gang's node in its instance's status.
type NodeAccepted struct {
	job.AttemptID
	Node        int `json:"node"`
	Incarnation int `json:"incarnation"`
}

// NodeReady is a node that is prepared and reached by the others at Address.
// With the last one the commands start.
type NodeReady struct {
	job.AttemptID
	Node        int    `json:"node"`
	Incarnation int    `json:"incarnation"`
	Address     string `json:"address"`
}

// NodeEnded is the end of a node. With Replaced it is charged by itself and the
// others go on; else the gang's end is charged, once.
type NodeEnded struct {
	job.AttemptID
	Node        int    `json:"node"`
	Incarnation int    `json:"incarnation"`
	Instance    string `json:"instance"`
	Verdict
	Evidence   Evidence           `json:"evidence"`
	Checkpoint *job.CheckpointRef `json:"checkpoint,omitempty"` // newest of the node known now
	Cost       float64            `json:"cost"`
	AtOnce     bool               `json:"at_once,omitempty"`
	Replaced   bool               `json:"replaced,omitempty"`
	// Left after the charge, and FreeHost, with Replaced.
	Left     Left `json:"left"`
	FreeHost bool `json:"free_host,omitempty"`
}

// NodeAssigned gives a lost node to another instance.
type NodeAssigned struct {
	job.AttemptID
	Node        int                `json:"node"`
	Incarnation int                `json:"incarnation"`
	Instance    string             `json:"instance"`
	Restore     *job.CheckpointRef `json:"restore,omitempty"`
}

// NodeWithdrawn is a node that its instance never accepted. It costs nothing.
type NodeWithdrawn struct {
	job.AttemptID
	Node   int    `json:"node"`
	Reason string `json:"reason"`
}

// GangStopped has all nodes of a gang save and stop: one is lost, or will be.
type GangStopped struct {
	job.AttemptID
	GangStop
}

// GangReturned gives back what was rented of gangs that did not become whole
// within capacity_wait, and leaves the fleet alone for them until a time.
type GangReturned struct {
	Group    string                 `json:"group"`
	Capacity providers.CapacityType `json:"capacity"`
	Fleet    string                 `json:"fleet"`
	Until    Time                   `json:"until"`
	Reason   string                 `json:"reason"`
}
