package providertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// Options says what is tested and where. New and Fleet must be set.
type Options struct {
	// New makes the provider, once for the whole suite.
	New func(T) providers.Provider
	// Restart, if set, makes the provider anew over the same cloud, as after a
	// crash of its process: what the former one rented must still be known.
	Restart func(T) providers.Provider
	// Fleet has a config that Check finds nothing wrong with.
	Fleet providers.Fleet
	// Need that at least one spot offer serves; zero is fine.
	Need providers.Need
	// Bootstrap for the instances; its Run and Fleet are filled in.
	Bootstrap providers.Bootstrap
	// Foreign, if set, makes an instance in the fleet that does not bear our
	// tags, and ends it at cleanup. It returns its id.
	Foreign func(T) string
	// Offline, if set, makes the provider where there are neither a network nor
	// credentials: it must describe itself all the same.
	Offline func(T) providers.Provider
	// Living, if set, gives the ids of the instances that live in the fleet's
	// cloud, whatever their tags, as the cloud itself has them. Without it the
	// suite asks List, which does not show what lacks our tags.
	Living func(T) []string
	// Scarce, if set, leaves an offer's pool with room for so many instances
	// (1 to 32, returned) until the case ends. Without it a pool is used whose
	// Limit or FleetLimit is in that range.
	Scarce func(T, providers.Offer) int
	// Page is how many instances a page of the cloud's listing holds; so many
	// and one more are rented. 0: no listing beyond Parallel is tried.
	Page int
	// Parallel (10) launches are made at the same time, of one instance each.
	Parallel int
	// Notice (1 s) that a preempted instance gets.
	Notice time.Duration
	// Wait (3 min) bounds everything that comes about by itself: an end, an
	// instance's appearance in a listing beyond ListLag.
	Wait time.Duration
}

func (o Options) withDefaults() Options {
	o.Parallel = cmp.Or(o.Parallel, 10)
	o.Notice = cmp.Or(o.Notice, time.Second)
	o.Wait = cmp.Or(o.Wait, 3*time.Minute)
	return o
}

// Run runs the suite below a test.
func Run[X Runner[X]](t X, o Options) {
	t.Helper()
	runSuite(runnerNode[X]{t, t}, o.withDefaults())
}

// Check runs the suite without go test. report is called after each case, the
// inner ones first. It reports whether all of them passed.
func Check(ctx context.Context, o Options, report func(Result)) bool {
	root := &plainNode{report: report}
	root.execute(ctx, func(n node) { runSuite(n, o.withDefaults()) })
	if root.Failed() && len(root.log) > 0 { // outside of every case
		report(Result{Name: "suite", Outcome: Failed, Log: root.log})
	}
	return !root.Failed()
}

// suite is the provider under test with what was rented from it.
type suite struct {
	Options
	provider    providers.Provider
	description providers.Description
	run         string // the value of TagRun, of this suite alone
	bucket      string // the value of TagBucket

	mu     sync.Mutex
	rented map[string]rental
}

// rental is what Launch said of an instance.
type rental struct {
	pool providers.Pool
	at   time.Time // when Launch had returned it for the first time
}

func runSuite(n node, o Options) {
	s := &suite{
		Options: o, provider: o.New(n),
		run:    "conformance-" + strings.ToLower(rand.Text()[:12]),
		bucket: "conformance-" + strings.ToLower(rand.Text()[:12]),
		rented: map[string]rental{},
	}
	s.Bootstrap.Run, s.Bootstrap.Fleet = s.run, s.Fleet.Name
	n.Cleanup(func() { s.endAll(n) })
	if !n.run("describe", s.describe) {
		n.Errorf("nothing else is tried before Describe is right")
		n.FailNow()
	}
	n.run("check", s.check)
	if !n.run("offers", s.offers) {
		n.Errorf("nothing is rented before Offers is right")
		n.FailNow()
	}
	n.run("bad-requests", s.badRequests)
	n.run("unknown-pool", s.unknownPool)
	n.run("lifecycle", s.lifecycle)
	n.run("foreign", s.foreign)
	n.run("parallel", s.parallel)
	n.run("pages", s.pages)
	n.run("partial", s.partial)
	n.run("cancelled", s.cancelled)
	n.run("preempt", s.preempt)
}

// endAll ends what the suite rented, by id and by tag, and complains about what
// does not end.
func (s *suite) endAll(t T) {
	ctx, cancel := context.WithTimeout(context.Background(), s.Wait)
	defer cancel()
	s.mu.Lock()
	ids := slices.Sorted(maps.Keys(s.rented))
	s.mu.Unlock()
	listed, err := s.provider.List(ctx, s.Fleet, map[string]string{providers.TagRun: s.run})
	if err != nil {
		t.Errorf("cleanup: List: %v", err)
	}
	for _, instance := range listed {
		ids = append(ids, instance.ID)
	}
	if len(ids) == 0 {
		return
	}
	if err := s.provider.Terminate(ctx, s.Fleet, ids); err != nil {
		t.Errorf("cleanup: Terminate(%q): %v; LOOK FOR THEM BY HAND", ids, err)
		return
	}
	if !s.eventually(ctx, func() bool { return s.ended(ctx, t) }) {
		t.Errorf("cleanup: some of %q have not ended within %s; LOOK FOR THEM BY HAND", ids, s.Wait)
	}
}

// ended reports whether no instance of the suite lives.
func (s *suite) ended(ctx context.Context, t T) bool {
	listed, err := s.provider.List(ctx, s.Fleet, map[string]string{providers.TagRun: s.run})
	if err != nil {
		t.Logf("List: %v", err)
		return false
	}
	for _, instance := range listed {
		if instance.State != providers.StateTerminated {
			return false
		}
	}
	return true
}

// eventually asks until ask is true, at the provider's pace; false when ctx
// ends or s.Wait is over.
func (s *suite) eventually(ctx context.Context, ask func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, s.Wait+s.description.ListLag)
	defer cancel()
	ticker := time.NewTicker(max(s.description.Pace, 20*time.Millisecond))
	defer ticker.Stop()
	for {
		if ask() {
			return true
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
}

// request asks for count instances in the cheapest offers of a capacity type.
func (s *suite) request(t T, capacity providers.CapacityType, count int) providers.LaunchRequest {
	t.Helper()
	offers, err := s.provider.Offers(t.Context(), s.Fleet, s.Need)
	must(t, "Offers", err)
	token := strings.ToLower(rand.Text())
	request := providers.LaunchRequest{
		Token: token, Count: count, Need: s.Need,
		Offers: cheapest(offers, capacity, 3),
		Tags: map[string]string{
			providers.TagBucket: s.bucket,
			providers.TagRun:    s.run,
			providers.TagFleet:  s.Fleet.Name,
			providers.TagIntent: token,
		},
		Bootstrap: s.Bootstrap,
		MaxLife:   time.Hour,
	}
	if len(request.Offers) == 0 {
		t.Errorf("no %s offer", capacity)
		t.FailNow()
	}
	return request
}

// launch launches and remembers what is to be ended.
func (s *suite) launch(ctx context.Context, request providers.LaunchRequest) (providers.LaunchResult, error) {
	request.Tags = maps.Clone(request.Tags) // what a provider does to them must show
	result, err := s.provider.Launch(ctx, s.Fleet, request)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, instance := range result.Instances {
		if _, known := s.rented[instance.ID]; !known {
			s.rented[instance.ID] = rental{instance.Offer.Pool(), time.Now()}
		}
	}
	return result, err
}

// mustLaunch launches, checks the answer and wants all that it asked for.
func (s *suite) mustLaunch(t T, request providers.LaunchRequest) []providers.Instance {
	t.Helper()
	result, err := s.launch(t.Context(), request)
	must(t, "Launch", err)
	checkInstances(t, request, result)
	if len(result.Instances) < request.Count {
		t.Errorf("only %d of %d instances: %v; the suite needs a fleet with capacity",
			len(result.Instances), request.Count, result.Failures)
		t.FailNow()
	}
	return result.Instances
}

// must stops the case at an error.
func must(t T, call string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", call, err)
		t.FailNow()
	}
}

// wantCode wants an error that is a *providers.Error with one of the codes.
func wantCode(t T, call string, err error, codes ...providers.Code) {
	t.Helper()
	var e *providers.Error
	if err == nil || !errors.As(err, &e) {
		t.Errorf("%s: the error is %v (%T); want a *providers.Error with code %v", call, err, err, codes)
		return
	}
	for _, code := range codes {
		if e.Code == code {
			return
		}
	}
	t.Errorf("%s: code %q; want %v: %v", call, e.Code, codes, err)
}
