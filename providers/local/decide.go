//go:build linux || darwin

package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// history is what a run has asked this fleet for: runs/<run>.
type history struct {
	First    time.Time                      `json:"first"`    // its first launch call
	Counts   map[providers.CapacityType]int `json:"counts"`   // instances, by capacity type
	Refused  map[int]int                    `json:"refused"`  // launch calls that each capacity_error block has failed
	Modified time.Time                      `json:"modified"` // of the last call
}

// decide chooses what a launch rents: a draw of the market, written down
// before anything is made. The caller holds the fleet's lock.
func (p *Provider) decide(folder fleetFolder, c config, request providers.LaunchRequest, digest string) (launch, error) {
	now := time.Now().UTC()
	path := filepath.Join(folder.runs(), safeName(request.Tags[providers.TagRun]))
	var past history
	if err := readJSON(path, &past); err != nil && errors.Is(err, os.ErrPermission) {
		return launch{}, err
	}
	if past.First.IsZero() {
		past = history{First: now}
	}
	if past.Counts == nil {
		past.Counts = map[providers.CapacityType]int{}
	}
	if past.Refused == nil {
		past.Refused = map[int]int{}
	}
	past.Modified = now

	l := launch{Digest: digest, Created: now}
	refusals := c.refuse(&past, request.Offers, now)
	var whole error
	for _, r := range refusals {
		switch r.refusal.code {
		case providers.CodeThrottled:
			e := fault("launch", providers.CodeThrottled, "too many calls, as a capacity_error block says", "wait and repeat")
			e.After = time.Second
			whole = e
		case providers.CodeUnavailable:
			l.Fails = true
		}
	}
	if whole == nil {
		var err error
		if whole, err = nil, p.choose(folder, c, request, refusals, &past, &l); err != nil {
			return l, err
		}
	}
	if err := writeJSON(path, past); err != nil {
		return l, err
	}
	return l, whole
}

// refused is a capacity_error block that is about a launch.
type refused struct {
	refusal
	index int
}

// refuse finds the blocks that fail a launch call now, and counts the call.
func (c config) refuse(past *history, offers []providers.Offer, now time.Time) []refused {
	var found []refused
	for i, r := range c.refusals {
		about := false
		for _, offer := range offers {
			about = about || r.about(offer.Pool())
		}
		if !about {
			continue
		}
		if r.launches > 0 && past.Refused[i] >= r.launches || r.within > 0 && now.Sub(past.First) >= r.within {
			continue
		}
		past.Refused[i]++
		found = append(found, refused{r, i})
	}
	return found
}

// about reports whether the block names the pool.
func (r refusal) about(pool providers.Pool) bool {
	return (r.zone == "" || r.zone == pool.Zone) &&
		(r.instanceType == "" || r.instanceType == pool.InstanceType) &&
		(r.capacity == "" || r.capacity == string(pool.Capacity))
}

// choose fills the launch from the offers, the first first, as far as there is
// capacity.
func (p *Provider) choose(folder fleetFolder, c config, request providers.LaunchRequest, refusals []refused, past *history, l *launch) error {
	alive, byPool, err := p.alive(folder)
	if err != nil {
		return err
	}
	sold := map[providers.Pool]providers.Offer{}
	for _, offer := range c.offers() {
		sold[offer.Pool()] = offer
	}
	left := request.Count
	for _, wanted := range request.Offers {
		if left == 0 {
			break
		}
		pool := wanted.Pool()
		offer, ok := sold[pool]
		if !ok {
			l.fail(pool, providers.CodeUnsupported, fmt.Sprintf("%s is not offered in %s", pool.InstanceType, pool.Zone))
			continue
		}
		if code, no := refusalOf(refusals, pool); no {
			l.fail(pool, code, "no "+string(pool.Capacity)+" "+pool.InstanceType+" in "+pool.Zone+", as a capacity_error block says")
			continue
		}
		for ; left > 0 && alive < c.most() && byPool[pool] < offer.Limit; left-- {
			alive++
			byPool[pool]++
			past.Counts[pool.Capacity]++
			l.Records = append(l.Records, c.record(folder, offer, request, *past))
		}
		switch {
		case left == 0:
		case alive >= c.most(): // another pool does not help
			l.fail(pool, providers.CodeQuota, fmt.Sprintf("%d instances live in this fleet, and max_instances = %d", alive, c.most()))
			return nil
		default:
			l.fail(pool, providers.CodeCapacity, fmt.Sprintf("%d instances live here, and limit = %d", byPool[pool], offer.Limit))
		}
	}
	return nil
}

func (l *launch) fail(pool providers.Pool, code providers.Code, message string) {
	l.Failures = append(l.Failures, providers.Failure{Pool: pool, Code: code, Message: message})
}

// refusalOf is the code that a pool is refused with.
func refusalOf(refusals []refused, pool providers.Pool) (providers.Code, bool) {
	for _, r := range refusals {
		if r.code != providers.CodeUnavailable && r.about(pool) {
			return r.code, true
		}
	}
	return "", false
}

// record of a new instance, the last one that past counts.
func (c config) record(folder fleetFolder, offer providers.Offer, request providers.LaunchRequest, past history) record {
	id := newID()
	return record{
		Instance: providers.Instance{
			ID: id, Offer: offer, State: providers.StatePending, Tags: request.Tags,
			Launched: time.Now().UTC(), Where: string(folder.instance(id)),
		},
		Token: request.Token, Bootstrap: request.Bootstrap, MaxLife: request.MaxLife,
		BootDelay: c.bootDelay, Network: c.network, Isolation: c.isolation,
		Bandwidth: c.bandwidth, Share: c.share,
		Environment: environmentOf(os.Environ(), c.passEnv),
		Script:      c.script(offer.Capacity, past.Counts),
		NoticeLead:  c.noticeLead(offer.Capacity, past.Counts),
	}
}

// noticeLead is how long a notice of the instance is: the shortest of those in
// its script, else what the fleet has for spot.
func (c config) noticeLead(capacity providers.CapacityType, counts map[providers.CapacityType]int) time.Duration {
	lead := time.Duration(0)
	for _, s := range c.script(capacity, counts) {
		if s.Action == actionPreempt && (lead == 0 || s.Notice < lead) {
			lead = s.Notice
		}
	}
	if lead == 0 && capacity == providers.Spot {
		return c.notice
	}
	return lead
}

// script of the instance that is the last of its run by counts.
func (c config) script(capacity providers.CapacityType, counts map[providers.CapacityType]int) []step {
	var script []step
	nth := counts[capacity]
	if capacity == providers.Spot && nth <= len(c.preemptAfter) && c.preemptAfter[nth-1] > 0 {
		script = append(script, step{Action: actionPreempt, After: c.preemptAfter[nth-1], Notice: c.notice})
	}
	all := counts[providers.Spot] + counts[providers.OnDemand]
	for _, e := range c.events {
		if e.capacity == string(capacity) && e.instance == nth || e.capacity == "any" && e.instance == all {
			script = append(script, e.step)
		}
	}
	return script
}
