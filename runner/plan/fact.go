package plan

import (
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Facts is what was observed since the last tick. Anything may be missing,
// late or repeated; order within a slice does not matter.
type Facts struct {
	// Tenure: the first tick of this controller; outstanding actions are
	// emitted again.
	Tenure bool

	// Statuses that changed, whole.
	Statuses []job.Status
	// Listings that finished.
	Listings []Listing
	// Faults of fleets that could not be listed.
	Faults   []FleetFault
	Offers   []OffersAnswer
	Launches []LaunchAnswer
	Ends     []EndAnswer
	Found    []FoundCheckpoint
	Requests []Request
	Pruned   []PruneAnswer
	Cache    []CacheAnswer
	Stored   []CacheStored
}

// Listing is one provider's whole list of the run's instances.
type Listing struct {
	Fleet     string
	Instances []providers.Instance
	// Begun is the run's time when the call was made: what was launched after
	// it, or within the provider's list lag before it, proves nothing by its
	// absence.
	Begun Time
	Lag   Time // the provider's Description.ListLag
}

// FleetFault says that a fleet's instances could not be listed. One that no
// repetition mends ends a run that has rented nothing, before it rents what it
// cannot see; a run with instances goes on, as whoever controls it now may lack
// what another has.
type FleetFault struct {
	Fleet string
	Err   *providers.Error
}

// OffersAnswer answers an ActionOffers.
type OffersAnswer struct {
	Fleet  string
	Group  string
	Offers []providers.Offer
	Err    *providers.Error
}

// LaunchAnswer answers an ActionLaunch. An error with CodeUnavailable leaves
// open whether something was rented.
type LaunchAnswer struct {
	Token  string
	Result providers.LaunchResult
	Err    *providers.Error
	// Expired: the token is past the provider's window and must not be used
	// again; the call was not made.
	Expired bool
}

// EndAnswer answers an ActionEnd: what is known of an instance that is gone or
// shall be given up, gathered before anything of ours could overwrite it.
type EndAnswer struct {
	Instance string
	Evidence providers.Evidence
	// Status is the last status document, read after the instance was seen to
	// be gone; nil: it never wrote one.
	Status *job.Status
	// Fence as the action had it: the instance was not known to be gone.
	Fence bool
}

// PruneAnswer answers an ActionPrune: how many checkpoints are left and how many
// were removed.
type PruneAnswer struct {
	Task    string
	Kept    int
	Removed int
	// Fault is why some could not be removed, where trying again does not help.
	Fault string
}

// FoundCheckpoint answers an ActionFind: the newest whole checkpoint of an
// index, of each of its series, nil when there is none.
type FoundCheckpoint struct {
	Task       string
	Index      int
	Checkpoint *job.CheckpointRef
	// Nodes are the checkpoints of a gang's nodes, in order, that Checkpoint, a
	// gang's manifest, lists.
	Nodes []job.CheckpointRef
	// Damaged ones that were passed over, by key, for the evidence.
	Damaged []string
	// Attempt as the action had it.
	Attempt int
}

// Request is what a user asked of the run, by an object under
// runs/<run>/requests/.
type Request struct {
	Kind RequestKind
	By   string
	// Task and Index that it is about; an Index below zero is all of the task.
	Task  string
	Index int
}

// RequestKind is a kind of request.
type RequestKind string

const (
	RequestCancel  RequestKind = "cancel"
	RequestResume  RequestKind = "resume" // after a hold or a pause
	RequestPause   RequestKind = "pause"
	RequestRelease RequestKind = "release" // the instances that are kept after failures of a task
	RequestRetry   RequestKind = "retry"   // a task that ended without success
)
