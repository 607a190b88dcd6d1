package computetest

import (
	"fmt"
	"strconv"
	"strings"
)

// ComputeService is Compute Engine's id in the billing catalogue.
const ComputeService = "services/6F81-5844-456A"

// price of a family, in millionths of a dollar for an hour: of a core, of a
// GiB of memory, on demand and as spot.
type price struct {
	family                             string // as the descriptions have it
	core, memory, spotCore, spotMemory int
}

var familyPrices = []price{
	{"E2", 21811, 2923, 6543, 877},
	{"N1 Predefined", 31611, 4237, 6655, 892},
	{"N2", 31611, 4237, 7650, 1025},
	{"C3", 33982, 4558, 8200, 1100},
	{"A2", 31611, 4237, 9483, 1271},
	{"G2", 24988, 2927, 9995, 1171},
	{"T2A Arm", 30000, 4000, 7500, 1000},
	{"C4A Arm", 37000, 4200, 14800, 1680},
}

// gpuPrices, of a card.
var gpuPrices = []struct {
	name     string
	price    int
	spot     int
	resource string
}{
	{"Nvidia Tesla T4", 350000, 140000, "T4"},
	{"Nvidia Tesla A100", 2933908, 1173563, "A100"},
	{"Nvidia L4", 560004, 223972, "L4"},
}

// places of the catalogue: a description's words and the regions they stand for.
var pricedPlaces = []struct {
	words   string
	percent int
	regions []string
}{
	{"Americas", 100, []string{"us-central1", "us-east1", "us-west1"}},
	{"Netherlands", 110, []string{"europe-west4"}},
}

func (s *Server) skus(r *request) (object, *apiError) {
	if parent := r.path["parent"]; parent != ComputeService {
		return nil, notFound(parent)
	}
	if currency := r.query.Get("currencyCode"); currency != "" && currency != "USD" {
		return nil, invalid("currencyCode", currency, "The fake has prices in USD alone.")
	}
	var all []object
	for _, place := range pricedPlaces {
		add := func(description, group, usage string, micros int) {
			all = append(all, sku(description+" running in "+place.words, group, usage, place.regions, micros*place.percent/100))
		}
		for _, p := range familyPrices {
			add(p.family+" Instance Core", "CPU", "OnDemand", p.core)
			add(p.family+" Instance Ram", "RAM", "OnDemand", p.memory)
			add("Spot Preemptible "+p.family+" Instance Core", "CPU", "Preemptible", p.spotCore)
			add("Spot Preemptible "+p.family+" Instance Ram", "RAM", "Preemptible", p.spotMemory)
			add("Commitment v1: "+p.family+" Cpu", "CPU", "Commit1Yr", p.core*6/10)
		}
		for _, g := range gpuPrices {
			add(g.name+" GPU", "GPU", "OnDemand", g.price)
			add(g.name+" GPU attached to Spot Preemptible VMs", "GPU", "Preemptible", g.spot)
		}
	}
	size, first := 5000, 0
	if text := r.query.Get("pageSize"); text != "" {
		if wanted, _ := strconv.Atoi(text); wanted > 0 {
			size = min(size, wanted)
		}
	}
	if token := r.query.Get("pageToken"); token != "" {
		var err error
		if first, err = strconv.Atoi(strings.TrimPrefix(token, tokenPrefix)); err != nil || first > len(all) {
			return nil, invalid("pageToken", token, "Not a page token of this list.")
		}
	}
	end, token := min(first+size, len(all)), ""
	if end < len(all) {
		token = tokenPrefix + strconv.Itoa(end)
	}
	return object{"skus": all[first:end], "nextPageToken": token}, nil
}

func sku(description, group, usage string, regions []string, micros int) object {
	id := strings.ToUpper(strconv.FormatUint(uint64(len(description))*2654435761, 16))
	unit, words := "h", "hour"
	if group == "RAM" {
		unit, words = "GiBy.h", "gibibyte hour"
	}
	return object{
		"name": ComputeService + "/skus/" + id, "skuId": id, "description": description,
		"category": object{
			"serviceDisplayName": "Compute Engine", "resourceFamily": "Compute",
			"resourceGroup": group, "usageType": usage,
		},
		"serviceRegions": regions, "serviceProviderName": "Google",
		"pricingInfo": []object{{
			"summary": "", "currencyConversionRate": 1, "effectiveTime": "2026-09-01T00:00:00Z",
			"pricingExpression": object{
				"usageUnit": unit, "usageUnitDescription": words, "baseUnit": "s", "baseUnitDescription": "second",
				"baseUnitConversionFactor": 3600, "displayQuantity": 1,
				"tieredRates": []object{{
					"startUsageAmount": 0,
					"unitPrice":        object{"currencyCode": "USD", "units": fmt.Sprint(micros / 1000000), "nanos": micros % 1000000 * 1000},
				}},
			},
		}},
	}
}
