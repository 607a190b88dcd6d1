package providertest

import (
	"slices"
	"strings"
	"sync"

	"github.com/spotrelay/spotrelay/providers"
)

// badRequests: what cannot be meant is refused and rents nothing.
func (s *suite) badRequests(t node) {
	defer s.rentsNothing(t, "Launch with a bad request")()
	cases := map[string]func(*providers.LaunchRequest){
		"count-0":        func(r *providers.LaunchRequest) { r.Count = 0 },
		"count-negative": func(r *providers.LaunchRequest) { r.Count = -1 },
		"no-offers":      func(r *providers.LaunchRequest) { r.Offers = nil },
		"no-token":       func(r *providers.LaunchRequest) { r.Token = "" },
		"long-token":     func(r *providers.LaunchRequest) { r.Token = strings.Repeat("a", 65) },
		"odd-token":      func(r *providers.LaunchRequest) { r.Token = "a b/../c" },
	}
	if s.description.Has(providers.CapabilityOnDemand) {
		cases["mixed-capacity"] = func(r *providers.LaunchRequest) {
			other := r.Offers[0]
			other.Capacity = providers.OnDemand
			r.Offers = append(r.Offers, other)
		}
	}
	for _, name := range sortedKeys(cases) {
		t.run(name, func(t node) {
			request := s.request(t, providers.Spot, 1)
			cases[name](&request)
			result, err := s.launch(t.Context(), request)
			wantCode(t, "Launch", err, providers.CodeConfiguration)
			if len(result.Instances) > 0 {
				t.Errorf("instances were rented: %+v", result.Instances)
			}
		})
	}
}

// unknownPool: a pool that there is not gives nothing, and says why.
func (s *suite) unknownPool(t node) {
	request := s.request(t, providers.Spot, 1)
	offer := request.Offers[0]
	offer.InstanceType = "no-such-type-anywhere"
	request.Offers = []providers.Offer{offer}
	result, err := s.launch(t.Context(), request)
	if err != nil {
		wantCode(t, "Launch", err, providers.CodeUnsupported, providers.CodeConfiguration)
		return
	}
	if len(result.Instances) > 0 {
		t.Errorf("instances of a type that does not exist: %+v", result.Instances)
	}
	if len(result.Failures) == 0 {
		t.Errorf("no instance, no error and no failure that says why")
	}
	for _, failure := range result.Failures {
		if failure.Code == "" || failure.Message == "" {
			t.Errorf("a failure without code or message: %+v", failure)
		}
	}
}

// checkInstances: what was launched is what was asked for.
func checkInstances(t T, request providers.LaunchRequest, result providers.LaunchResult) {
	t.Helper()
	if len(result.Instances) > request.Count {
		t.Errorf("%d instances were asked for, %d rented", request.Count, len(result.Instances))
	}
	if len(result.Instances) < request.Count && len(result.Failures) == 0 {
		t.Errorf("%d of %d instances and no failure that says why", len(result.Instances), request.Count)
	}
	seen := map[string]bool{}
	for _, instance := range result.Instances {
		checkInstance(t, instance, request.Tags)
		if seen[instance.ID] {
			t.Errorf("the id %q is there twice", instance.ID)
		}
		seen[instance.ID] = true
		asked := slices.ContainsFunc(request.Offers, func(o providers.Offer) bool { return o.Pool() == instance.Offer.Pool() })
		if !asked {
			t.Errorf("%s is of a pool that was not asked for: %+v", instance.ID, instance.Offer.Pool())
		}
	}
}

func checkInstance(t T, instance providers.Instance, tags map[string]string) {
	t.Helper()
	if instance.ID == "" {
		t.Errorf("an instance without id: %+v", instance)
	}
	for key, value := range tags {
		if instance.Tags[key] != value {
			t.Errorf("%s: tag %s is %q; want %q", instance.ID, key, instance.Tags[key], value)
		}
	}
	switch instance.State {
	case providers.StatePending, providers.StateRunning, providers.StateStopping, providers.StateStopped, providers.StateTerminated:
	default:
		t.Errorf("%s is in state %q, which is none", instance.ID, instance.State)
	}
	if instance.Launched.IsZero() {
		t.Errorf("%s: Launched is not set", instance.ID)
	}
}

// parallel: launches at the same time don't mix up.
func (s *suite) parallel(t node) {
	requests := make([]providers.LaunchRequest, s.Parallel)
	for i := range requests {
		requests[i] = s.request(t, providers.Spot, 1)
	}
	results, errs := make([]providers.LaunchResult, s.Parallel), make([]error, s.Parallel)
	var all sync.WaitGroup
	for i, request := range requests {
		all.Go(func() { results[i], errs[i] = s.launch(t.Context(), request) })
	}
	all.Wait()
	owner, ids := map[string]int{}, []string{}
	for i, result := range results {
		must(t, "Launch", errs[i])
		checkInstances(t, requests[i], result)
		for _, instance := range result.Instances {
			if other, taken := owner[instance.ID]; taken {
				t.Errorf("launches %d and %d were both given %s", other, i, instance.ID)
			}
			owner[instance.ID] = i
			ids = append(ids, instance.ID)
		}
	}
	if len(ids) == 0 {
		t.Errorf("%d launches and not one instance: %+v", s.Parallel, results[0].Failures)
	}
	s.wantListed(t, map[string]string{providers.TagRun: s.run}, ids)
	must(t, "Terminate", s.provider.Terminate(t.Context(), s.Fleet, ids))
	s.wantEnded(t, ids)
}
