package providertest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/providers"
)

// check: the fleet under test is fine, and an attribute that no schema has is
// not overlooked.
func (s *suite) check(t node) {
	defer s.rentsNothing(t, "Check")()
	faults, err := s.provider.Check(t.Context(), s.Fleet)
	must(t, "Check", err)
	for _, fault := range faults {
		checkFault(t, fault)
		if fault.Severity == providers.SeverityError {
			t.Errorf("Check finds a fault in the fleet under test: %s %s", fault.Summary, fault.Detail)
		}
	}
	broken := providers.Fleet{Name: s.Fleet.Name, Config: withUnknown(t, s.Fleet.Config)}
	faults, err = s.provider.Check(t.Context(), broken)
	if err != nil {
		wantCode(t, "Check of an unknown attribute", err, providers.CodeConfiguration)
		return
	}
	wrong := false
	for _, fault := range faults {
		checkFault(t, fault)
		wrong = wrong || fault.Severity == providers.SeverityError
	}
	if !wrong {
		t.Errorf("Check finds nothing wrong with the unknown attribute %q", unknownAttribute)
	}
}

const unknownAttribute = "no_such_attribute_anywhere"

func withUnknown(t T, config json.RawMessage) json.RawMessage {
	t.Helper()
	fields := map[string]json.RawMessage{}
	if len(config) > 0 {
		must(t, "Options.Fleet.Config", json.Unmarshal(config, &fields))
	}
	fields[unknownAttribute] = json.RawMessage("true")
	data, err := json.Marshal(fields)
	must(t, "Options.Fleet.Config", err)
	return data
}

func checkFault(t T, fault providers.Fault) {
	t.Helper()
	if fault.Severity != providers.SeverityError && fault.Severity != providers.SeverityWarning {
		t.Errorf("a fault has severity %q: %+v", fault.Severity, fault)
	}
	if fault.Summary == "" {
		t.Errorf("a fault has no summary: %+v", fault)
	}
}

// offers: each serves the need and has its price; none is there twice.
func (s *suite) offers(t node) {
	defer s.rentsNothing(t, "Offers")()
	offers, err := s.provider.Offers(t.Context(), s.Fleet, s.Need)
	must(t, "Offers", err)
	pools, count := map[providers.Pool]bool{}, map[providers.CapacityType]int{}
	for _, offer := range offers {
		checkOffer(t, offer, s.Need)
		if pools[offer.Pool()] {
			t.Errorf("the pool %+v is offered twice", offer.Pool())
		}
		pools[offer.Pool()] = true
		count[offer.Capacity]++
	}
	if count[providers.Spot] == 0 {
		t.Errorf("no spot offer serves the need %+v", s.Need)
	}
	if claimed := s.description.Has(providers.CapabilityOnDemand); claimed != (count[providers.OnDemand] > 0) {
		t.Errorf("capability %q is claimed: %v; on-demand offers: %d", providers.CapabilityOnDemand, claimed, count[providers.OnDemand])
	}
	impossible := s.Need
	impossible.CPUs, impossible.GPUs, impossible.GPUType = 1e6, 1e6, "no-such-gpu"
	offers, err = s.provider.Offers(t.Context(), s.Fleet, impossible)
	must(t, "Offers for an impossible need", err)
	if len(offers) > 0 {
		t.Errorf("an offer for a million CPUs and GPUs: %+v", offers[0])
	}
}

func checkOffer(t T, offer providers.Offer, need providers.Need) {
	t.Helper()
	if offer.Zone == "" || offer.InstanceType == "" {
		t.Errorf("an offer without zone or instance type: %+v", offer)
	}
	if offer.Capacity != providers.Spot && offer.Capacity != providers.OnDemand {
		t.Errorf("an offer's capacity type is %q: %+v", offer.Capacity, offer)
	}
	if !(offer.Price > 0) || offer.Price > 1e6 {
		t.Errorf("an offer's price is %v dollars an hour: %+v", offer.Price, offer)
	}
	if offer.Arch == "" || offer.OS == "" {
		t.Errorf("an offer without arch or OS: %+v", offer)
	}
	if !serves(offer, need) {
		t.Errorf("an offer does not serve the need %+v: %+v", need, offer)
	}
}

func serves(offer providers.Offer, need providers.Need) bool {
	return offer.CPUs >= need.CPUs && offer.Memory >= need.Memory && offer.GPUs >= need.GPUs &&
		(need.GPUType == "" || strings.EqualFold(need.GPUType, offer.GPUType)) &&
		(need.Arch == "" || need.Arch == offer.Arch)
}

// cheapest is at most n offers of a capacity type, the cheapest first.
func cheapest(offers []providers.Offer, capacity providers.CapacityType, n int) []providers.Offer {
	offers = slices.Clone(offers)
	offers = slices.DeleteFunc(offers, func(o providers.Offer) bool { return o.Capacity != capacity })
	slices.SortStableFunc(offers, func(a, b providers.Offer) int {
		switch {
		case a.Price < b.Price:
			return -1
		case a.Price > b.Price:
			return 1
		}
		return 0
	})
	return offers[:min(n, len(offers))]
}
