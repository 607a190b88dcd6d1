package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// bazaar is two fleets' offers, and a state that asks for them.
type bazaar struct {
	*world
	fleets map[string][]providers.Offer
}

func offer(zone, kind string, capacity providers.CapacityType, price float64) providers.Offer {
	return providers.Offer{Zone: zone, InstanceType: kind, Capacity: capacity, Price: price}
}

// openBazaar brings a run of two fleets to its first launch.
func openBazaar(t testing.TB, count int, retries job.Retries) (*bazaar, *ActionLaunch) {
	spec := one(retries)
	spec.Tasks[0].Count, spec.Tasks[0].Array = count, true
	spec.Fleets = []job.Fleet{{Name: "aws"}, {Name: "gcp"}}
	spec.Tasks[0].Fleets = []string{"aws", "gcp"}
	b := &bazaar{world: newWorld(spec, calm{}, t.Errorf), fleets: map[string][]providers.Offer{
		"aws": {offer("a", "m", providers.Spot, 1), offer("a", "l", providers.Spot, 2), offer("b", "m", providers.Spot, 1.5),
			offer("a", "m", providers.OnDemand, 3), offer("b", "m", providers.OnDemand, 3)},
		"gcp": {offer("z", "n", providers.Spot, 0.5), offer("z", "n", providers.OnDemand, 4)},
	}}
	return b, b.tell(time.Second, Facts{Tenure: true})
}

// tell ticks, answers what is asked for offers, and gives the launch that was
// made, nil for none.
func (b *bazaar) tell(after Time, f Facts) *ActionLaunch {
	b.bare(after, f)
	var launch *ActionLaunch
	for {
		var f Facts
		for _, a := range b.actions {
			if a.Launch != nil {
				launch = a.Launch
			}
			if a.Offers != nil {
				f.Offers = append(f.Offers, OffersAnswer{Fleet: a.Offers.Fleet, Group: a.Offers.Group, Offers: b.fleets[a.Offers.Fleet]})
			}
		}
		if len(f.Offers) == 0 {
			return launch
		}
		b.bare(0, f)
	}
}

// fails answers a launch with a failure of each of these offers' pools.
func fails(l *ActionLaunch, code providers.Code, offers ...providers.Offer) Facts {
	answer := LaunchAnswer{Token: l.Token}
	for _, o := range offers {
		answer.Result.Failures = append(answer.Result.Failures, providers.Failure{Pool: o.Pool(), Code: code, Message: "so it is"})
	}
	return Facts{Launches: []LaunchAnswer{answer}}
}

func names(l *ActionLaunch) string {
	if l == nil {
		return "nothing"
	}
	text := l.Fleet
	for _, o := range l.Offers {
		text += " " + o.Zone + o.InstanceType
	}
	return text + " " + string(l.Offers[0].Capacity)
}

func wantLaunch(t *testing.T, l *ActionLaunch, want string) {
	t.Helper()
	if got := names(l); got != want {
		t.Fatalf("launched %s, want %s", got, want)
	}
}

var patient = job.Retries{Attempts: 3, OnDemandAttempts: 1, CapacityWait: job.Duration(15 * time.Minute)}

// What follows a failure in the same tick, by its code: the reference's table of
// launch errors.
func TestFailureMovesOnInTheSameTick(t *testing.T) {
	for code, next := range map[providers.Code]string{
		providers.CodeCapacity:    "aws bm al spot", // another pool
		providers.CodePrice:       "aws bm al spot",
		providers.CodeUnsupported: "aws bm al spot",
		providers.CodeSubnet:      "aws bm spot", // another zone
		providers.CodeQuota:       "gcp zn spot", // another region
	} {
		t.Run(string(code), func(t *testing.T) {
			b, l := openBazaar(t, 1, patient)
			wantLaunch(t, l, "aws am bm al spot")
			wantLaunch(t, b.tell(time.Second, fails(l, code, l.Offers[0])), next)
		})
	}
}

// Spot is tried in every fleet before on-demand, which follows when the wait
// for capacity is over, in the fleets' order.
func TestFleetsThenOnDemand(t *testing.T) {
	b, l := openBazaar(t, 1, patient)
	l = b.tell(time.Second, fails(l, providers.CodeCapacity, l.Offers...))
	wantLaunch(t, l, "gcp zn spot")
	if l = b.tell(time.Second, fails(l, providers.CodeCapacity, l.Offers...)); l != nil {
		t.Fatalf("launched %s while all is left alone", names(l))
	}
	began := b.now
	for l == nil || l.Offers[0].Capacity == providers.Spot {
		if b.now > began+time.Hour {
			t.Fatal("on-demand was never tried")
		}
		f := Facts{}
		if l != nil {
			f = fails(l, providers.CodeCapacity, l.Offers...)
		}
		l = b.tell(time.Second, f)
	}
	if waited := b.now - began; waited < 15*time.Minute-time.Second || waited > 15*time.Minute+2*time.Second {
		t.Errorf("on-demand came after %s, want capacity_wait", waited)
	}
	wantLaunch(t, l, "aws am bm on-demand")
	wantLaunch(t, b.tell(time.Second, fails(l, providers.CodeQuota, l.Offers[0])), "gcp zn on-demand")
}

// A pool that gives nothing is left alone for 3 minutes, then twice as long,
// at most 10 minutes; what it gives begins anew.
func TestPausesGrowAndAreReset(t *testing.T) {
	b, l := openBazaar(t, 1, job.Retries{Attempts: 3, CapacityWait: job.Duration(10 * time.Hour)})
	b.fleets["gcp"] = nil
	pool := poolKey{"aws", l.Offers[0].Pool()}
	for _, want := range []Time{3 * time.Minute, 6 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		if next := b.tell(0, fails(l, providers.CodeCapacity, l.Offers...)); next != nil {
			t.Fatalf("launched %s", names(next))
		}
		if got := b.state.cooling(pool) - b.now; got != want {
			t.Errorf("left alone for %s, want %s", got, want)
		}
		if l = b.tell(want-time.Millisecond, Facts{}); l != nil {
			t.Fatalf("launched %s before its time", names(l))
		}
		if l = b.tell(time.Millisecond, Facts{}); l == nil {
			t.Fatal("not looked at again")
		}
	}
	b.tell(0, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{Instances: []providers.Instance{rentedBy(l, "i-1")}}}}})
	if got := b.state.cooling(pool); got != 0 {
		t.Errorf("after a success it is left alone until %s", got)
	}
}

// An interruption leaves its pool alone as well, at the notice or at the end;
// but where nothing else is left the pool is asked all the same.
func TestInterruptionLeavesThePool(t *testing.T) {
	b, l := openBazaar(t, 1, patient)
	b.fleets["gcp"] = nil
	b.tell(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{Instances: []providers.Instance{rentedBy(l, "i-1")}}}}})
	st := job.Status{Instance: "i-1", Boot: "b", Beat: 1, Phase: job.PhaseReady}
	b.tell(time.Second, Facts{Statuses: []job.Status{st}})
	for i := range b.state.Index("train", 0).Attempts {
		st.Running = append(st.Running, job.AttemptStatus{AttemptID: job.AttemptID{Task: "train", Attempt: i + 1}})
	}
	st.Beat, st.Notice, st.Phase = 2, interruption, job.PhaseDraining
	l = b.tell(time.Second, Facts{Statuses: []job.Status{st}})
	wantLaunch(t, l, "aws bm al spot") // the successor, elsewhere
	l = b.tell(time.Second, fails(l, providers.CodeCapacity, l.Offers...))
	wantLaunch(t, l, "aws am spot") // nothing else is left
	if l = b.tell(time.Second, fails(l, providers.CodeCapacity, l.Offers...)); l != nil {
		t.Fatalf("launched %s though the pool said that it is empty", names(l))
	}
}

// A launch over many pools that rented some and failed in others leaves alone
// those that failed and no others.
func TestPartialLaunchLeavesOnlyWhatFailed(t *testing.T) {
	b, l := openBazaar(t, 5, patient)
	if l.Count != 5 {
		t.Fatalf("asked for %d, want 5 at once", l.Count)
	}
	f := fails(l, providers.CodeCapacity, l.Offers[0])
	good := rentedBy(l, "i-1")
	good.Offer = l.Offers[1]
	f.Launches[0].Result.Instances = []providers.Instance{good}
	l = b.tell(time.Second, f)
	wantLaunch(t, l, "aws bm al spot")
	if l.Count != 4 {
		t.Errorf("asked for %d more, want 4", l.Count)
	}
}

// A launch that gave too few without a word is not simply repeated.
func TestSilentlyTooFewIsLeftAlone(t *testing.T) {
	b, l := openBazaar(t, 5, patient)
	l = b.tell(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{Instances: []providers.Instance{rentedBy(l, "i-1")}}}}})
	wantLaunch(t, l, "aws am spot")
	l = b.tell(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{Instances: []providers.Instance{rentedBy(l, "i-2")}}}}})
	wantLaunch(t, l, "gcp zn spot")
}

// A large array is one launch, of no more offers than a request takes.
func TestLargeLaunch(t *testing.T) {
	b, _ := openBazaar(t, 1, patient)
	for i := range 500 {
		b.fleets["aws"] = append(b.fleets["aws"], offer("c", fmt.Sprintf("t%03d", i), providers.Spot, 5))
	}
	b.spec.Tasks[0].Count = 1000
	b.state = New(b.spec)
	l := b.tell(time.Second, Facts{Tenure: true})
	if l == nil || l.Count != 1000 || len(l.Offers) != offersMost {
		t.Fatalf("launched %s, %d of %d offers", names(l), l.Count, len(l.Offers))
	}
}

// Denied and misconfigured end the run at once, with the cloud's words, the API
// call and what to do.
func TestDeniedEndsTheRun(t *testing.T) {
	for _, code := range []providers.Code{providers.CodeDenied, providers.CodeConfiguration} {
		b, l := openBazaar(t, 1, patient)
		b.tell(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Err: &providers.Error{
			Code: code, Op: "launch", Call: "ec2:CreateFleet", Message: "You are not authorized", Hint: "allow ec2:CreateFleet"}}}})
		want := "fleet aws: launch (ec2:CreateFleet): " + string(code) + ": You are not authorized (allow ec2:CreateFleet)"
		if b.state.Fault != want || b.state.Outcome != OutcomeFailed {
			t.Errorf("the run is %s for %q, want %q", b.state.Run(), b.state.Fault, want)
		}
	}
}

// A fleet that may not be listed ends a run that has rented nothing, and not one
// whose instances are at work.
func TestListingDenied(t *testing.T) {
	denied := Facts{Faults: []FleetFault{{Fleet: "gcp", Err: &providers.Error{Code: providers.CodeDenied, Op: "list", Call: "compute.instances.list", Message: "no"}}}}
	b, _ := openBazaar(t, 1, patient)
	b.state = New(b.spec)
	b.tell(time.Second, denied)
	if want := "fleet gcp: list (compute.instances.list): denied: no"; b.state.Fault != want || b.state.Outcome != OutcomeFailed {
		t.Errorf("the run is %s for %q, want %q", b.state.Run(), b.state.Fault, want)
	}
	b, l := openBazaar(t, 1, patient)
	b.tell(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{Instances: []providers.Instance{rentedBy(l, "i-1")}}}}})
	if b.tell(time.Second, denied); b.state.Fault != "" {
		t.Errorf("a run with instances failed for %q", b.state.Fault)
	}
}

// Whatever a market answers: no pool that is left alone is asked, every offer
// but the unsupported is asked again in the end, spot before on-demand and
// fleets in their order, and a launch's offers are those that Order puts first.
func TestAnyMarket(t *testing.T) {
	codes := []providers.Code{providers.CodeCapacity, providers.CodePrice, providers.CodeSubnet, providers.CodeQuota, providers.CodeUnsupported, providers.CodeThrottled}
	rapid.Check(t, func(r *rapid.T) {
		b, l := openBazaar(t, rapid.IntRange(1, 3).Draw(r, "count"), job.Retries{Attempts: 3, OnDemandAttempts: 1, CapacityWait: job.Duration(1000 * time.Hour)})
		asked := map[poolKey]Time{}
		never := map[poolKey]bool{}
		for range rapid.IntRange(1, 30).Draw(r, "launches") {
			order := b.state.Order("train", answersOf(b))
			for l == nil {
				if b.wake == 0 || b.wake > 100*time.Hour {
					break
				}
				order = nil
				l = b.tell(max(b.wake-b.now, 1), Facts{})
			}
			if l == nil {
				break // only unsupported ones are left
			}
			checkLaunch(r, b, l, order, asked, never)
			code := rapid.SampledFrom(codes).Draw(r, "code")
			blamed := slices.Clone(l.Offers)
			if rapid.Bool().Draw(r, "some") {
				blamed = blamed[:rapid.IntRange(1, len(blamed)).Draw(r, "blamed")]
			}
			for _, o := range blamed {
				never[poolKey{l.Fleet, o.Pool()}] = never[poolKey{l.Fleet, o.Pool()}] || code == providers.CodeUnsupported
			}
			l = b.tell(time.Second, fails(l, code, blamed...))
		}
		// However it went, with time every offer that is not unsupported is asked.
		clear(asked)
		for range 200 {
			if l == nil {
				l = b.tell(10*time.Minute, Facts{})
			}
			if l == nil {
				continue
			}
			for _, o := range l.Offers {
				asked[poolKey{l.Fleet, o.Pool()}] = b.now
			}
			l = b.tell(time.Second, fails(l, providers.CodeCapacity, l.Offers...))
		}
		for fleet, offers := range b.fleets {
			for _, o := range offers {
				key := poolKey{fleet, o.Pool()}
				if o.Capacity == providers.Spot && !never[key] && asked[key] == 0 {
					r.Errorf("%s was never asked again", key)
				}
			}
		}
	})
}

func answersOf(b *bazaar) []OffersAnswer {
	return []OffersAnswer{{Fleet: "aws", Offers: b.fleets["aws"]}, {Fleet: "gcp", Offers: b.fleets["gcp"]}}
}

// checkLaunch holds a launch against the rules and against Order.
func checkLaunch(r *rapid.T, b *bazaar, l *ActionLaunch, order []Candidate, asked map[poolKey]Time, never map[poolKey]bool) {
	if order == nil { // as it was when the launch was decided: without its intent
		order = b.state.Order("train", answersOf(b))
	}
	var first []providers.Offer
	fleet := ""
	for _, c := range order {
		if c.Try == 1 {
			first, fleet = append(first, c.Offer), c.Fleet
		}
	}
	if fleet != l.Fleet || !slices.Equal(first, l.Offers) {
		r.Errorf("launched %s, and Order says %s %v", names(l), fleet, first)
	}
	for i, o := range l.Offers {
		key := poolKey{l.Fleet, o.Pool()}
		if never[key] {
			r.Errorf("%s is unsupported and was asked", key)
		}
		if until := b.state.cooling(key); until != 0 {
			r.Errorf("%s is left alone until %s and was asked at %s", key, until, b.now)
		}
		if i > 0 && byPrice(l.Offers[i-1], o) > 0 {
			r.Errorf("%s stands behind a dearer one", key)
		}
		asked[key] = b.now
	}
	if l.Fleet == "gcp" || l.Offers[0].Capacity == providers.OnDemand {
		for _, o := range b.fleets["aws"] {
			if o.Capacity == providers.Spot && b.state.cooling(poolKey{"aws", o.Pool()}) == 0 {
				r.Errorf("%s was passed over", o.Pool())
			}
		}
	}
}

// An instance's longest life follows its group's timeouts, between a day and 30.
func TestMaxLife(t *testing.T) {
	day := 24 * time.Hour
	for _, test := range []struct {
		timeout         time.Duration
		count, attempts int
		want            time.Duration
	}{
		{0, 1, 1, 30 * day},
		{time.Hour, 1, 3, day},
		{10 * time.Hour, 2, 3, 60 * time.Hour},
		{time.Hour, 1 << 40, 1 << 20, 30 * day},
	} {
		spec := one(job.Retries{Attempts: test.attempts})
		spec.Timing = job.Timing{BootTimeout: job.Duration(time.Minute)}
		spec.Tasks[0].Count, spec.Tasks[0].Execution.Timeout = test.count, job.Duration(test.timeout)
		if got := MaxLife(spec, spec.Tasks[0].Name); got != test.want+time.Minute {
			t.Errorf("%+v gives %s", test, got)
		}
	}
}
