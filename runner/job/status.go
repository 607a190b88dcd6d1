package job

import "time"

// Phase is how far an agent is.
type Phase string

// The phases, in the order they are passed.
const (
	PhaseReady    Phase = "ready"    // takes what is assigned
	PhaseDraining Phase = "draining" // has a notice: finishes or saves, takes nothing new
	PhaseLeaving  Phase = "leaving"  // accepts nothing any more and ends its instance
)

// Status is runs/<run>/instances/<instance>/status.json: what an instance is
// doing and did. Written whole, by its agent alone; cumulative until
// acknowledged. It changes at least every Timing.Heartbeat.
type Status struct {
	Version  int    `json:"version"`
	Run      string `json:"run"`
	Instance string `json:"instance"`
	Agent    string `json:"agent"` // version of the agent
	Boot     string `json:"boot"`  // a random id of this agent process: another one is another life
	Beat     int64  `json:"beat"`  // rises with every write
	Phase    Phase  `json:"phase"`
	// Epoch and Sequence of the desired document it last took.
	Epoch    int64           `json:"epoch"`
	Sequence int64           `json:"sequence"`
	Notice   *Notice         `json:"notice,omitempty"`
	Running  []AttemptStatus `json:"running,omitempty"` // accepted and not ended
	Ended    []AttemptEnd    `json:"ended,omitempty"`   // not acknowledged yet
	// Slots it has: of what it is assigned it runs so many at a time, and the
	// rest waits. 0: an agent that starts whatever it is assigned.
	Slots int `json:"slots,omitempty"`
	// Returned are assignments that it gives back: it has not accepted them and
	// never will. They are listed while they are assigned.
	Returned []AttemptID `json:"returned,omitempty"`
	Warnings []string    `json:"warnings,omitempty"`
	// Reason that the agent leaves, for people.
	Reason  string    `json:"reason,omitempty"`
	Written time.Time `json:"written"` // the agent's clock, for people
}

// Notice is an interruption notice as the probe read it.
type Notice struct {
	Kind     NoticeKind `json:"kind"`
	Action   string     `json:"action,omitempty"`   // "terminate", "stop", "hibernate", as the provider says
	Deadline time.Time  `json:"deadline,omitempty"` // by the instance's clock; zero: unknown
	Lead     Duration   `json:"lead,omitempty"`     // left when it was seen
	Seen     time.Time  `json:"seen"`               // by the agent's clock
	Source   string     `json:"source"`             // the probe's name, e.g. "spot/instance-action"
	Text     string     `json:"text,omitempty"`     // what the probe read, shortened
}

// NoticeKind tells a notice that ends the instance from mere advice.
type NoticeKind string

const (
	NoticeInterruption NoticeKind = "interruption" // the instance will be taken
	NoticeMaintenance  NoticeKind = "maintenance"  // the host goes: infrastructure
	NoticeRebalance    NoticeKind = "rebalance"    // advice: checkpoint early, place nothing more there
)

// AttemptStatus is a running attempt.
type AttemptStatus struct {
	AttemptID
	Step       Step           `json:"step"`
	Started    time.Time      `json:"started"` // for people
	Elapsed    Duration       `json:"elapsed"` // by the agent's monotonic clock
	Checkpoint *CheckpointRef `json:"checkpoint,omitempty"`
	Saves      int            `json:"saves,omitempty"`  // committed by this attempt
	Saving     bool           `json:"saving,omitempty"` // a save is on its way
	// Forecast is what a save would take now, by series; empty without a
	// checkpoint and before the first look.
	Forecast []SaveForecast `json:"forecast,omitempty"`
	Usage    Usage          `json:"usage"`
	LogBytes int64          `json:"log_bytes,omitempty"`
	// Address of a gang's node, host:port, once it is prepared: its command
	// starts when all nodes have one.
	Address string `json:"address,omitempty"`
}

// SaveForecast is what the next save of a series would have to do, as its agent
// sees it while the task runs.
type SaveForecast struct {
	Name string `json:"name,omitempty"` // of the series
	// SavedAgo is how long ago the newest checkpoint was committed, by the
	// agent's monotonic clock; 0 before the first. What came later is lost
	// when the instance is.
	SavedAgo Duration `json:"saved_ago,omitempty"`
	Bytes    int64    `json:"bytes"`  // of the directory
	Unsent   int64    `json:"unsent"` // likely still to be sent
	Takes    Duration `json:"takes"`  // a save of that, by the bandwidth measured so far
	Rate     int64    `json:"rate"`   // that bandwidth, bytes a second
	// Notice is how long the instance's notice is; 0: not known.
	Notice Duration `json:"notice,omitempty"`
	// Warning: the save would not fit into the notice, and what to do. "" when
	// it would.
	Warning string `json:"warning,omitempty"`
}

// Step is what an attempt is at.
type Step string

const (
	StepPreparing  Step = "preparing"  // workdir, inputs, restore
	StepSetup      Step = "setup"      // the setup command runs
	StepGathering  Step = "gathering"  // prepared, waits for the other nodes of its gang
	StepRunning    Step = "running"    // the command runs
	StepStopping   Step = "stopping"   // it was told to stop
	StepCommitting Step = "committing" // last save, outputs
)

// Usage is what an attempt has used up to now.
type Usage struct {
	CPU       Duration `json:"cpu,omitempty"` // user and system time of the tree
	MaxMemory int64    `json:"max_memory,omitempty"`
}

// AttemptEnd is an ended attempt with all the agent knows of how it ended. It
// is evidence, not a verdict: the controller classifies.
type AttemptEnd struct {
	AttemptID
	Started time.Time `json:"started"` // for people
	Ended   time.Time `json:"ended"`
	Elapsed Duration  `json:"elapsed"`
	// Step it was at when it ended.
	Step Step `json:"step"`

	Exited   bool   `json:"exited"`              // the command ran and ended by itself or by a signal
	ExitCode int    `json:"exit_code"`           // valid when Exited and Signal is ""
	Signal   string `json:"signal,omitempty"`    // the signal that ended it, "SIGKILL"
	OOMKills int64  `json:"oom_kills,omitempty"` // growth of the cgroup's counter

	// Committed: exit 0, and the output, if one is declared, is in the bucket.
	Committed bool      `json:"committed"`
	Output    *Manifest `json:"output,omitempty"`
	// Result is what the task wrote to its result file, when it succeeded.
	Result   map[string]string `json:"result,omitempty"`
	Restored *CheckpointRef    `json:"restored,omitempty"`   // what it went on from
	Saved    *CheckpointRef    `json:"checkpoint,omitempty"` // the newest committed by it
	Saves    int               `json:"saves,omitempty"`

	Notice       *Notice  `json:"notice,omitempty"`        // seen before it ended
	SignalSent   bool     `json:"signal_sent,omitempty"`   // we told it to stop before it ended
	ExitBefore   bool     `json:"exit_before,omitempty"`   // with a notice: it ended before our signal
	OSStopping   bool     `json:"os_stopping,omitempty"`   // the agent itself was told to stop by the OS
	TimedOut     bool     `json:"timed_out,omitempty"`     // its timeout fired
	Cancelled    bool     `json:"cancelled,omitempty"`     // ended because the controller said so
	Orphaned     bool     `json:"orphaned,omitempty"`      // ended because nobody controlled the run
	DiskFull     bool     `json:"disk_full,omitempty"`     // ENOSPC on the task's volume
	AgentFull    bool     `json:"agent_full,omitempty"`    // ENOSPC on the agent's volume
	SetupFailed  bool     `json:"setup_failed,omitempty"`  //
	StartFailed  bool     `json:"start_failed,omitempty"`  // the command could not be started (not found, not executable)
	Fault        string   `json:"fault,omitempty"`         // of the setup or the start, for people
	RestoreError string   `json:"restore_error,omitempty"` // the named checkpoint could not be restored
	RestoreKey   string   `json:"restore_key,omitempty"`   // and which one it was
	SaveError    string   `json:"save_error,omitempty"`    // a last save was given up or failed, so the checkpoint before stays
	OutputError  string   `json:"output_error,omitempty"`  // the declared output is missing or unreadable
	AgentError   string   `json:"agent_error,omitempty"`   // anything of our own that failed and is not above
	Usage        Usage    `json:"usage"`
	LogBytes     int64    `json:"log_bytes,omitempty"`
	Warnings     []string `json:"warnings,omitempty"` // e.g. exit 0 with a grown OOM counter, descendants killed
}
