package plan

import (
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Event is something that was decided or has happened. Exactly one of the
// pointers is set. Events are only ever added to: their JSON is in journals.
type Event struct {
	At Time `json:"at"` // the run's time, in nanoseconds

	LaunchOpened   *LaunchOpened   `json:"launch_opened,omitempty"`
	LaunchAnswered *LaunchAnswered `json:"launch_answered,omitempty"`
	LaunchClosed   *LaunchClosed   `json:"launch_closed,omitempty"`
	PoolCooled     *PoolCooled     `json:"pool_cooled,omitempty"`
	CapacityMoved  *CapacityMoved  `json:"capacity_moved,omitempty"`
	CapacityShort  *CapacityShort  `json:"capacity_short,omitempty"`

	InstanceFound   *InstanceFound   `json:"instance_found,omitempty"`
	InstanceReady   *InstanceReady   `json:"instance_ready,omitempty"`
	InstanceNoticed *InstanceNoticed `json:"instance_noticed,omitempty"`
	InstanceEnding  *InstanceEnding  `json:"instance_ending,omitempty"`
	InstanceGone    *InstanceGone    `json:"instance_gone,omitempty"`

	AttemptAssigned  *AttemptAssigned  `json:"attempt_assigned,omitempty"`
	AttemptAccepted  *AttemptAccepted  `json:"attempt_accepted,omitempty"`
	AttemptWithdrawn *AttemptWithdrawn `json:"attempt_withdrawn,omitempty"`
	AttemptEnded     *AttemptEnded     `json:"attempt_ended,omitempty"`
	IndexEnded       *IndexEnded       `json:"index_ended,omitempty"`
	TaskOpened       *TaskOpened       `json:"task_opened,omitempty"`
	TaskSkipped      *TaskSkipped      `json:"task_skipped,omitempty"`

	NodeAccepted  *NodeAccepted  `json:"node_accepted,omitempty"`
	NodeReady     *NodeReady     `json:"node_ready,omitempty"`
	NodeEnded     *NodeEnded     `json:"node_ended,omitempty"`
	NodeAssigned  *NodeAssigned  `json:"node_assigned,omitempty"`
	NodeWithdrawn *NodeWithdrawn `json:"node_withdrawn,omitempty"`
	GangStopped   *GangStopped   `json:"gang_stopped,omitempty"`
	GangReturned  *GangReturned  `json:"gang_returned,omitempty"`

	CheckpointsPruned *CheckpointsPruned `json:"checkpoints_pruned,omitempty"`

	CostWarned   *CostWarned   `json:"cost_warned,omitempty"`
	IndexStopped *IndexStopped `json:"index_stopped,omitempty"`
	RunStopped   *RunStopped   `json:"run_stopped,omitempty"`
	RunPaused    *RunPaused    `json:"run_paused,omitempty"`
	IndexCached  *IndexCached  `json:"index_cached,omitempty"`
	IndexAwaits  *IndexAwaits  `json:"index_awaits,omitempty"`
	CacheMissed  *CacheMissed  `json:"cache_missed,omitempty"`
	CacheKept    *CacheKept    `json:"cache_kept,omitempty"`

	IndexReopened *IndexReopened `json:"index_reopened,omitempty"`
	InstanceHeld  *InstanceHeld  `json:"instance_held,omitempty"`

	Unattended      *Unattended      `json:"unattended,omitempty"`
	CancelRequested *CancelRequested `json:"cancel_requested,omitempty"`
	RunFailing      *RunFailing      `json:"run_failing,omitempty"`
	RunHeld         *RunHeld         `json:"run_held,omitempty"`
	RunResumed      *RunResumed      `json:"run_resumed,omitempty"`
	RunEnded        *RunEnded        `json:"run_ended,omitempty"`
	RunClosed       *RunClosed       `json:"run_closed,omitempty"`
}

// LaunchOpened is the intent to rent. It is journalled before the call is made;
// the request that the call carries is made from it alone.
type LaunchOpened struct {
	Token  string            `json:"token"`
	Fleet  string            `json:"fleet"`
	Offers []providers.Offer `json:"offers"` // in order of preference, one capacity type
	Count  int               `json:"count"`
	Need   providers.Need    `json:"need"`
	Slots  int               `json:"slots"`
	Labels map[string]string `json:"labels,omitempty"`
	// Group of tasks that it is for, see Group.
	Group string `json:"group"`
	// Why these and not cheaper or earlier ones, for people.
	Reason string `json:"reason,omitempty"`
}

// LaunchAnswered is what the call gave.
type LaunchAnswered struct {
	Token     string               `json:"token"`
	Instances []providers.Instance `json:"instances,omitempty"`
	Failures  []providers.Failure  `json:"failures,omitempty"`
	// Error of the whole call; the intent stays open until it is settled.
	Error *LaunchError `json:"error,omitempty"`
}

// LaunchError is a launch call's error as the journal keeps it.
type LaunchError struct {
	Code    providers.Code `json:"code"`
	Message string         `json:"message"`
}

// LaunchClosed ends an intent. It is final: an instance that turns up later
// with its token is ended.
type LaunchClosed struct {
	Token  string `json:"token"`
	Reason string `json:"reason,omitempty"`
}

// PoolCooled leaves a pool alone until a time. A part of Pool that is empty
// means any; with an empty Pool it is the fleet's whole capacity type. Capacity
// "" is both types: a zone whose subnet has no addresses. Code is that of the
// failure, or "interrupted": then it yields where nothing else is left.
type PoolCooled struct {
	Fleet    string                 `json:"fleet"`
	Pool     providers.Pool         `json:"pool"`
	Capacity providers.CapacityType `json:"capacity"`
	Until    Time                   `json:"until"` // -1: for the rest of the run
	Code     providers.Code         `json:"code"`
	Message  string                 `json:"message,omitempty"`
	// Times it was cooled in a row; the cooling grows with it.
	Times int `json:"times,omitempty"`
}

// CapacityShort says that a group wants instances of a capacity type, has none
// and got none, since when. What it got ends the shortage.
type CapacityShort struct {
	Group    string                 `json:"group"`
	Capacity providers.CapacityType `json:"capacity"`
	Since    Time                   `json:"since"`
	Reason   string                 `json:"reason,omitempty"`
}

// CapacityMoved says that a group's wait for spot is over and on-demand is
// rented for it, or, with Back, that it is looked for on spot again.
type CapacityMoved struct {
	Group string `json:"group"`
	Back  bool   `json:"back,omitempty"`
	// Reason it left spot, for people.
	Reason string `json:"reason,omitempty"`
}

// InstanceFound is an instance that a listing showed for an open intent whose
// answer did not name it.
type InstanceFound struct {
	Token    string             `json:"token"`
	Instance providers.Instance `json:"instance"`
}

// InstanceReady is the first status document of an instance.
type InstanceReady struct {
	Instance string `json:"instance"`
	Boot     string `json:"boot"`
}

// InstanceNoticed is an interruption notice that the agent, or the provider,
// reported.
type InstanceNoticed struct {
	Instance string     `json:"instance"`
	Notice   job.Notice `json:"notice"`
	// Withdrawn: it no longer stands.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// InstanceEnding is the decision to end an instance, journalled before the
// call, so that our own doing is told from others'.
type InstanceEnding struct {
	Instance string       `json:"instance"`
	Reason   EndingReason `json:"reason"`
	// Evidence that the provider gave before the call, which may overwrite it.
	Evidence *providers.Evidence `json:"evidence,omitempty"`
}

// EndingReason says why the controller ends an instance.
type EndingReason string

const (
	EndingIdle        EndingReason = "idle"
	EndingRunOver     EndingReason = "run-over"
	EndingBoot        EndingReason = "boot"        // never reported
	EndingSilent      EndingReason = "silent"      // the agent is lost
	EndingQuarantine  EndingReason = "quarantine"  // two attempts failed on it at once
	EndingLeaving     EndingReason = "leaving"     // its agent said that it leaves
	EndingLate        EndingReason = "late"        // turned up after its intent was closed
	EndingDedicated   EndingReason = "dedicated"   // was for one attempt
	EndingInterrupted EndingReason = "interrupted" // noticed, and empty by now
	EndingHeld        EndingReason = "held"        // was kept after a failure, long enough
	EndingPaused      EndingReason = "paused"      // the run was paused
	EndingPartial     EndingReason = "partial"     // of a gang that did not become whole in time
	EndingStopped     EndingReason = "stopped"     // stopped by others, which still costs its disk
)

// InstanceGone is the confirmed end of an instance: the provider says so.
type InstanceGone struct {
	Instance string             `json:"instance"`
	Evidence providers.Evidence `json:"evidence"`
	// Cost of its life in dollars, by its offer's price.
	Cost float64 `json:"cost"`
}

// AttemptAssigned gives an attempt to an instance. The number is new for every
// assignment, so it fences also what was never accepted.
type AttemptAssigned struct {
	job.AttemptID
	Instance string             `json:"instance"`
	Restore  *job.CheckpointRef `json:"restore,omitempty"`
	// Damaged checkpoints that were passed over when Restore was chosen.
	Damaged []string `json:"damaged,omitempty"`
	// Final: one of the last attempts that run on-demand.
	Final bool `json:"final,omitempty"`
	// Ahead: it waits on its instance until a slot is free.
	Ahead bool `json:"ahead,omitempty"`
	// Nodes of a gang, of which Instance is the first.
	Nodes []GangNode `json:"nodes,omitempty"`
}

// AttemptAccepted is the attempt's appearance in the instance's status, of a
// gang in those of all; from here on it counts.
type AttemptAccepted struct {
	job.AttemptID
}

// AttemptWithdrawn is an assignment that was never accepted. It costs nothing.
type AttemptWithdrawn struct {
	job.AttemptID
	Reason string `json:"reason"`
}

// AttemptEnded is the verdict on an attempt, with its evidence.
type AttemptEnded struct {
	job.AttemptID
	Verdict
	Evidence   Evidence           `json:"evidence"`
	Output     *job.Manifest      `json:"output,omitempty"`
	Result     map[string]string  `json:"result,omitempty"`
	Checkpoint *job.CheckpointRef `json:"checkpoint,omitempty"` // newest of its index known now
	// Retry at NotBefore; false: the index has ended or will by IndexEnded.
	Retry     bool `json:"retry,omitempty"`
	NotBefore Time `json:"not_before,omitempty"`
	// Memory in bytes that the next attempt asks for, where it was raised.
	Memory int64 `json:"memory,omitempty"`
	// Left after this charge.
	Left Left    `json:"left"`
	Cost float64 `json:"cost"` // this attempt's share of its instance's price, dollars
	// FreeHost: a host lost under a final attempt, replaced at no charge.
	FreeHost bool `json:"free_host,omitempty"`
	// AtOnce: it failed within seconds, which speaks against its instance.
	AtOnce bool `json:"at_once,omitempty"`
}

// Left is what remains of an index's budgets.
type Left struct {
	Attempts       int  `json:"attempts"`
	Preemptions    *int `json:"preemptions,omitempty"` // nil: no cap of its own
	Failures       *int `json:"failures,omitempty"`
	Infrastructure *int `json:"infrastructure,omitempty"`
}

// IndexEnded ends an index that did not succeed: its budget is used up, an
// exit code was fatal, what it depends on failed, there was no capacity, or the
// run was cancelled.
type IndexEnded struct {
	Task   string    `json:"task"`
	Index  int       `json:"index"`
	Class  job.Class `json:"class"`
	Cause  job.Cause `json:"cause,omitempty"`
	Reason string    `json:"reason"` // one sentence for people
}

// TaskOpened readies a task whose start needed a decision: what of it has not
// ended by now runs.
type TaskOpened struct {
	Task string `json:"task"`
}

// TaskSkipped ends a task that is not to run: its condition was false, or what
// it depends on was skipped.
type TaskSkipped struct {
	Task   string `json:"task"`
	Reason string `json:"reason"` // one sentence for people
}

// CheckpointsPruned: the run is over, and of a task's checkpoints remains what
// the job file says.
type CheckpointsPruned struct {
	Task    string `json:"task"`
	Kept    int    `json:"kept"`
	Removed int    `json:"removed"`
	Fault   string `json:"fault,omitempty"` // why some could not be removed
}

// Unattended is time in which no controller lived, so that the run's own time
// stood still, while its instances cost money.
type Unattended struct {
	Length Time `json:"length"` // by the store's own times
}

// CancelRequested begins the run's cancellation.
type CancelRequested struct {
	By string `json:"by,omitempty"`
}

// RunFailing ends the run at once: something is wrong that no repetition mends.
// What runs is cancelled.
type RunFailing struct {
	Code   providers.Code `json:"code"`
	Reason string         `json:"reason"` // the cloud's words, its call and what to do
}

// RunHeld stops new launches and assignments until it is resumed.
type RunHeld struct {
	Reason string `json:"reason"`
}

// RunResumed ends a hold, or a pause.
type RunResumed struct {
	By string `json:"by,omitempty"`
}

// RunEnded: every index has ended. Instances may still live.
type RunEnded struct {
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
}

// RunClosed: every instance is gone, every intent closed, and of the
// checkpoints is left what shall be.
type RunClosed struct {
	Cost float64 `json:"cost"` // of all instances, dollars
}
