package providertest

import (
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// wantListed wants to see ids in a listing as soon as ListLag is over, and
// nothing that lacks one of the tags. A slow machine only gives the provider
// more time: what counts is when a listing was asked for.
func (s *suite) wantListed(t T, tags map[string]string, ids []string) {
	t.Helper()
	var overdue []string
	listed := s.eventually(t.Context(), func() bool {
		asked := time.Now()
		listed, err := s.provider.List(t.Context(), s.Fleet, tags)
		must(t, "List", err)
		s.checkListed(t, listed, tags)
		have := idsOf(listed)
		missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(have, id) })
		overdue = slices.DeleteFunc(slices.Clone(missing), func(id string) bool {
			return asked.Sub(s.rental(id).at) < s.description.ListLag
		})
		return len(missing) == 0 || len(overdue) > 0
	})
	switch {
	case len(overdue) > 0:
		t.Errorf("List with %v lacks %q, longer than ListLag (%s) after Launch returned them: are the tags there from the creation on, and all pages read?",
			tags, overdue, s.description.ListLag)
	case !listed:
		t.Errorf("List with %v never gave all of %q", tags, ids)
	}
}

// checkListed: each entry bears the tags and is what was launched.
func (s *suite) checkListed(t T, listed []providers.Instance, tags map[string]string) {
	t.Helper()
	seen := map[string]bool{}
	for _, instance := range listed {
		checkInstance(t, instance, tags)
		if seen[instance.ID] {
			t.Errorf("List gives %s twice", instance.ID)
		}
		seen[instance.ID] = true
		launched := s.rental(instance.ID)
		if got := instance.Offer.Pool(); !launched.at.IsZero() && got != launched.pool {
			t.Errorf("List says that %s is of the pool %+v, Launch said %+v", instance.ID, got, launched.pool)
		}
	}
}

// rental is what Launch said of an instance, the zero value if it never did.
func (s *suite) rental(id string) rental {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rented[id]
}

// pages: a listing is whole, however many pages the cloud cuts it into.
func (s *suite) pages(t node) {
	if s.Page == 0 {
		t.Skipf("Options.Page does not say how many instances one page of the listing holds")
	}
	request := s.request(t, providers.Spot, s.Page+1)
	ids := idsOf(s.mustLaunch(t, request))
	s.wantListed(t, request.Tags, ids)
	must(t, "Terminate", s.provider.Terminate(t.Context(), s.Fleet, ids))
	s.wantEnded(t, ids)
}

// rentsNothing notes what lives; the function that it returns complains about
// what has come since. Where List does not work, that is for other cases to say.
func (s *suite) rentsNothing(t T, what string) (done func()) {
	t.Helper()
	before, known := s.living(t)
	return func() {
		if !known || t.Failed() {
			return // it has said why; what is there is ended at the end
		}
		now, _ := s.living(t)
		for _, id := range now {
			if !slices.Contains(before, id) {
				t.Errorf("%s must rent nothing, and the instance %s has come meanwhile", what, id)
			}
		}
	}
}

// living are the instances that live in the fleet, leaving out those of other
// runs where that can be told, and whether they could be had.
func (s *suite) living(t T) (ids []string, known bool) {
	t.Helper()
	if s.Living != nil {
		return s.Living(t), true
	}
	listed, err := s.provider.List(t.Context(), s.Fleet, nil)
	if err != nil {
		t.Logf("what lives cannot be told: List without tags: %v", err)
		return nil, false
	}
	listed = slices.DeleteFunc(listed, func(i providers.Instance) bool {
		run := i.Tags[providers.TagRun]
		return i.State == providers.StateTerminated || (run != "" && run != s.run)
	})
	return idsOf(listed), true
}
