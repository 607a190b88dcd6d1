package job

// AttemptID names an attempt within its run.
type AttemptID struct {
	Task    string `json:"task"`
	Index   int    `json:"index"`   // from 0
	Attempt int    `json:"attempt"` // from 1; the fence
}

// Desired is runs/<run>/instances/<instance>/desired.json: what an instance
// should be doing. Written whole, by the controller alone, with
// compare-and-swap. An agent ignores one whose (Epoch, Sequence) is not above
// the last it took.
type Desired struct {
	Version  int    `json:"version"`
	Run      string `json:"run"`
	Instance string `json:"instance"`
	Epoch    int64  `json:"epoch"`    // of the lease it was written under
	Sequence int64  `json:"sequence"` // of the journal entry that decided it

	// Attempts that should be running. One that an agent runs and does not
	// find here is cancelled.
	Attempts []Assignment `json:"attempts,omitempty"`
	// Acknowledged ended attempts: the controller has them in its journal, the
	// agent drops them from its status.
	Acknowledged []AttemptID `json:"acknowledged,omitempty"`
	// Return: accept nothing more for now, and give back what waits for a slot.
	Return bool `json:"return,omitempty"`
	// Leave: end the instance when no attempt is left.
	Leave bool `json:"leave,omitempty"`
}

// Assignment is an attempt with everything that its execution needs. Its
// content does not change while it is assigned, except for Cancel and for a
// gang's Addresses.
type Assignment struct {
	AttemptID
	Execution Execution `json:"execution"`
	Count     int       `json:"count"` // indexes of the task
	Key       string    `json:"key,omitempty"`
	Workdir   *Manifest `json:"workdir,omitempty"`
	// Inputs to lay out before the start, by the task they come from.
	Inputs []Input `json:"inputs,omitempty"`
	// Restore is what the attempt goes on from; nil: from the beginning.
	Restore *CheckpointRef `json:"restore,omitempty"`
	// Seed of the index: the same in each of its attempts, another for each index.
	Seed uint64 `json:"seed,omitempty"`
	// Gang says which part of a gang this is; nil: it is none.
	Gang *GangPart `json:"gang,omitempty"`
	// Keep the folder of the attempt when it fails, for somebody to look at.
	Keep bool `json:"keep,omitempty"`
	// Cancel: end it as cancelled, with its checkpoint saved. It stays listed
	// until its end was seen.
	Cancel bool `json:"cancel,omitempty"`
}

// Input is one index's committed output of an upstream task, or an input from
// outside, whose name stands for the task's.
type Input struct {
	Task  string `json:"task"`
	Index int    `json:"index"`
	Array bool   `json:"array,omitempty"` // laid out as a folder per index
	// Manifest; without a key: an empty folder, since the task did not succeed.
	Manifest Manifest `json:"manifest"`
}

// GangPart is one node's part of a gang's attempt.
type GangPart struct {
	Node  int `json:"node"`  // from 0
	Nodes int `json:"nodes"` // of the gang
	// Incarnation counts the instances that were this node, from 1.
	Incarnation int `json:"incarnation"`
	// Addresses of all nodes, host:port, in order; "" of one that has none yet.
	// The command starts when all are there.
	Addresses []string `json:"addresses,omitempty"`
	// Replace: the others go on when one is lost.
	Replace bool `json:"replace,omitempty"`
}
