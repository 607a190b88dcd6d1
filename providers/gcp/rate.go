package gcp

import (
	"cmp"

	"golang.org/x/time/rate"
)

// api is a group of calls that share a quota.
type api string

const (
	apiRead      api = "read"      // gets
	apiList      api = "list"      // lists of zones
	apiMutate    api = "mutate"    // inserts, deletes
	apiOperation api = "operation" // operations
	apiSerial    api = "serial"    // serial port output
)

// Rates are calls a second to a region of a project. Compute's quotas are a
// minute's: 1,500 reads, 1,500 operation reads, 1,500 lists, 1,500 mutations and
// 1,500 reads of serial ports (https://cloud.google.com/compute/api-quota); a
// fifth is left to others.
type Rates struct {
	Read, List, Mutate, Operation, Serial float64
}

func (r Rates) withDefaults() Rates {
	const most = 1500.0 / 60 * 4 / 5
	return Rates{
		Read: cmp.Or(r.Read, most), List: cmp.Or(r.List, most), Mutate: cmp.Or(r.Mutate, most),
		Operation: cmp.Or(r.Operation, most), Serial: cmp.Or(r.Serial, most),
	}
}

// limits are the limiters of a cloud.
type limits map[api]*rate.Limiter

func newLimits(r Rates) limits {
	l := limits{}
	for group, perSecond := range map[api]float64{apiRead: r.Read, apiList: r.List, apiMutate: r.Mutate, apiOperation: r.Operation, apiSerial: r.Serial} {
		l[group] = rate.NewLimiter(rate.Limit(perSecond), max(1, int(2*perSecond)))
	}
	return l
}
