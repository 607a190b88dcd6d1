// Package job is the model that everything else speaks in: what a run shall do
// (Spec and what it holds), what an instance shall do (Desired), what an
// instance did (Status), and how an ended attempt is called (Class). It is
// data: no I/O, no clock.
package job

import (
	"encoding/json"
	"time"
)

// SpecVersion is the version of the documents in this package that this
// program writes. Readers take this version and the one before.
const SpecVersion = 1

// Spec is a run's specification, written once to runs/<run>/spec.json. All
// expressions of the job file are evaluated, all defaults filled in.
type Spec struct {
	Version int               `json:"version"`
	Run     string            `json:"run"` // sorts by time; see NewRunID
	Job     string            `json:"job"`
	Created time.Time         `json:"created"` // the submitter's clock, for people
	Labels  map[string]string `json:"labels,omitempty"`
	Fleets  []Fleet           `json:"fleets"` // in order of preference
	Tasks   []Task            `json:"tasks"`  // in an order in which dependencies come first

	// MaxInstances bounds the instances that live at once, 0 for no bound.
	MaxInstances int `json:"max_instances,omitempty"`
	// MaxParallel bounds the attempts that are assigned at once, 0 for no bound.
	MaxParallel int `json:"max_parallel,omitempty"`
	// MaxCost in dollars of all instances of the run, 0 for none.
	MaxCost float64 `json:"max_cost,omitempty"`
	// Timeout of the run, by the run's own time; 0 for none.
	Timeout Duration `json:"run_timeout,omitempty"`
	// Inputs from outside, imported when the run was submitted.
	Inputs []SourceInput `json:"inputs,omitempty"`
	// Recovery is what was taken over from an earlier run; nil: nothing.
	Recovery *Recovery `json:"recovery,omitempty"`
	// Seed feeds whatever needs chance (jitter), so that plans can be repeated.
	Seed uint64 `json:"seed"`
	// Workdir is the manifest of the files that every attempt starts in.
	Workdir *Manifest `json:"workdir,omitempty"`
	// Agent is the agent program that instances run, by "os-arch".
	Agent  map[string]Program `json:"agent"`
	Timing Timing             `json:"timing"`
	Source Source             `json:"source"`
}

// Task is a named unit of work; with an array, Count indexed units.
type Task struct {
	Name      string   `json:"name"`
	Count     int      `json:"count"`           // how many indexes, 0 or more; 1 when it is no array
	Array     bool     `json:"array,omitempty"` // count or for_each was given
	Keys      []string `json:"keys,omitempty"`  // for_each: the key of each index
	DependsOn []string `json:"depends_on,omitempty"`
	Inputs    []string `json:"inputs,omitempty"` // names of Spec.Inputs that it is given
	// Parts names those in DependsOn of whose outputs an index is given only
	// the indexes that its command, setup and env refer to, if any.
	Parts     []string  `json:"parts,omitempty"`
	Execution Execution `json:"execution"`
	// Elements holds what differs by index: nil, or Count long.
	Elements  []Element `json:"elements,omitempty"`
	Resources Resources `json:"resources"`
	Image     string    `json:"image,omitempty"` // the provider's name for an image; "" is its default
	// Labels become tags of the instances; job labels are merged in.
	Labels map[string]string `json:"labels,omitempty"`
	// Fleets names those that may be used, in order; never empty.
	Fleets    []string `json:"fleets"`
	Slots     int      `json:"slots"`               // attempts of it that share an instance at once, from 1
	Dedicated bool     `json:"dedicated,omitempty"` // each attempt has an instance of its own, used once
	Retries   Retries  `json:"retries"`

	// Priority among tasks that wait for instances: the higher first.
	Priority int `json:"priority,omitempty"`
	// MaxParallel bounds its attempts that are assigned at once, 0 for no bound.
	MaxParallel int `json:"max_parallel,omitempty"`
	// MaxCost in dollars of an index over all its attempts, 0 for none.
	MaxCost float64 `json:"max_cost,omitempty"`
	// HoldOnFailure keeps the instance of an attempt that failed for so long.
	HoldOnFailure Duration `json:"hold_on_failure,omitempty"`
	// OnOutOfMemory asks for more memory after an attempt that had too little.
	OnOutOfMemory *MoreMemory `json:"on_out_of_memory,omitempty"`
	// Nodes of a gang, each an instance of its own; 0 and 1: no gang.
	Nodes int `json:"nodes,omitempty"`
	// OnNodeLoss is what becomes of a gang when a node is lost; "" is NodeLossRestart.
	OnNodeLoss NodeLoss `json:"on_node_loss,omitempty"`
	// Cache lets finished work be used again; nil: never.
	Cache *Cache `json:"cache,omitempty"`
	// When decides, once all that it depends on has ended, whether it runs; nil:
	// it does.
	When *Condition `json:"when,omitempty"`
	// AllowFailure: that it failed fails neither the run nor what depends on it.
	AllowFailure bool `json:"allow_failure,omitempty"`
	// Finally: it runs when all other tasks have ended, however they did.
	Finally bool `json:"finally,omitempty"`
}

// MoreMemory is what a task gets after an attempt that ran out of memory:
// Factor times as much each time, at most Max bytes.
type MoreMemory struct {
	Factor float64 `json:"factor"`
	Max    int64   `json:"max"`
}

// NodeLoss is what becomes of a gang when one of its nodes is lost.
type NodeLoss string

const (
	// NodeLossRestart ends the attempt on all nodes; the next one starts anew on all.
	NodeLossRestart NodeLoss = "restart"
	// NodeLossReplace keeps the other nodes and replaces the lost one.
	NodeLossReplace NodeLoss = "replace"
)

// Element is the part of an execution that is an index's own. A nil field is
// as in the task's Execution.
type Element struct {
	Command []string          `json:"command,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	// Values of a matrix: what tells this index from the others, for tables.
	Values map[string]string `json:"values,omitempty"`
}

// Execution is what an agent needs to know to execute an attempt. Strings of
// Command, Setup and Env may hold placeholders, see Placeholder.
type Execution struct {
	Command []string          `json:"command"`         // never empty; not given to a shell
	Setup   []string          `json:"setup,omitempty"` // run once on an instance, before the first attempt that has it
	Env     map[string]string `json:"env,omitempty"`
	// Timeout of an attempt, 0 for none.
	Timeout Duration `json:"timeout,omitempty"`
	// Signal is sent to the task on a notice, on a timeout and on cancel, and
	// KillAfter later SIGKILL (on a notice: when the planned time is up, that
	// of the deadline less the last save): "SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP".
	Signal     string      `json:"signal"`
	KillAfter  Duration    `json:"kill_after"`
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
	// Further checkpoints beside Checkpoint, each with a name of its own.
	Further []Checkpoint `json:"further_checkpoints,omitempty"`
	Output  *Output      `json:"output,omitempty"`
	// MemoryLimit of the process tree in bytes where a cgroup is writable, 0
	// for none.
	MemoryLimit int64 `json:"memory_limit,omitempty"`
}

// Output names the directory, below the working directory, that is committed
// when the attempt succeeds.
type Output struct {
	Path string `json:"path"`
}

// Resources is what an attempt needs of an instance.
type Resources struct {
	CPUs    float64 `json:"cpus,omitempty"`   // virtual CPUs; 0: whatever comes
	Memory  int64   `json:"memory,omitempty"` // bytes
	Disk    int64   `json:"disk,omitempty"`   // bytes of scratch
	GPUs    int     `json:"gpus,omitempty"`
	GPUType string  `json:"gpu_type,omitempty"` // "a100", lower case
	Arch    string  `json:"arch,omitempty"`     // "amd64", "arm64"; "" is any that the agent is built for
}

// Retries says how many attempts a task (each index of an array) may use up.
type Retries struct {
	Attempts          int      `json:"attempts"`           // all that are charged, from 1
	OnDemandAttempts  int      `json:"on_demand_attempts"` // so many of the last ones, 0 to Attempts
	MaxPreemptions    *int     `json:"max_preemptions,omitempty"`
	MaxFailures       *int     `json:"max_failures,omitempty"`
	MaxInfrastructure *int     `json:"max_infrastructure,omitempty"`
	RetryExitCodes    []int    `json:"retry_exit_codes,omitempty"` // beyond 75, which always retries
	FailExitCodes     []int    `json:"fail_exit_codes,omitempty"`  // end the task at once
	Backoff           Backoff  `json:"backoff"`
	CapacityWait      Duration `json:"capacity_wait"` // how long spot is looked for before on-demand, and on-demand before the task fails
}

// Backoff is the pause before the next attempt: Initial * Factor^n, at most
// Max; with Jitter a uniform part of the upper half of it. A preemption waits
// for nothing: the next instance is the pause.
type Backoff struct {
	Initial Duration `json:"initial"`
	Factor  float64  `json:"factor"`
	Max     Duration `json:"max"`
	Jitter  bool     `json:"jitter"`
}

// Fleet is where instances may be rented.
type Fleet struct {
	Name     string `json:"name"`
	Provider string `json:"provider"` // "local", "aws", ...
	// Config is the provider's own block, as JSON that its schema accepted.
	Config json.RawMessage `json:"config,omitempty"`
}

// Manifest points at a committed manifest of files in the bucket.
type Manifest struct {
	Key    string `json:"key"`
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
	Files  int    `json:"files"`
	// Content is the digest of names, modes and bytes alone: equal files, equal
	// digest, whoever saved them. "" where it is not known.
	Content string `json:"content,omitempty"`
}

// Program is an executable in the bucket.
type Program struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Timing holds the periods by which both sides watch each other.
type Timing struct {
	Heartbeat   Duration `json:"heartbeat"`    // an agent's status changes at least so often
	Silence     Duration `json:"silence"`      // without a change for so long an agent is lost
	BootTimeout Duration `json:"boot_timeout"` // from launch to the first status
	IdleTimeout Duration `json:"idle_timeout"` // an instance without work is kept so long for work that may come
	OrphanGrace Duration `json:"orphan_grace"` // a busy agent whose run nobody controls goes on so long
	Poll        Duration `json:"poll"`         // how often documents are looked at
	Lease       Duration `json:"lease"`        // a controller that is silent for so long has lost its run
}

// Ahead is how much work, in time, an instance may hold beyond what it runs: a
// few looks at its documents and back, so that short tasks don't wait for them.
func (t Timing) Ahead() time.Duration { return max(500*time.Millisecond, 4*t.Poll.D()) }

// Source is what the user wrote, kept so that a run can be explained.
type Source struct {
	File      string            `json:"file"` // as given on the command line
	Text      string            `json:"text"`
	Variables map[string]string `json:"variables,omitempty"` // as HCL expressions; without sensitive ones
	Version   string            `json:"version"`             // of spotrelay
	Git       *Git              `json:"git,omitempty"`       // nil: the file is in no work tree
	// Providers are the versions of the provider plugins, by name.
	Providers map[string]string `json:"providers,omitempty"`
	// Environment names the variables of the submitter's environment that set
	// variables of the job file; their values are among Variables.
	Environment []string `json:"environment,omitempty"`
}

// Git is the state of the work tree that a job file lies in.
type Git struct {
	Commit string `json:"commit"` // full hash, "" before the first commit
	Branch string `json:"branch,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"` // tracked files differ from the commit, or untracked ones are there
}
