package controller

import (
	"sync"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// inbox gathers facts between two ticks. Of what is repeated (statuses,
// listings) it keeps the newest.
type inbox struct {
	full chan struct{} // has an element when there is something to take

	mu       sync.Mutex
	facts    plan.Facts
	statuses map[string]job.Status
	listings map[string]plan.Listing
	requests map[string]plan.Request
}

func newInbox() *inbox {
	return &inbox{
		full:     make(chan struct{}, 1),
		statuses: map[string]job.Status{},
		listings: map[string]plan.Listing{},
		requests: map[string]plan.Request{},
	}
}

// put adds facts by a function that is called under the inbox's lock.
func (i *inbox) put(add func(*inbox)) {
	i.mu.Lock()
	add(i)
	i.mu.Unlock()
	select {
	case i.full <- struct{}{}:
	default:
	}
}

func (i *inbox) putStatuses(statuses []job.Status) {
	if len(statuses) == 0 {
		return
	}
	i.put(func(i *inbox) {
		for _, status := range statuses {
			i.statuses[status.Instance] = status
		}
	})
}

func (i *inbox) putListing(listing plan.Listing) {
	i.put(func(i *inbox) { i.listings[listing.Fleet] = listing })
}

func (i *inbox) putFault(fault plan.FleetFault) {
	i.put(func(i *inbox) { i.facts.Faults = append(i.facts.Faults, fault) })
}

func (i *inbox) putRequests(requests []store.StoredRequest) {
	if len(requests) == 0 {
		return
	}
	i.put(func(i *inbox) {
		for _, r := range requests {
			i.requests[r.Key] = r.Request
		}
	})
}

// take empties the inbox. Requests that were taken up before are left out;
// keys are those of the others.
func (i *inbox) take(before map[string]bool) (facts plan.Facts, keys []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.full:
	default:
	}
	facts = i.facts
	for _, status := range i.statuses {
		facts.Statuses = append(facts.Statuses, status)
	}
	for _, listing := range i.listings {
		facts.Listings = append(facts.Listings, listing)
	}
	for key, request := range i.requests {
		if !before[key] {
			facts.Requests = append(facts.Requests, request)
			keys = append(keys, key)
		}
	}
	i.facts = plan.Facts{}
	clear(i.statuses)
	clear(i.listings)
	clear(i.requests)
	return facts, keys
}
