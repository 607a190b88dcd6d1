package ec2test

import "time"

// Options of a Server; the zero value is a region with three zones, the built-in
// instance types and no processes.
type Options struct {
	Region string         // default us-east-1
	Zones  []string       // last letters; default a, b, c
	Types  []InstanceType // default DefaultTypes
	Boot   time.Duration  // from launch to running
	// ListLag is how long a launched instance is unknown to every listing.
	ListLag time.Duration
	// Ending is how long an instance is shutting down.
	Ending time.Duration
	// Visible is how long a terminated instance is listed; default one hour.
	Visible time.Duration
	// Machines makes instances real; nil: they are records.
	Machines *Machines
	// Denied are actions that the caller may not do, as in a policy:
	// "ec2:CreateFleet".
	Denied []string
}

func (o Options) withDefaults() Options {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if len(o.Zones) == 0 {
		o.Zones = []string{"a", "b", "c"}
	}
	if len(o.Types) == 0 {
		o.Types = DefaultTypes()
	}
	if o.Visible == 0 {
		o.Visible = time.Hour
	}
	return o
}

// Pool is what runs out of capacity together. An empty field stands for any.
type Pool struct {
	Zone         string
	InstanceType string
	Lifecycle    string // "spot" or "on-demand"
}

func (p Pool) matches(other Pool) bool {
	fits := func(want, have string) bool { return want == "" || want == have }
	return fits(p.Zone, other.Zone) && fits(p.InstanceType, other.InstanceType) && fits(p.Lifecycle, other.Lifecycle)
}
