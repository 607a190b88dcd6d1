package providertest

import (
	"cmp"

	"github.com/spotrelay/spotrelay/providers"
)

// mostScarce is the largest pool that the suite fills.
const mostScarce = 32

// partial: a pool with too little room gives what it has, and says why it is
// not more. As an error, what was rented would be swept and the pool blamed for
// all of it.
func (s *suite) partial(t node) {
	request := s.request(t, providers.Spot, 1)
	offer := request.Offers[0]
	room := s.room(t, offer)
	if room == 0 {
		t.Skipf("no Limit of 1 to %d is known of the pool %+v, and there is no Options.Scarce", mostScarce, offer.Pool())
	}
	request.Offers, request.Count = []providers.Offer{offer}, room+1
	result, err := s.launch(t.Context(), request)
	if err != nil {
		t.Errorf("Launch of %d where there is room for %d: %v; fewer than asked for is a success with Failures", request.Count, room, err)
		return
	}
	checkInstances(t, request, result)
	if got := len(result.Instances); got == 0 || got > room {
		t.Errorf("Launch of %d where there is room for %d gave %d", request.Count, room, got)
	}
	for _, failure := range result.Failures {
		if failure.Code == "" || failure.Message == "" {
			t.Errorf("a failure without code or message: %+v", failure)
		}
	}
	ids := idsOf(result.Instances)
	must(t, "Terminate", s.provider.Terminate(t.Context(), s.Fleet, ids))
	s.wantEnded(t, ids)
}

// room is how many instances the offer's pool holds, 0 if that is too many or
// not known.
func (s *suite) room(t T, offer providers.Offer) int {
	if s.Scarce != nil {
		return s.Scarce(t, offer)
	}
	room := cmp.Or(offer.Limit, offer.FleetLimit)
	if offer.FleetLimit > 0 {
		room = min(room, offer.FleetLimit)
	}
	if room > mostScarce {
		return 0
	}
	return room
}
