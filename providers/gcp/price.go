package gcp

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// priceLife is how long prices are taken as read: Compute changes those of spot
// instances once in a while, at most once a day.
const priceLife = 24 * time.Hour

// rates are dollars an hour; 0: not to be had that way.
type rates struct {
	OnDemand float64 `json:"on_demand,omitempty"`
	Spot     float64 `json:"spot,omitempty"`
}

func (r rates) of(capacity providers.CapacityType) float64 {
	if capacity == providers.Spot {
		return r.Spot
	}
	return r.OnDemand
}

// priceList is what the parts of a machine cost in a region: a CPU and a GiB of
// memory by family ("n2"), a GPU by its short name ("t4").
type priceList struct {
	Read   time.Time        `json:"read"`
	Core   map[string]rates `json:"core"`
	Memory map[string]rates `json:"memory"`
	GPU    map[string]rates `json:"gpu"`
	// builtIn: it was not read, it is the table of this program.
	builtIn bool
}

func newPriceList() priceList {
	return priceList{Core: map[string]rates{}, Memory: map[string]rates{}, GPU: map[string]rates{}}
}

// price of a machine, in dollars an hour without its disk; false when a part of
// it has none.
func (l priceList) price(m machine, capacity providers.CapacityType) (float64, bool) {
	core, memory := l.Core[m.family].of(capacity), l.Memory[m.family].of(capacity)
	if core == 0 || memory == 0 {
		return 0, false
	}
	sum := m.cpus*core + float64(m.memory)/gib*memory
	if m.gpus > 0 {
		gpu := l.GPU[shortGPU(m.gpuType)].of(capacity)
		if gpu == 0 {
			return 0, false
		}
		sum += float64(m.gpus) * gpu
	}
	return sum, true
}

// prices of a region: from memory, from the disk, from the billing catalogue,
// and where that cannot be read, from an old file or the table built in.
func (p *Provider) prices(ctx context.Context, c *cloud) priceList {
	p.mu.Lock()
	known, ok := p.catalog[c.key.region]
	p.mu.Unlock()
	fresh := func(l priceList) bool { return time.Since(l.Read) < priceLife && time.Since(l.Read) >= 0 }
	if ok && fresh(known) {
		return known
	}
	file := p.priceFile(c.key)
	stored, onDisk := readPrices(file)
	if onDisk && fresh(stored) {
		return p.keepPrices(c.key.region, stored)
	}
	list, err := c.readCatalogue(ctx)
	switch {
	case err == nil && len(list.Core) > 0:
		list.Read = time.Now()
		writePrices(file, list)
	case onDisk:
		list = stored
		list.Read = time.Now().Add(retryPrices - priceLife)
	default:
		list = builtInPrices()
		list.Read = time.Now().Add(retryPrices - priceLife)
	}
	if ctx.Err() != nil {
		return list // nothing is learnt from a call that was given up
	}
	return p.keepPrices(c.key.region, list)
}

// retryPrices is when the catalogue is asked again after it gave none.
const retryPrices = time.Hour

func (p *Provider) keepPrices(region string, list priceList) priceList {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catalog[region] = list
	return list
}

// priceFile is where a region's prices are kept; "" where nothing is. Those of
// another billing endpoint are not mixed with Google's.
func (p *Provider) priceFile(key cloudKey) string {
	if p.options.CacheDir == "" || key.endpoint != "" || key.billing != "" {
		return ""
	}
	return filepath.Join(p.options.CacheDir, "prices-"+key.region+".json")
}

// readPrices reads a file of prices; one that cannot be read is as none.
func readPrices(file string) (priceList, bool) {
	var list priceList
	data, err := os.ReadFile(file)
	if file == "" || err != nil || json.Unmarshal(data, &list) != nil {
		return priceList{}, false
	}
	return list, len(list.Core) > 0
}

// writePrices keeps prices for later processes. It is a help and no duty, so
// its errors are not told.
func writePrices(file string, list priceList) {
	if file == "" || os.MkdirAll(filepath.Dir(file), 0o755) != nil {
		return
	}
	data, err := json.Marshal(list)
	if err != nil {
		return
	}
	part, err := os.CreateTemp(filepath.Dir(file), ".prices-*")
	if err != nil {
		return
	}
	_, err = part.Write(data)
	if part.Close() != nil || err != nil || os.Rename(part.Name(), file) != nil {
		os.Remove(part.Name())
	}
}

// pricesOn is the date of the table built in.
const pricesOn = "2025-06"

// builtInPrices are the list prices of us-central1 of that date, rounded, for
// accounts that cannot read the catalogue. Those of spot instances move, and
// other regions cost up to half as much again: they put offers in order, and are
// no bill.
func builtInPrices() priceList {
	list := newPriceList()
	list.builtIn = true
	for line := range strings.Lines(priceTable) {
		fields := strings.Fields(line)
		if len(fields) != 5 {
			continue
		}
		n := numbers(fields[1:])
		list.Core[fields[0]] = rates{OnDemand: n[0], Spot: n[1]}
		list.Memory[fields[0]] = rates{OnDemand: n[2], Spot: n[3]}
	}
	for line := range strings.Lines(gpuTable) {
		if fields := strings.Fields(line); len(fields) == 3 {
			n := numbers(fields[1:])
			list.GPU[fields[0]] = rates{OnDemand: n[0], Spot: n[1]}
		}
	}
	return list
}
