//go:build linux || darwin

package local

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	smallType = "local.small"
	largeType = "local.large"

	// smallMemory is what a small instance has at least, if the machine does.
	smallMemory = 2 << 30
	// oversubscription of the machine's CPUs by the large type.
	oversubscription = 2
)

// Offers implements providers.Provider. An image is not looked at: the
// instance has this machine's files.
func (p *Provider) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	if err := p.ready(ctx, "offers"); err != nil {
		return nil, err
	}
	c, err := requireConfig("offers", fleet)
	if err != nil {
		return nil, err
	}
	if need.Disk > 0 && need.Disk > freeDisk(string(p.state)) {
		return nil, nil
	}
	var offers []providers.Offer
	for _, offer := range c.offers() {
		if serves(offer, need) {
			offers = append(offers, offer)
		}
	}
	return offers, nil
}

// serves reports whether an offer has what is needed.
func serves(offer providers.Offer, need providers.Need) bool {
	return offer.CPUs >= need.CPUs && offer.Memory >= need.Memory && offer.GPUs >= need.GPUs &&
		(need.GPUType == "" || need.GPUs == 0 || need.GPUType == offer.GPUType) &&
		(need.Arch == "" || need.Arch == offer.Arch)
}

// offers are all that the fleet has.
func (c config) offers() []providers.Offer {
	types := c.types
	if len(types) == 0 {
		types = c.defaultTypes()
	}
	var offers []providers.Offer
	for _, t := range types {
		for _, zone := range c.zones {
			if t.zone != "" && t.zone != zone {
				continue
			}
			for _, capacity := range []providers.CapacityType{providers.Spot, providers.OnDemand} {
				offer := providers.Offer{
					Zone: zone, InstanceType: t.name, Capacity: capacity, Price: t.prices[capacity],
					CPUs: t.cpus, Memory: t.memory, GPUs: t.gpus, GPUType: t.gpuType,
					Arch: runtime.GOARCH, OS: runtime.GOOS, Limit: c.most(), FleetLimit: c.most(),
				}
				if offer.Memory == 0 {
					offer.Memory = quarterMemory()
				}
				if t.limit > 0 {
					offer.Limit = min(t.limit, offer.Limit)
				}
				offers = append(offers, offer)
			}
		}
	}
	return offers
}

// defaultTypes are the instance types of this machine.
func (c config) defaultTypes() []instanceType {
	of := func(name string, cpus int, memory int64) instanceType {
		return instanceType{
			name: name, cpus: float64(cpus), memory: memory,
			prices: map[providers.CapacityType]float64{
				providers.Spot:     c.prices[providers.Spot] * float64(cpus),
				providers.OnDemand: c.prices[providers.OnDemand] * float64(cpus),
			},
		}
	}
	return []instanceType{
		of(smallType, 1, quarterMemory()),
		of(largeType, oversubscription*runtime.NumCPU(), machineMemory()),
	}
}

// most is how many instances may live at once.
func (c config) most() int {
	if c.maxInstances > 0 {
		return c.maxInstances
	}
	return max(runtime.NumCPU(), 2)
}

func quarterMemory() int64 {
	return min(max(machineMemory()/4, smallMemory), machineMemory())
}

// freeDisk is what a user may still write below dir, or below the nearest
// folder above it that exists.
func freeDisk(dir string) int64 {
	for {
		var fs unix.Statfs_t
		err := unix.Statfs(dir, &fs)
		if err == nil {
			return int64(fs.Bavail) * int64(fs.Bsize)
		}
		if parent := filepath.Dir(dir); os.IsNotExist(err) && parent != dir {
			dir = parent
			continue
		}
		return 0
	}
}
