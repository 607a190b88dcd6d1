package sim

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

const (
	// tokenWindow is how long the cloud knows a launch token.
	tokenWindow = time.Hour
	// remembers is how long the cloud tells of an instance that has ended.
	remembers = time.Hour
)

// cloud rents machines, takes them back, and lies as clouds do. What it has done
// it knows exactly, which is what the witness compares with.
type cloud struct {
	world  *World
	market []providers.Offer
	// boot runs what a machine runs, until ctx ends with the machine.
	boot func(ctx context.Context, m *machine)

	mu       sync.Mutex
	machines map[string]*machine
	launches map[string]*launched
	calls    map[string]int
}

type launched struct {
	request providers.LaunchRequest
	at      time.Time
	ids     []string
}

// machine is one VM.
type machine struct {
	providers.Instance
	request providers.LaunchRequest
	shown   time.Time // listings show it from then on
	ended   time.Time
	cause   providers.EndCause
	life    context.Context
	end     context.CancelFunc

	// What its metadata service says.
	notice  *job.Notice
	notices chan *job.Notice // each change; nil: withdrawn
}

func newCloud(w *World) *cloud {
	c := &cloud{world: w, machines: map[string]*machine{}, launches: map[string]*launched{}, calls: map[string]int{}}
	for zone, factor := range map[string]float64{"z1": 1, "z2": 1.1, "z3": 1.2} {
		for size, cpus := range map[string]float64{"small": 2, "large": 8} {
			price := 0.05 * cpus * factor
			offer := providers.Offer{Zone: zone, InstanceType: size, CPUs: cpus, Memory: int64(cpus) << 32, Arch: "amd64", OS: "linux"}
			offer.Capacity, offer.Price = providers.Spot, price/3
			c.market = append(c.market, offer)
			offer.Capacity, offer.Price = providers.OnDemand, price
			c.market = append(c.market, offer)
		}
	}
	slices.SortFunc(c.market, func(a, b providers.Offer) int {
		return int(math.Copysign(1, a.Price-b.Price))
	})
	return c
}

// offers are those that serve a need.
func (c *cloud) offers(need providers.Need) []providers.Offer {
	var found []providers.Offer
	for _, o := range c.market {
		if o.CPUs >= need.CPUs && o.Memory >= need.Memory && need.GPUs == 0 {
			found = append(found, o)
		}
	}
	return found
}

// launch rents, once for each token. The call was made a while ago.
func (c *cloud) launch(request providers.LaunchRequest, made time.Time) (providers.LaunchResult, error) {
	w := c.world
	w.witness.launches(request, made)
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.launches[request.Token]; before != nil && time.Since(before.at) < tokenWindow {
		if !reflect.DeepEqual(before.request, request) {
			w.violated("launch: token %s was used for two different requests", request.Token)
			return providers.LaunchResult{}, &providers.Error{Code: providers.CodeTokenMismatch, Op: "launch", Message: "the token was used for another request"}
		}
		return c.result(before, nil), nil
	}
	l := &launched{request: request, at: time.Now()}
	c.launches[request.Token] = l
	var failures []providers.Failure
	for n := 0; n < request.Count; {
		offer, ok := c.choose(request.Offers, &failures)
		if !ok {
			break
		}
		// A pool gives as many as it has.
		room := w.seed.between(1, max(request.Count-n, 1), "room", request.Token, n)
		for ; room > 0 && n < request.Count; room, n = room-1, n+1 {
			c.create(l, offer, n)
		}
		request.Offers = slices.DeleteFunc(slices.Clone(request.Offers), func(o providers.Offer) bool { return o == offer })
	}
	return c.result(l, failures), nil
}

// choose is the first offer whose pool has capacity now. Capacity comes and
// goes in slices of ten minutes.
func (c *cloud) choose(offers []providers.Offer, failures *[]providers.Failure) (providers.Offer, bool) {
	w := c.world
	slice := w.slot()
	for _, o := range offers {
		rate := w.faults().Capacity
		if o.Capacity == providers.OnDemand {
			rate /= 4
		}
		if !w.seed.happens(rate, "capacity", o.Pool(), slice) {
			return o, true
		}
		if !slices.ContainsFunc(*failures, func(f providers.Failure) bool { return f.Pool == o.Pool() }) {
			*failures = append(*failures, providers.Failure{Pool: o.Pool(), Code: providers.CodeCapacity, Message: "there is no capacity"})
		}
	}
	return providers.Offer{}, false
}

func (c *cloud) result(l *launched, failures []providers.Failure) providers.LaunchResult {
	result := providers.LaunchResult{Failures: failures}
	for _, id := range l.ids {
		result.Instances = append(result.Instances, c.machines[id].Instance)
	}
	return result
}

// create makes one machine and decides its fate.
func (c *cloud) create(l *launched, offer providers.Offer, n int) {
	w := c.world
	id := fmt.Sprintf("i-%s-%d", l.request.Token, n)
	for c.machines[id] != nil {
		id += "-again"
	}
	m := &machine{
		Instance: providers.Instance{ID: id, Offer: offer, State: providers.StatePending, Tags: l.request.Tags, Launched: time.Now()},
		request:  l.request, notices: make(chan *job.Notice, 8), cause: providers.EndRunning,
		shown: time.Now().Add(w.seed.span(0, w.faults().ListLag+1, "lag", id)),
	}
	if w.seed.happens(w.faults().Untold, "untold", id) {
		m.shown = time.Now().Add(w.seed.span(0, 5*w.faults().ListLag+1, "lag", id))
	}
	m.life, m.end = context.WithCancel(w.ctx)
	c.machines[id] = m
	l.ids = append(l.ids, id)
	w.tell("the cloud rents %s (%s %s %s)", id, offer.Zone, offer.InstanceType, offer.Capacity)
	w.work.Go(func() { c.live(m) })
}

// live is a machine's life, from its boot to its end by the cloud; terminate
// and the machine itself may end it before.
func (c *cloud) live(m *machine) {
	w, f := c.world, c.world.faults()
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		if w.seed.happens(f.NeverBoots, "never boots", m.ID) || !w.wait(m.life, w.seed.span(5*time.Second, 90*time.Second, "boot", m.ID)) {
			return
		}
		c.set(m, func() { m.State = providers.StateRunning })
		c.boot(m.life, m)
	})
	fates := map[providers.EndCause]time.Duration{
		providers.EndHostEvent: w.seed.wait(f.HostLost, "host", m.ID),
		providers.EndByUser:    w.seed.wait(f.Foreign, "foreign", m.ID),
	}
	if m.Offer.Capacity == providers.Spot {
		fates[providers.EndReclaimed] = w.seed.wait(f.Preempt, "preempt", m.ID)
	}
	if m.request.MaxLife > 0 {
		fates[providers.EndMaxLife] = m.request.MaxLife
	}
	cause, after := providers.EndUnknown, time.Duration(math.MaxInt64)
	for fate, d := range fates {
		if d < after {
			cause, after = fate, d
		}
	}
	if after == math.MaxInt64 {
		<-m.life.Done()
		return
	}
	if !w.wait(m.life, after) {
		return
	}
	if cause == providers.EndReclaimed && !w.seed.happens(f.Unannounced, "unannounced", m.ID) {
		if !c.announce(m) {
			<-m.life.Done()
			return
		}
	}
	c.over(m, cause)
}

// announce gives a machine its notice, and is false when it was withdrawn or
// the machine ended before.
func (c *cloud) announce(m *machine) bool {
	w := c.world
	lead := w.seed.span(20*time.Second, 2*time.Minute, "lead", m.ID)
	w.tell("%s is noticed, %s ahead", m.ID, lead.Round(time.Second))
	now := time.Now()
	n := &job.Notice{Kind: job.NoticeInterruption, Action: "terminate", Deadline: now.Add(lead + w.skew), Lead: job.Duration(lead), Seen: now, Source: "sim"}
	c.set(m, func() { m.notice = n })
	m.notices <- n
	if w.seed.happens(w.faults().Withdrawn, "withdrawn", m.ID) {
		if w.wait(m.life, lead+time.Minute) {
			w.tell("the notice of %s is withdrawn", m.ID)
			c.set(m, func() { m.notice = nil })
			m.notices <- nil
		}
		return false
	}
	return w.wait(m.life, lead)
}

func (c *cloud) set(m *machine, change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.State != providers.StateTerminated {
		change()
	}
}

// over ends a machine: nothing in it survives.
func (c *cloud) over(m *machine, cause providers.EndCause) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.State == providers.StateTerminated {
		return
	}
	m.State, m.ended = providers.StateTerminated, time.Now()
	if m.cause == providers.EndRunning || cause != providers.EndByUs {
		m.cause = cause
	}
	w := c.world
	if w.seed.happens(w.faults().Zombie, "zombie", m.ID) {
		w.tell("the cloud calls %s ended (%s), and it runs on", m.ID, m.cause)
		w.later(w.seed.span(0, 2*time.Minute, "zombie for", m.ID), m.end)
		return
	}
	w.tell("%s ends: %s", m.ID, m.cause)
	m.end()
}

// terminate ends machines, in its own time.
func (c *cloud) terminate(ids []string) {
	w := c.world
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		m := c.machines[id]
		if m == nil || m.State == providers.StateTerminated || m.State == providers.StateStopping {
			continue
		}
		m.State = providers.StateStopping
		m.cause = providers.EndByUs // it overwrites what was known
		w.later(w.seed.span(0, w.faults().SlowTerminal+1, "terminate", id), func() { c.over(m, providers.EndByUs) })
	}
}

// list is what the cloud tells of a run's machines.
func (c *cloud) list(tags map[string]string) []providers.Instance {
	w := c.world
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []providers.Instance
	for _, m := range c.machines {
		ours := true
		for name, value := range tags {
			ours = ours && m.Tags[name] == value
		}
		gap := w.seed.happens(w.faults().ListGap, "gap", m.ID, time.Since(w.began)/(30*time.Second))
		if !ours || gap || time.Now().Before(m.shown) || !m.ended.IsZero() && time.Since(m.ended) > remembers {
			continue
		}
		found = append(found, m.Instance)
	}
	slices.SortFunc(found, func(a, b providers.Instance) int { return strings.Compare(a.ID, b.ID) })
	return found
}

func (c *cloud) evidence(ids []string) []providers.Evidence {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := make([]providers.Evidence, len(ids))
	for i, id := range ids {
		found[i] = providers.Evidence{ID: id, Cause: providers.EndUnknown}
		m := c.machines[id]
		if m == nil || !m.ended.IsZero() && time.Since(m.ended) > remembers {
			continue
		}
		found[i] = providers.Evidence{ID: id, Cause: m.cause, State: m.State, At: m.ended.Add(c.world.skew)}
		if m.cause == providers.EndRunning && m.notice != nil {
			found[i].Cause = providers.EndNoticed
		}
	}
	return found
}

// alive is the machines that have not ended.
func (c *cloud) alive() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, m := range c.machines {
		if m.State != providers.StateTerminated {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// endOf is when a machine ended, as the cloud knows it; it is false for one
// that has not.
func (c *cloud) endOf(id string) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[id]
	if m == nil {
		return time.Time{}, true
	}
	return m.ended, m.State == providers.StateTerminated
}

// machineOf is a machine by its id, nil for none.
func (c *cloud) machineOf(id string) *machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machines[id]
}
