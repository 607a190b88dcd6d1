package computetest

import (
	"cmp"
	"time"
)

// Options of a Server; zero fields have the defaults named.
type Options struct {
	// Project ("spotrelay-test") that everything is in.
	Project string
	// Clock (the real one) of everything but the processes of instances.
	Clock Clock
	// OperationTime (20 ms) that an operation takes, a third of it PENDING.
	OperationTime time.Duration
	// BootTime (10 ms) from the end of an insert to RUNNING.
	BootTime time.Duration
	// ListLag (0) that a new instance is missing in lists.
	ListLag time.Duration
	// SoftOff (30 s) from the soft-off of a spot instance, at which its metadata
	// says that it is preempted, to its power-off. The duration that
	// Scheduling.PreemptionNoticeDuration asks for comes before.
	SoftOff time.Duration
	// Scale (1) divides the durations that requests ask for, the notice and the
	// longest run, for those who test in real time.
	Scale float64
	// OperationLife (14 days) that an ended operation can be read.
	OperationLife time.Duration
	// RequestLife (60 min) that a request id is known.
	RequestLife time.Duration
	// PageSize (500) bounds the pages of lists from above.
	PageSize int
	// Machines is a folder below which instances run as real processes; "" runs
	// none.
	Machines string
	// Environment of the processes, beside what a machine has of itself.
	Environment []string
	// Anonymous lets requests without a token pass. The provider sends none to an
	// endpoint on this machine.
	Anonymous bool
	// TolerateFaults: a test that wants to see requests refused. Otherwise each
	// request that breaks a rule fails the test.
	TolerateFaults bool
}

func (o Options) withDefaults() Options {
	o.Project = cmp.Or(o.Project, "spotrelay-test")
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	o.OperationTime = cmp.Or(o.OperationTime, 20*time.Millisecond)
	o.BootTime = cmp.Or(o.BootTime, 10*time.Millisecond)
	o.SoftOff = cmp.Or(o.SoftOff, 30*time.Second)
	o.Scale = cmp.Or(o.Scale, 1)
	o.OperationLife = cmp.Or(o.OperationLife, 14*24*time.Hour)
	o.RequestLife = cmp.Or(o.RequestLife, time.Hour)
	o.PageSize = cmp.Or(o.PageSize, 500)
	return o
}

// scaled is a duration that a request asked for, as long as it lasts here.
func (o Options) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / o.Scale)
}
