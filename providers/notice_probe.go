package providers

import "time"

// NoticeProbe tells an agent, as data, how to see an interruption coming: a
// number of sources on the instance's metadata service. "{metadata}" in a URL
// is replaced by the base address, which the environment variable
// SPOTRELAY_METADATA overrides.
type NoticeProbe struct {
	Metadata string         `json:"metadata"` // base address, "http://169.254.169.254"
	Token    *TokenRequest  `json:"token,omitempty"`
	Sources  []NoticeSource `json:"sources"`
}

// TokenRequest is made first, and again when a source answers 401 or the token
// grows old; its body becomes the header Header of every request.
type TokenRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Header  string            `json:"header"`
	Life    time.Duration     `json:"life"`
}

// NoticeSource is one thing to watch.
type NoticeSource struct {
	Name    string            `json:"name"` // "spot/instance-action"
	Kind    string            `json:"kind"` // "interruption", "maintenance", "rebalance", as job.NoticeKind
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	// Interval between two looks; with Hang it is the pause after an error.
	Interval time.Duration `json:"interval"`
	// Hang makes it a hanging GET: the URL is asked with HangQuery appended,
	// and "{etag}" in it replaced by the last answer's ETag header; the first
	// look is without HangQuery.
	Hang      bool   `json:"hang,omitempty"`
	HangQuery string `json:"hang_query,omitempty"`
	// Absent lists status codes that mean: no notice (404).
	Absent []int `json:"absent,omitempty"`
	// Match reads a 200's body.
	Match NoticeMatch `json:"match"`
}

// NoticeMatch reads the body of an answer. With Text, the trimmed body equal to
// one of these is a notice. Otherwise the body is JSON, or, with TimeText, an
// RFC 3339 time.
type NoticeMatch struct {
	Text []string `json:"text,omitempty"`
	// TimeText: the whole body is the deadline; text that is no time is no notice.
	TimeText bool `json:"time_text,omitempty"`
	// Array: the JSON is an array (EC2's scheduled events; empty is none) or,
	// with ArrayPath, has one at that dotted path; its first element whose
	// Field When has one of the values In (any, if empty) is the notice.
	Array     bool     `json:"array,omitempty"`
	ArrayPath string   `json:"array_path,omitempty"`
	When      string   `json:"when,omitempty"`
	In        []string `json:"in,omitempty"`
	// Action and Deadline are dotted paths to text in the JSON.
	Action   string `json:"action,omitempty"`
	Deadline string `json:"deadline,omitempty"`
	// DeadlineLayout is a Go time layout; "" is RFC 3339.
	DeadlineLayout string `json:"deadline_layout,omitempty"`
	// Lead is what is left when the answer has no deadline. Of the sources of
	// interruptions it is also how long the notice usually is, by which an
	// agent plans before one has come; the environment variable
	// SPOTRELAY_NOTICE_LEAD, set by the provider, is an instance's own.
	Lead time.Duration `json:"lead,omitempty"`
}

// Leave is how an instance ends itself. There is no default.
type Leave struct {
	Means LeaveMeans `json:"means"`
	// Request for LeaveRequest, and Command for LeaveCommand.
	Method  string            `json:"method,omitempty"`
	URL     string            `json:"url,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Command []string          `json:"command,omitempty"`
}

// LeaveMeans is the kind of a Leave.
type LeaveMeans string

const (
	LeaveExit     LeaveMeans = "exit"      // the agent's end is the instance's end
	LeavePowerOff LeaveMeans = "power-off" // the OS powers off, and the cloud terminates what is off
	LeaveRequest  LeaveMeans = "request"   // an HTTP request
	LeaveCommand  LeaveMeans = "command"
	LeaveNone     LeaveMeans = "none" // only the controller can end it
)
