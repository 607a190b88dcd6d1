package sim

import "time"

// Faults are the rates of what goes wrong. Probabilities are for each call
// unless they say otherwise; the zero value is a perfect world.
type Faults struct {
	// Of the cloud.
	Preempt      float64       // for each hour of a spot instance
	Unannounced  float64       // of preemptions: without a notice
	Withdrawn    float64       // of notices: it is withdrawn, and the instance stays
	HostLost     float64       // for each hour of any instance
	Foreign      float64       // for each hour of any instance: somebody else ends it
	NeverBoots   float64       // of instances
	Zombie       float64       // of instances: called ended, they run on for up to two minutes
	Capacity     float64       // of a pool in a launch: it has none
	Quota        float64       // of launches
	Throttled    float64       // of all calls
	Refused      float64       // of all calls: an error before any effect
	LostAnswer   float64       // of all calls: an error after the effect
	SlowCall     float64       // of all calls: it takes up to a minute
	LateCall     float64       // of launches and terminates: an error at once, and the effect later
	LostLaunch   float64       // of launches: every answer to their calls is lost
	ListGap      float64       // of instances in a listing, for half a minute: missing though they live
	ListLag      time.Duration // how long a launch may be missing in a listing, as the provider says
	Untold       float64       // of instances: missing for up to five times as long
	SlowTerminal time.Duration // the most that a terminate takes
	Skew         time.Duration // how far the cloud's clock is ahead of all others

	// Of the bucket.
	BucketRefused    float64 // an error before any effect
	BucketLostAnswer float64 // an error after the effect
	BucketSlow       float64 // it takes up to 20 s
	BucketLate       float64 // of writes: an error at once, and the effect later, at the worst moment
	Outages          float64 // for each hour: nothing answers for ten minutes
	BucketFull       float64 // for each hour: it takes no writes for ten minutes

	// Of controllers.
	Crash     float64       // for each call to bucket or provider, before or after its effect
	Pause     float64       // for each call: everything stops for up to three leases
	Suspend   float64       // for each call: everything stops for up to four minutes, its clock too
	SecondOne float64       // for each hour: another controller is started beside
	Absence   time.Duration // the most between the end of one and the start of the next
	// Of agents and their tasks.
	AgentSilent float64 // for each hour: its calls hang for up to an hour, then it is back
	AgentDies   float64 // for each hour: the agent ends, the instance stays
	TaskFails   float64 // of attempts: exit code 1
	OutOfMemory float64 // of attempts
	NoOutput    float64 // of attempts: exit code 0, and what it should leave is not there
	WrapsUp     float64 // of attempts: told to stop, they finish with exit code 0

	// Of users.
	Cancel float64 // for each hour: the run is cancelled

	// Focus is the kind of call that the faults of calls and of controllers
	// are drawn to; "" is none.
	Focus string
	// LateBy is the most by which the effect of a late call comes late.
	LateBy time.Duration
}

// rate is one of the probabilities or rates of Faults.
type rate struct {
	name  string
	value *float64
	usual float64 // on an ordinary day
	most  float64 // on the worst
}

// rates are all of them, to be changed.
func (f *Faults) rates() []rate {
	return []rate{
		{"preempt", &f.Preempt, 1, 20},
		{"unannounced", &f.Unannounced, 0.3, 1},
		{"withdrawn", &f.Withdrawn, 0.1, 1},
		{"host lost", &f.HostLost, 0.1, 5},
		{"foreign", &f.Foreign, 0.02, 0.5},
		{"never boots", &f.NeverBoots, 0.05, 0.5},
		{"zombie", &f.Zombie, 0.1, 1},
		{"capacity", &f.Capacity, 0.3, 0.9},
		{"quota", &f.Quota, 0.05, 0.7},
		{"throttled", &f.Throttled, 0.05, 0.6},
		{"refused", &f.Refused, 0.03, 0.6},
		{"lost answer", &f.LostAnswer, 0.03, 0.7},
		{"slow call", &f.SlowCall, 0.05, 0.8},
		{"late call", &f.LateCall, 0.1, 0.9},
		{"lost launch", &f.LostLaunch, 0.25, 0.8},
		{"list gap", &f.ListGap, 0.02, 0.4},
		{"untold", &f.Untold, 0.4, 0.9},
		{"bucket refused", &f.BucketRefused, 0.01, 0.3},
		{"bucket lost answer", &f.BucketLostAnswer, 0.01, 0.4},
		{"bucket slow", &f.BucketSlow, 0.01, 0.3},
		{"bucket late", &f.BucketLate, 0.006, 0.3},
		{"outages", &f.Outages, 0.2, 2},
		{"bucket full", &f.BucketFull, 0.1, 1.5},
		{"crash", &f.Crash, 0.0003, 0.005},
		{"pause", &f.Pause, 0.001, 0.01},
		{"suspend", &f.Suspend, 0.0007, 0.008},
		{"second one", &f.SecondOne, 0.5, 12},
		{"agent silent", &f.AgentSilent, 0.1, 3},
		{"agent dies", &f.AgentDies, 0.1, 3},
		{"task fails", &f.TaskFails, 0.05, 0.6},
		{"out of memory", &f.OutOfMemory, 0.02, 0.3},
		{"no output", &f.NoOutput, 0.02, 0.4},
		{"wraps up", &f.WrapsUp, 0.1, 1},
		{"cancel", &f.Cancel, 0.03, 3},
	}
}

// The kinds of calls that faults can be drawn to.
const (
	focusJournal   = "journal"
	focusDesired   = "desired"
	focusStatus    = "status"
	focusLease     = "lease"
	focusLaunch    = "launch"
	focusTerminate = "terminate"
)

// weather is a seed's own: on some days each fault is there or not, on others a
// few are very strong and the rest is fair. Bugs hide behind faults as much as
// they show by them (swarm testing: Groce et al., ISSTA 2012).
func (s Seed) weather() Faults {
	f := Faults{
		ListLag:      s.span(0, 3*time.Minute, "list lag"),
		SlowTerminal: s.span(0, 8*time.Minute, "slow terminal"),
		LateBy:       time.Duration(s.scale(float64(5*time.Second), float64(10*time.Minute), "late by")),
		Absence:      time.Duration(s.scale(float64(10*time.Second), float64(20*time.Minute), "absence")),
	}
	if s.happens(0.25, "long absence") {
		f.Absence = 3 * time.Hour
	}
	if s.happens(0.3, "skew") {
		f.Skew = s.span(-5*time.Minute, 5*time.Minute, "skew by")
	}
	if s.happens(0.6, "focus") {
		all := []string{focusJournal, focusDesired, focusStatus, focusLease, focusLaunch, focusTerminate}
		f.Focus = all[s.between(0, len(all)-1, "focus on")]
	}
	few := s.happens(0.4, "few faults")
	storm := s.scale(0.2, 3, "storm")
	for _, r := range f.rates() {
		switch u := s.chance("intensity", r.name); {
		case few && u < 0.12, !few && u < 0.06:
			*r.value = r.usual * s.scale(1, r.most/r.usual, "how strong", r.name)
		case few && u < 0.8, !few && u < 0.45:
		default:
			*r.value = min(r.usual*storm, r.most)
		}
	}
	return f
}
