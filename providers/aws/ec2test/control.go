package ec2test

import (
	"maps"
	"net/http"
	"time"
)

// Instance is what a test sees of an instance, whatever listings lag behind.
type Instance struct {
	ID       string
	Pool     Pool
	State    string
	Tags     map[string]string
	Launched time.Time
	Reason   Reason
	// SpotStatus is the code of the spot request's status, "" for on-demand.
	SpotStatus string
}

// Interruption is what spot/instance-action tells.
type Interruption struct {
	Action   string // terminate
	Told     time.Time
	Deadline time.Time

	seen time.Time // when the instance first read it
}

// ScheduledEvent is what events/maintenance/scheduled tells.
type ScheduledEvent struct {
	Code        string // instance-retirement, instance-reboot, ...
	Description string
	NotBefore   time.Time
	NotAfter    time.Time
}

// Instances that there are, oldest first, also those that ended.
func (s *Server) Instances() []Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	var all []Instance
	for _, i := range s.instances {
		one := Instance{ID: i.id, Pool: i.pool, State: i.state(s.clock.now()), Tags: maps.Clone(i.tags), Launched: i.launched, Reason: i.reason}
		if i.spot != nil {
			one.SpotStatus = i.spot.status
		}
		all = append(all, one)
	}
	return all
}

// Live are the ids of the instances that are not terminated.
func (s *Server) Live() []string {
	var live []string
	for _, i := range s.Instances() {
		if i.State != "terminated" {
			live = append(live, i.ID)
		}
	}
	return live
}

// with does something to an instance; one that is unknown fails the test.
func (s *Server) with(id string, f func(*instance)) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	i := s.byID[id]
	if i == nil {
		s.t.Errorf("ec2test: there is no instance %s", id)
		return
	}
	f(i)
}

// Reclaim takes a spot instance: the notice is told at once, and the instance
// goes after so long; zero takes it with none.
func (s *Server) Reclaim(id string, notice time.Duration) {
	s.ReclaimAs(id, notice, "instance-terminated-no-capacity")
}

// ReclaimAs is Reclaim with another status of the spot request while the
// instance still runs: marked-for-termination, instance-terminated-by-price.
func (s *Server) ReclaimAs(id string, notice time.Duration, status string) {
	s.t.Helper()
	s.with(id, func(i *instance) {
		if i.spot == nil {
			s.t.Errorf("ec2test: %s is no spot instance", id)
			return
		}
		if notice <= 0 {
			s.end(i, reasonSpot)
			return
		}
		now := s.clock.now()
		i.interruption = &Interruption{Action: "terminate", Told: now, Deadline: now.Add(notice)}
		i.spot.set(status, "Your Spot instance is going to be terminated.", now)
		time.AfterFunc(notice, func() { s.Advance(0) })
	})
}

// Withdraw takes a notice back: the request is fulfilled again.
func (s *Server) Withdraw(id string) {
	s.t.Helper()
	s.with(id, func(i *instance) {
		i.interruption = nil
		i.spot.set("fulfilled", "Your Spot request is fulfilled.", s.clock.now())
	})
}

// SetSpotStatus sets the status of an instance's spot request.
func (s *Server) SetSpotStatus(id, code string) {
	s.t.Helper()
	s.with(id, func(i *instance) { i.spot.set(code, "set by the test", s.clock.now()) })
}

// Recommend gives a rebalance recommendation.
func (s *Server) Recommend(id string) {
	s.t.Helper()
	s.with(id, func(i *instance) { i.rebalance = s.clock.now() })
}

// Schedule announces an event of the instance's host; none takes them back.
func (s *Server) Schedule(id string, events ...ScheduledEvent) {
	s.t.Helper()
	s.with(id, func(i *instance) { i.events = events })
}

// End ends an instance with a StateReason of the caller's choice.
func (s *Server) End(id string, reason Reason) {
	s.t.Helper()
	s.with(id, func(i *instance) { s.end(i, reason) })
}

// Crash ends an instance's processes; EC2 goes on calling it running.
func (s *Server) Crash(id string) {
	s.t.Helper()
	s.with(id, func(i *instance) {
		if i.machine != nil {
			i.machine.kill()
		}
	})
}

// SetConsole sets an instance's console output.
func (s *Server) SetConsole(id, text string) {
	s.t.Helper()
	s.with(id, func(i *instance) { i.console = func() []byte { return []byte(text) } })
}

// Console is an instance's console output.
func (s *Server) Console(id string) (text string) {
	s.t.Helper()
	s.with(id, func(i *instance) {
		if i.console != nil {
			text = string(i.console())
		}
	})
	return text
}

// Reaction is how long after a notice was told the instance read it, and
// whether it did.
func (s *Server) Reaction(id string) (after time.Duration, seen bool) {
	s.t.Helper()
	s.with(id, func(i *instance) {
		if i.interruption != nil && !i.interruption.seen.IsZero() {
			after, seen = i.interruption.seen.Sub(i.interruption.Told), true
		}
	})
	return after, seen
}

type metadataAnswer struct {
	status int
	body   string
}

// Answer has an instance's metadata service answer at a path below meta-data,
// whatever it would say by itself; status 0 ends it.
func (s *Server) Answer(id, path string, status int, body string) {
	s.t.Helper()
	s.with(id, func(i *instance) {
		if i.answers == nil {
			i.answers = map[string]metadataAnswer{}
		}
		i.answers[path] = metadataAnswer{status, body}
		if status == 0 {
			delete(i.answers, path)
		}
	})
}

// ExpireTokens makes the tokens that an instance's metadata service gave
// worthless.
func (s *Server) ExpireTokens(id string) {
	s.t.Helper()
	s.with(id, func(i *instance) { i.tokenEpoch++ })
}

// UserData of an instance, decoded.
func (s *Server) UserData(id string) (data []byte) {
	s.t.Helper()
	s.with(id, func(i *instance) { data = i.userData() })
	return data
}

// Metadata is an instance's metadata service, for tests without machines.
func (s *Server) Metadata(id string) (handler http.Handler) {
	s.t.Helper()
	s.with(id, func(i *instance) { handler = s.newMetadata(i) })
	return handler
}
