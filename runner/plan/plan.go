// Package plan decides. State.Plan is a pure function of the state, the facts
// and the run's time: it reads no clock, no network and no random source, so
// that any decision can be repeated, simulated and explained. It returns events
// to journal and actions to take.
//
// # The loop
//
// A controller folds the journal into a State (Apply for each event), then
// repeats: gather Facts, Plan, append the Decision's events to the journal,
// take its actions. Plan has applied its events to the state by the time it
// returns; when the journal refuses them the controller stops and the state is
// thrown away.
//
// # Actions
//
// Every action may be repeated. An action is emitted when it is decided; all
// that are still outstanding are emitted again at the first tick of a tenure
// (Facts.Tenure), so nothing is lost in a crash between journal and action.
// Within a tenure the controller repeats an action by itself, with backoff,
// until it has its answer, which comes back as a fact, or until one with the
// same Key supersedes it. A Launch is the exception: it is called once, and its
// answer, also an error, is a fact; the plan decides about repeating it.
//
// # Time
//
// Time is a duration since the run began, as controllers have lived it: each
// counts on with its monotonic clock from the last one journalled. It never goes
// back, and no two machines' clocks are compared.
package plan

import (
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// Time is a run's time, see the package's comment.
type Time = time.Duration

// Decision is what a tick decided.
type Decision struct {
	Events  []Event
	Actions []Action
	// Wake is the run's time at which something will be due though no fact
	// changes (a backoff, a silence, a boot that takes too long); 0: nothing.
	Wake Time
}

// New is the state of a run before its first tick.
func New(spec *job.Spec) *State { return newState(spec) }

// Plan decides what follows from the facts at a time, which is not below that
// of the last call, and applies its events to the state.
func (s *State) Plan(facts Facts, now Time) Decision { return s.plan(facts, now) }

// Apply folds one journalled event into the state. It never fails: an event
// that does not fit (from a later version, say) is counted in Unknown.
func (s *State) Apply(event Event) { s.apply(event) }
