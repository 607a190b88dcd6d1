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
	Capacity     float64       // of a pool in a launch: it has none
	Quota        float64       // of launches
	Throttled    float64       // of all calls
	Refused      float64       // of all calls: an error before any effect
	LostAnswer   float64       // of all calls: an error after the effect
	SlowCall     float64       // of all calls: it takes up to a minute
	LateCall     float64       // of launches and terminates: an error at once, and the effect up to a minute later
	ListLag      time.Duration // how long a launch may be missing in a listing
	SlowTerminal time.Duration // the most that a terminate takes

	// Of the bucket.
	BucketRefused    float64 // an error before any effect
	BucketLostAnswer float64 // an error after the effect
	BucketSlow       float64 // it takes up to 20 s
	BucketLate       float64 // of writes: an error at once, and the effect up to a minute later
	Outages          float64 // for each hour: nothing answers for up to ten minutes

	// Of controllers.
	Crash     float64 // for each call to bucket or provider, before or after its effect
	Pause     float64 // for each call: everything stops for up to three leases
	SecondOne float64 // for each hour: another controller is started beside
	// Of agents.
	AgentSilent float64       // for each hour: its calls hang for up to an hour, then it is back
	AgentDies   float64       // for each hour: the agent ends, the instance stays
	Skew        time.Duration // the most that an instance's clock is off
	DiskFull    float64       // of saves: the disk has no room
	TaskFails   float64       // of attempts: exit code 1
	OutOfMemory float64       // of attempts
}

// scaled is the faults with every rate times factor.
func (f Faults) scaled(factor float64) Faults {
	for _, rate := range f.rates() {
		*rate *= factor
	}
	return f
}

// rates gives every probability and rate, to be changed.
func (f *Faults) rates() []*float64 {
	return []*float64{
		&f.Preempt, &f.Unannounced, &f.Withdrawn, &f.HostLost, &f.Foreign, &f.NeverBoots, &f.Capacity, &f.Quota,
		&f.Throttled, &f.Refused, &f.LostAnswer, &f.SlowCall, &f.LateCall,
		&f.BucketRefused, &f.BucketLostAnswer, &f.BucketSlow, &f.BucketLate, &f.Outages,
		&f.Crash, &f.Pause, &f.SecondOne, &f.AgentSilent, &f.AgentDies, &f.DiskFull, &f.TaskFails, &f.OutOfMemory,
	}
}
