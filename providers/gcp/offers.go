package gcp

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/providers"
)

// Offers implements providers.Provider: the machine types of the fleet's zones
// that serve the need and have a price, as spot and on-demand. Prices are those
// of CPUs, memory and GPUs, without the disk, the external address and what
// local disks of a machine type cost.
func (p *Provider) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	const op = "offers"
	config, err := requireConfig(op, fleet)
	if err != nil {
		return nil, err
	}
	c, err := p.cloud(ctx, op, config)
	if err != nil {
		return nil, err
	}
	if need.Image != "" {
		if _, err := config.imageFor(op, need, orText(need.Arch, archAMD64)); err != nil {
			return nil, err
		}
	}
	region, err := c.readPlace(ctx, op)
	if err != nil {
		return nil, err
	}
	zones := region.rentable(config)
	byZone, err := c.machinesOf(ctx, op, zones)
	if err != nil {
		return nil, err
	}
	prices := p.prices(ctx, c)
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, "", err)
	}
	var offers []providers.Offer
	for _, zone := range zones {
		for _, m := range byZone[zone] {
			if !config.allows(m.base) || !config.boots(m, need) || !m.serves(need) {
				continue
			}
			for _, capacity := range []providers.CapacityType{providers.Spot, providers.OnDemand} {
				if offer, ok := offerFor(m, zone, capacity, prices, region, config, need); ok {
					offers = append(offers, offer)
				}
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, offer := range offers {
		c.known[offer.Pool()] = offer
	}
	return offers, nil
}

// machinesOf reads the machine types of zones.
func (c *cloud) machinesOf(ctx context.Context, op string, zones []string) (map[string][]machine, error) {
	var mu sync.Mutex
	byZone := map[string][]machine{}
	group, ctx := errgroup.WithContext(ctx)
	for _, zone := range zones {
		group.Go(func() error {
			machines, err := c.readMachines(ctx, op, zone)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			byZone[zone] = machines
			return nil
		})
	}
	return byZone, group.Wait()
}

// serves reports whether a machine has what a need asks for. A machine with
// GPUs serves only a need for GPUs: it would be a dear way to rent CPUs.
func (m machine) serves(need providers.Need) bool {
	if m.cpus < need.CPUs || m.memory < need.Memory || m.gpus < need.GPUs || need.Arch != "" && m.arch != need.Arch {
		return false
	}
	wanted := need.GPUs > 0 || need.GPUType != ""
	if m.gpus > 0 != wanted {
		return false
	}
	return need.GPUType == "" || gpuServes(need.GPUType, m.gpuType)
}

// boots reports whether the fleet has an image for a machine.
func (c config) boots(m machine, need providers.Need) bool {
	if need.Image != "" {
		return m.arch == orText(need.Arch, archAMD64) || aliases[need.Image].project != ""
	}
	_, ok := c.images[m.arch]
	return ok
}

// offerFor makes an offer; false when it has no price, or no quota.
func offerFor(m machine, zone string, capacity providers.CapacityType, prices priceList, region place, c config, need providers.Need) (providers.Offer, bool) {
	price, ok := prices.price(m, capacity)
	if !ok {
		return providers.Offer{}, false
	}
	limit, some := region.limit(m, capacity)
	if !some {
		return providers.Offer{}, false
	}
	offer := providers.Offer{
		Zone: zone, InstanceType: m.name, Capacity: capacity, Price: math.Round(price*1e5) / 1e5,
		CPUs: m.cpus, Memory: m.memory, GPUs: m.gpus, Arch: m.arch, OS: "linux",
		Limit: limit, FleetLimit: region.fleetLimit(c),
	}
	if m.gpus > 0 {
		offer.GPUType = shortGPU(m.gpuType)
		if need.GPUType != "" {
			offer.GPUType = need.GPUType // it serves it, by whatever name
		}
	}
	return offer, true
}

// limit is how many of a machine the region's quotas allow at once, 0 when they
// say nothing; false when they allow none. Quotas are whole limits: what others
// in the project use of them is not taken off, since it changes.
func (p place) limit(m machine, capacity providers.CapacityType) (int, bool) {
	least := math.Inf(1)
	for metric, each := range p.takes(m, capacity) {
		least = min(least, math.Floor(p.quotas[metric]/each))
	}
	switch {
	case math.IsInf(least, 1):
		return 0, true
	case least < 1:
		return 0, false
	}
	return int(min(least, 1e6)), true
}

// takes is what one machine takes of each quota that the region has, by metric.
func (p place) takes(m machine, capacity providers.CapacityType) map[string]float64 {
	taken := map[string]float64{}
	take := func(metric string, each float64) {
		if _, ok := p.quotas[metric]; ok && each > 0 {
			taken[metric] = each
		}
	}
	cores := cpuMetric(m.family)
	if capacity == providers.Spot && p.quotas["PREEMPTIBLE_CPUS"] > 0 {
		cores = "PREEMPTIBLE_CPUS" // without one, spot instances use the others
	}
	take(cores, math.Ceil(m.cpus))
	if m.gpus > 0 {
		metric := gpuMetric(m.gpuType)
		if _, ok := p.quotas["PREEMPTIBLE_"+metric]; ok && capacity == providers.Spot {
			metric = "PREEMPTIBLE_" + metric
		}
		take(metric, float64(m.gpus))
	}
	return taken
}

// sharedQuota are the families whose CPUs count towards CPUS
// (https://cloud.google.com/compute/resource-usage#cpu_quota).
var sharedQuota = []string{"e2", "n1"}

func cpuMetric(family string) string {
	if slices.Contains(sharedQuota, family) {
		return "CPUS"
	}
	return strings.ToUpper(family) + "_CPUS"
}

// gpuMetric of nvidia-tesla-t4 is NVIDIA_T4_GPUS.
func gpuMetric(kind string) string {
	kind = strings.ToUpper(strings.ReplaceAll(strings.Replace(kind, "-tesla", "", 1), "-", "_"))
	if kind == "NVIDIA_H100_80GB" {
		kind = "NVIDIA_H100"
	}
	return kind + "_GPUS"
}

// fleetLimit is how many instances of all kinds the region's quotas allow.
func (p place) fleetLimit(c config) int {
	limit := p.quotas["INSTANCES"]
	if addresses, ok := p.quotas["IN_USE_ADDRESSES"]; ok && c.externalIP && (limit == 0 || addresses < limit) {
		limit = addresses
	}
	return int(min(limit, 1e6))
}

// machineByName finds the machine of an instance type.
func machineByName(machines []machine, name string) (machine, bool) {
	i := slices.IndexFunc(machines, func(m machine) bool { return m.name == name })
	if i < 0 {
		return machine{}, false
	}
	return machines[i], true
}
