package plan

import (
	"strconv"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Outcome is how a run ended.
type Outcome string

const (
	OutcomeSucceeded Outcome = "succeeded"
	OutcomeFailed    Outcome = "failed"
	OutcomeCancelled Outcome = "cancelled"
)

// RunState is what a run is at, as status --json shows it.
type RunState string

const (
	RunRunning    RunState = "running"
	RunHolding    RunState = "held"
	RunPausing    RunState = "pausing" // what runs saves, the instances go
	RunResting    RunState = "paused"  // nothing of it is left to control
	RunCancelling RunState = "cancelling"
	RunStopping   RunState = "stopping" // a limit is reached, what runs is being saved
	RunClosing    RunState = "closing"  // ended, instances still to go
	RunSucceeded  RunState = "succeeded"
	RunFailed     RunState = "failed"
	RunCancelled  RunState = "cancelled"
)

// State is a run as its journal tells it, and as snapshots keep it: the
// exported fields are its JSON. Views (Run, Summary, the records below) are for
// showing; nothing outside this package changes a State.
type State struct {
	Spec *job.Spec `json:"-"`

	Now    Time `json:"now"`
	Cancel bool `json:"cancel,omitempty"`
	// CancelFinally: a second cancel ended what runs finally.
	CancelFinally bool   `json:"cancel_finally,omitempty"`
	Held          string `json:"held,omitempty"` // the reason, "" if it is not
	// Paused since PausedAt; PausedFor is the length of pauses before.
	Paused    bool    `json:"paused,omitempty"`
	PausedAt  Time    `json:"paused_at,omitempty"`
	PausedFor Time    `json:"paused_for,omitempty"`
	Outcome   Outcome `json:"outcome,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	Closed    bool    `json:"closed,omitempty"`
	Cost      float64 `json:"cost"`              // of instances that are gone
	Unknown   int     `json:"unknown,omitempty"` // events that this version does not know

	Tasks     []TaskState          `json:"tasks"` // as in Spec.Tasks
	Launches  map[string]*Launch   `json:"launches,omitempty"`
	Instances map[string]*Instance `json:"instances,omitempty"` // that are not gone
	// Past holds the tokens of closed intents.
	Past map[string]string `json:"past,omitempty"` // token -> fleet
	Cool []PoolCooled      `json:"cool,omitempty"`
	// Moved holds the groups that left spot for want of capacity.
	Moved map[string]bool `json:"moved,omitempty"`
	// MovedAt is when they left.
	MovedAt map[string]Time `json:"moved_at,omitempty"`
	// Short says since when a group gets nothing, by "group/capacity type".
	Short map[string]Time `json:"short,omitempty"`
	// Left says until when a fleet is left alone for gangs of a group that did
	// not become whole there, by "group/capacity type/fleet".
	Left map[string]Time `json:"left,omitempty"`
	// Boots counts the boots that failed in a row, by pool.
	Boots map[string]int `json:"boots,omitempty"`
	// Blamed counts the instances on which attempts failed at once, by group,
	// since an attempt of the group ended otherwise.
	Blamed map[string]int `json:"blamed,omitempty"`
	// Tokens counts the intents, for the next one's token.
	Tokens int `json:"tokens,omitempty"`
	// Fault is why the run fails at once, "" if it does not.
	Fault string `json:"fault,omitempty"`
	// Stop is the limit that the run has reached, nil if it has not.
	Stop *Stopping `json:"stop,omitempty"`
	// Warned is what the run had cost when it was warned of its max_cost, in
	// dollars; 0: it was not.
	Warned float64 `json:"warned,omitempty"`

	work working // derived and volatile, rebuilt from the above
}

// TaskState is a task's indexes.
type TaskState struct {
	Indexes []IndexState `json:"indexes"`
	// Skipped: its condition was false, or what it depends on was skipped.
	Skipped bool `json:"skipped,omitempty"`
	// Pruned: its checkpoints were removed as the job file says.
	Pruned bool `json:"pruned,omitempty"`
}

// IndexPhase is what an index of a task is at.
type IndexPhase string

const (
	IndexBlocked   IndexPhase = "blocked" // waits for what it depends on
	IndexReady     IndexPhase = "ready"   // waits for an instance
	IndexWaiting   IndexPhase = "waiting" // backs off before the next attempt
	IndexAssigned  IndexPhase = "assigned"
	IndexRunning   IndexPhase = "running"
	IndexSucceeded IndexPhase = "succeeded"
	IndexFailed    IndexPhase = "failed"
	IndexCancelled IndexPhase = "cancelled"
	IndexSkipped   IndexPhase = "skipped" // the condition of its task was false
)

// IndexState is one index: its attempts and what is left of its budgets.
type IndexState struct {
	Phase      IndexPhase         `json:"phase"`
	Attempts   []AttemptRecord    `json:"attempts,omitempty"` // accepted ones and the assigned one, by number
	Next       int                `json:"next,omitempty"`     // the last number given
	NotBefore  Time               `json:"not_before,omitempty"`
	Charged    int                `json:"charged,omitempty"` // against Retries.Attempts
	Preempted  int                `json:"preempted,omitempty"`
	Failures   int                `json:"failures,omitempty"`
	Hosts      int                `json:"hosts,omitempty"`      // infrastructure
	FreeHosts  int                `json:"free_hosts,omitempty"` // hosts replaced free under final attempts
	Checkpoint *job.CheckpointRef `json:"checkpoint,omitempty"` // newest known
	Bad        []string           `json:"bad,omitempty"`        // checkpoints that could not be restored
	Output     *job.Manifest      `json:"output,omitempty"`     // of the attempt that succeeded
	Result     map[string]string  `json:"result,omitempty"`     // and what it wrote to its result file
	Cached     *job.CachedFrom    `json:"cached,omitempty"`     // who computed it, when no attempt of this run did
	Recovered  *job.RecoveredFrom `json:"recovered,omitempty"`  // the attempt of an earlier run that succeeded, when it was taken over
	Waits      *job.CacheClaim    `json:"waits,omitempty"`      // who computes the same, for which it waits
	Missed     *job.CacheMiss     `json:"missed,omitempty"`     // why its cache entry was of no use
	Kept       bool               `json:"kept,omitempty"`       // its result is in the cache, or cannot be
	Reason     string             `json:"reason,omitempty"`     // why it ended, when not by success
	EndedBy    job.Class          `json:"ended_by,omitempty"`   //
	EndedFor   job.Cause          `json:"ended_for,omitempty"`  //
	Memory     int64              `json:"memory,omitempty"`     // bytes that attempts ask for, when it was raised
	LastExit   *int               `json:"last_exit,omitempty"`  // of an attempt charged once as preempted
	Base       int                `json:"base,omitempty"`       // attempts up to this number were before it was retried, and count no more
	Spent      float64            `json:"spent,omitempty"`      // dollars, by attempts that ended, counted against max_cost
	Warned     float64            `json:"warned,omitempty"`     // what it had cost when it was warned of its max_cost, 0: it was not

	queued int8 // derived: whether and on which side it waits for an instance
}

// AttemptRecord is an attempt as the table of attempts shows it.
type AttemptRecord struct {
	Attempt    int                `json:"attempt"`
	Instance   string             `json:"instance"`
	Fleet      string             `json:"fleet"`
	Offer      providers.Offer    `json:"offer"`
	Final      bool               `json:"final,omitempty"`
	Memory     int64              `json:"memory,omitempty"` // bytes that it asked for, when that was raised
	Ahead      bool               `json:"ahead,omitempty"`  // it waited on its instance for a slot
	Assigned   Time               `json:"assigned"`
	Accepted   Time               `json:"accepted,omitempty"` // 0: not yet
	Ended      Time               `json:"ended,omitempty"`    // 0: not yet
	Unattended Time               `json:"unattended,omitempty"`
	Restore    *job.CheckpointRef `json:"restore,omitempty"`
	Verdict    *Verdict           `json:"verdict,omitempty"`
	Evidence   *Evidence          `json:"evidence,omitempty"`
	Left       *Left              `json:"left,omitempty"`
	Cost       float64            `json:"cost,omitempty"`
	Checkpoint *job.CheckpointRef `json:"checkpoint,omitempty"`
	Damaged    []string           `json:"damaged,omitempty"` // checkpoints passed over for Restore
	// Stopped is why it was told to save and end, "" if it was not.
	Stopped job.Cause `json:"stopped,omitempty"`
	// Nodes of a gang, of which Instance is the first; nil: it is none.
	Nodes []NodeRecord `json:"nodes,omitempty"`
	// Started is when all nodes of a gang were ready; 0: not yet.
	Started  Time      `json:"started,omitempty"`
	Stopping *GangStop `json:"stopping,omitempty"` // why a gang's nodes are told to stop
	Refused  []string  `json:"refused,omitempty"`  // instances that did not take a node
}

// Launch is an open intent.
type Launch struct {
	LaunchOpened
	Opened   Time         `json:"opened"`
	Answered bool         `json:"answered,omitempty"`
	Error    *LaunchError `json:"error,omitempty"`
	Tries    int          `json:"tries,omitempty"`
	Tried    Time         `json:"tried,omitempty"` // when the last try failed
	Retry    Time         `json:"retry,omitempty"` // not before
}

// InstancePhase is what an instance is at, as the controller sees it.
type InstancePhase string

const (
	InstanceBooting  InstancePhase = "booting"
	InstanceUp       InstancePhase = "ready"
	InstanceWarned   InstancePhase = "noticed"
	InstanceDraining InstancePhase = "leaving" // its agent leaves
	InstanceEnd      InstancePhase = "ending"  // we end it
)

// Instance is one that was rented and is not confirmed gone.
type Instance struct {
	ID        string          `json:"id"`
	Token     string          `json:"token"`
	Fleet     string          `json:"fleet"`
	Group     string          `json:"group"`
	Offer     providers.Offer `json:"offer"`
	Slots     int             `json:"slots"`
	Phase     InstancePhase   `json:"phase"`
	Where     string          `json:"where,omitempty"`
	Isolation string          `json:"isolation,omitempty"`
	Boot      string          `json:"boot,omitempty"`
	Launched  Time            `json:"launched"`
	// Unattended is how long it has lived, at the most, while no controller did.
	Unattended Time         `json:"unattended,omitempty"`
	Ready      Time         `json:"ready,omitempty"`
	Notice     *job.Notice  `json:"notice,omitempty"`
	Rebalance  bool         `json:"rebalance,omitempty"` // place nothing more there
	Ending     EndingReason `json:"ending,omitempty"`
	// Evidence the provider gave before we ended it.
	Evidence *providers.Evidence `json:"evidence,omitempty"`
	// Attempts assigned to it that have not ended.
	Attempts []job.AttemptID `json:"attempts,omitempty"`
	// Hold: it is kept after a failure, and gets nothing more.
	Hold   *Hold `json:"hold,omitempty"`
	Used   int   `json:"used,omitempty"`   // attempts that ended on it
	Failed int   `json:"failed,omitempty"` // attempts that failed on it at once, in a row
}

func indexText(index int) string { return strconv.Itoa(index) }
