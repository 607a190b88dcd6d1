package providers

import "time"

// The tags that every instance bears, also as labels in lower case where a
// cloud wants that. Together they say whose it is.
const (
	TagBucket = "spotrelay-bucket" // the bucket's id
	TagRun    = "spotrelay-run"
	TagFleet  = "spotrelay-fleet"
	TagIntent = "spotrelay-intent" // the launch token
)

// LaunchRequest asks for instances. It is frozen with its token: a repetition
// carries the same content.
type LaunchRequest struct {
	Token  string            `json:"token"`  // at most 64 ASCII letters, digits and '-'
	Offers []Offer           `json:"offers"` // any of these will do, the first are preferred; all of one capacity type
	Count  int               `json:"count"`  // from 1
	Need   Need              `json:"need"`
	Tags   map[string]string `json:"tags"`
	// Bootstrap starts the agent on the instance.
	Bootstrap Bootstrap `json:"bootstrap"`
	// MaxLife ends the instance by the cloud's own means where it has one; 0:
	// no bound.
	MaxLife time.Duration `json:"max_life,omitempty"`
}

// Bootstrap is what an instance must know to become a worker: fetch Agent from
// Bucket, check it, start it with Environment. It holds no secret.
type Bootstrap struct {
	Bucket string `json:"bucket"` // URL
	Run    string `json:"run"`
	Fleet  string `json:"fleet"`
	// Agent programs by "os-arch": key in the bucket and SHA-256 in hex.
	Agents map[string]AgentProgram `json:"agents"`
	// Environment for the agent. The provider adds SPOTRELAY_INSTANCE, the
	// instance's id, and whatever its Leave and Notice data need.
	Environment map[string]string `json:"environment,omitempty"`
}

// AgentProgram is an agent executable in the bucket.
type AgentProgram struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
}

// LaunchResult is what a launch rented.
type LaunchResult struct {
	Instances []Instance `json:"instances,omitempty"`
	Failures  []Failure  `json:"failures,omitempty"` // why it is fewer than asked for
}

// Failure is a pool, or a wider thing, that gave nothing.
type Failure struct {
	Pool    Pool   `json:"pool"`
	Code    Code   `json:"code"`
	Message string `json:"message"` // the cloud's own words
}

// InstanceState is an instance's state, the same for all clouds.
type InstanceState string

const (
	StatePending    InstanceState = "pending"
	StateRunning    InstanceState = "running"
	StateStopping   InstanceState = "stopping" // on its way to stopped or terminated
	StateStopped    InstanceState = "stopped"  // still costs its disk
	StateTerminated InstanceState = "terminated"
)

// Instance is one VM.
type Instance struct {
	ID       string            `json:"id"` // unique within the fleet for ever
	Offer    Offer             `json:"offer"`
	State    InstanceState     `json:"state"`
	Tags     map[string]string `json:"tags,omitempty"`
	Launched time.Time         `json:"launched"` // the cloud's clock, for people
	// Where it can be looked at, for people: a console address or a folder.
	Where string `json:"where,omitempty"`
	// Isolation that is weaker than a VM's, in words; "" is a VM's.
	Isolation string `json:"isolation,omitempty"`
}

// EndCause is what a provider says of why an instance ended.
type EndCause string

const (
	EndUnknown       EndCause = "unknown"       // it says nothing, or no longer knows the instance
	EndRunning       EndCause = "running"       // it has not ended
	EndReclaimed     EndCause = "reclaimed"     // spot capacity was taken back
	EndNoticed       EndCause = "noticed"       // marked for reclaim, still running
	EndHostEvent     EndCause = "host-event"    // host error, maintenance, retirement
	EndByUs          EndCause = "by-us"         // our own terminate call
	EndByUser        EndCause = "by-user"       // somebody else, by the cloud's API
	EndFromInside    EndCause = "from-inside"   // shut down from within
	EndMaxLife       EndCause = "max-life"      // the leash of LaunchRequest.MaxLife
	EndConfiguration EndCause = "configuration" // could not start: configuration or quota
	EndCapacity      EndCause = "capacity"      // could not start: no capacity
)

// Evidence is what a provider knows of an instance's end.
type Evidence struct {
	ID    string        `json:"id"`
	Cause EndCause      `json:"cause"`
	State InstanceState `json:"state,omitempty"` // "" when it knows nothing of the instance
	// Code and Message as the cloud gives them, e.g.
	// "Server.SpotInstanceTermination".
	Code    string    `json:"code,omitempty"`
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at,omitempty"`
}
