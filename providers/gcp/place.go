package gcp

import (
	"context"
	"path"
	"slices"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"

	"github.com/spotrelay/spotrelay/providers"
)

// placeLife is how long a region's zones and quotas are taken as read.
const placeLife = 5 * time.Minute

// place is what a region says of itself.
type place struct {
	zones  []string           // all of them, sorted
	quotas map[string]float64 // limits by metric, as "N2_CPUS"
}

// readPlace asks for the region.
func (c *cloud) readPlace(ctx context.Context, op string) (place, error) {
	return c.place.get(ctx, "", placeLife, func(ctx context.Context) (place, error) {
		var region *computepb.Region
		err := c.ask(ctx, op, "regions.get", apiRead, func(ctx context.Context) (err error) {
			region, err = c.regions.Get(ctx, &computepb.GetRegionRequest{Project: c.key.project, Region: c.key.region}, noRetry)
			return err
		})
		if err != nil {
			return place{}, notFoundAs(err, providers.CodeConfiguration, "look at the fleet's project and region")
		}
		found := place{quotas: map[string]float64{}}
		for _, zone := range region.GetZones() {
			found.zones = append(found.zones, path.Base(zone))
		}
		slices.Sort(found.zones)
		for _, quota := range region.GetQuotas() {
			found.quotas[quota.GetMetric()] = quota.GetLimit()
		}
		return found, nil
	})
}

// rentable is the fleet's zones: those of its config that there are, else all.
func (p place) rentable(c config) []string {
	if len(c.Zones) == 0 {
		return p.zones
	}
	return slices.DeleteFunc(slices.Clone(p.zones), func(zone string) bool { return !slices.Contains(c.Zones, zone) })
}

// notFoundAs gives a 404 another code where it is about the fleet and not about
// an instance.
func notFoundAs(err error, code providers.Code, hint string) error {
	var known *providers.Error
	if providers.CodeOf(err) == providers.CodeNotFound && asProviders(err, &known) {
		other := *known
		other.Code, other.Hint = code, hint
		return &other
	}
	return err
}
