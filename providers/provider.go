// Package providers is the contract between spotrelay and a cloud. A provider
// rents instances and says what became of them; it decides nothing. Each runs
// as a plugin process of its own (package plugins), so an implementation may
// crash, hang or leak without harming a run.
//
// Everything here is data or one small interface; a plugin author needs this
// package and package plugins, and nothing else of spotrelay.
package providers

import (
	"context"
	"encoding/json"
	"time"
)

// Provider is one cloud. Its methods may be called at the same time. Each takes
// the fleet it is about, so one process serves any number of fleets and keeps
// no state that a restart would lose. Errors are *Error; see Code.
type Provider interface {
	// Describe says what the provider is and can. No network, no credentials:
	// it is called before anything is configured. May be repeated.
	Describe(ctx context.Context) (Description, error)

	// Check looks a fleet's configuration over, beyond what the schema says,
	// without renting anything: the faults it finds are diagnostics. May be
	// repeated.
	Check(ctx context.Context, fleet Fleet) ([]Fault, error)

	// Offers lists what could be rented for the need, each with its price, in
	// no order. An offer that cannot serve the need is left out. May be
	// repeated; answers may be cached for minutes.
	Offers(ctx context.Context, fleet Fleet, need Need) ([]Offer, error)

	// Launch rents up to Count instances in one of the offers given. It is
	// idempotent by Token within Description.TokenWindow: repeated, it returns
	// what the first call rented. Fewer than Count, down to none, is a success
	// with Failures that say why. Every instance bears Tags from its creation.
	// An error says that the whole call failed; whether something was rented
	// nevertheless is found by List.
	Launch(ctx context.Context, fleet Fleet, request LaunchRequest) (LaunchResult, error)

	// List gives every instance in the fleet that bears all the tags, also
	// those that ended a short while ago. It never gives a part of the answer:
	// an incomplete listing is an error. May be repeated.
	List(ctx context.Context, fleet Fleet, tags map[string]string) ([]Instance, error)

	// Terminate ends instances. It returns nil when the ending was triggered
	// for all of them or they are gone, so repeating it is the protocol.
	// Instances without our tags are refused.
	Terminate(ctx context.Context, fleet Fleet, ids []string) error

	// Evidence says what the provider knows of why instances ended or are
	// ending, one for each id in the order of ids; an unknown one has
	// CauseUnknown. It must be asked before Terminate, which overwrites it in
	// some clouds. May be repeated.
	Evidence(ctx context.Context, fleet Fleet, ids []string) ([]Evidence, error)
}

// Console is what a provider with CapabilityConsole offers beside.
type Console interface {
	// Console is the newest part of an instance's console output, at most
	// 64 KiB. May be repeated.
	Console(ctx context.Context, fleet Fleet, id string) (string, error)
}

// Preempter is what a provider with CapabilityPreempt offers beside: it makes
// an interruption happen by hand (AWS: Fault Injection Service; GCP:
// simulateMaintenanceEvent; local: at once).
type Preempter interface {
	// Preempt gives a spot instance its notice, and takes it after so long;
	// zero takes it with no notice at all.
	Preempt(ctx context.Context, fleet Fleet, id string, notice time.Duration) error
}

// Fleet is the place that a call is about.
type Fleet struct {
	Name string `json:"name"`
	// Config is the fleet's config block, valid by Description.Schema.
	Config json.RawMessage `json:"config,omitempty"`
}

// Capability is something that not every provider has.
type Capability string

const (
	CapabilityConsole Capability = "console"
	CapabilityPreempt Capability = "preempt"
	CapabilityChecks  Capability = "checks"
	// CapabilityOnDemand: the provider has on-demand offers.
	CapabilityOnDemand Capability = "on-demand"
)

// Description is what a provider says of itself.
type Description struct {
	Name         string        `json:"name"`    // as in provider = "name"
	Version      string        `json:"version"` // of the plugin
	Capabilities []Capability  `json:"capabilities,omitempty"`
	Schema       Schema        `json:"schema"`
	TokenWindow  time.Duration `json:"token_window"` // how long a launch token may be repeated; at least a minute
	// ListLag is how long after a launch an instance may be missing in List.
	ListLag time.Duration `json:"list_lag"`
	// Notice describes how an agent on an instance sees the interruption
	// coming; nil: it cannot.
	Notice *NoticeProbe `json:"notice,omitempty"`
	// Leave is how an instance ends itself.
	Leave Leave `json:"leave"`
	// Timing the provider suggests; zero fields are spotrelay's own defaults.
	BootTimeout time.Duration `json:"boot_timeout,omitempty"`
	IdleTimeout time.Duration `json:"idle_timeout,omitempty"`
	// Pace is the shortest time between two List calls.
	Pace time.Duration `json:"pace"`
}

// Has reports whether the provider has a capability.
func (d Description) Has(c Capability) bool {
	for _, have := range d.Capabilities {
		if have == c {
			return true
		}
	}
	return false
}

// Severity of a Fault.
type Severity string

const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Fault is something wrong with a fleet's configuration.
type Fault struct {
	Severity Severity `json:"severity"`
	// Path of the attribute in the config block: names and, as text, indexes;
	// empty for the block as a whole.
	Path    []string `json:"path,omitempty"`
	Summary string   `json:"summary"`
	Detail  string   `json:"detail,omitempty"` // what to do about it
}
