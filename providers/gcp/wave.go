package gcp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/providers"
)

// rental is an offer with its machine.
type rental struct {
	offer   providers.Offer
	machine machine
}

// wave is what one bulk insert asks for: each of its types in each of its
// zones. The offers are in order of preference.
type wave struct {
	rentals []rental
	types   []string // Compute's machine types, the preferred first
	zones   []string
	arch    string
	disk    string // disk type
	gpus    int    // attached
	gpuType string
}

// typesInWave bounds the machine types of one bulk insert. Compute's bound is
// not written down; managed groups, which have the same policy, take this many.
const typesInWave = 25

// wavesOf puts offers together such that no wave can give a pool that was not
// offered: a wave is a product of types and zones, so its types are those that
// are offered in the same zones. They also share what is no part of a type:
// architecture, kind of disk, attached accelerators. The wave with the most
// preferred offer comes first.
func wavesOf(rentals []rental, c config) []wave {
	type kind struct {
		arch, disk, gpuType, zones string
		gpus                       int
	}
	zonesOf := map[string][]string{}
	for _, r := range rentals {
		zones := zonesOf[r.machine.name]
		if !slices.Contains(zones, r.offer.Zone) {
			zonesOf[r.machine.name] = append(zones, r.offer.Zone)
		}
	}
	var waves []wave
	open := map[kind]int{}
	for _, r := range rentals {
		zones := slices.Sorted(slices.Values(zonesOf[r.machine.name]))
		k := kind{arch: r.machine.arch, disk: c.diskFor(r.machine), zones: strings.Join(zones, " ")}
		if r.machine.attached {
			k.gpus, k.gpuType = r.machine.gpus, r.machine.gpuType
		}
		at, ok := open[k]
		if !ok || len(waves[at].types) >= typesInWave && !slices.Contains(waves[at].types, r.machine.base) {
			at = len(waves)
			open[k] = at
			waves = append(waves, wave{zones: zones, arch: k.arch, disk: k.disk, gpus: k.gpus, gpuType: k.gpuType})
		}
		w := &waves[at]
		w.rentals = append(w.rentals, r)
		if !slices.Contains(w.types, r.machine.base) {
			w.types = append(w.types, r.machine.base)
		}
	}
	return waves
}

// hyperdiskOnly are families that take no persistent disk:
// https://cloud.google.com/compute/docs/disks/hyperdisks#machine-type-support.
var hyperdiskOnly = []string{"c4", "c4a", "c4d", "n4", "n4a", "n4d", "x4", "m4", "h4d", "a4", "a4x", "g4"}

// diskFor is the type of the boot disk of a machine.
func (c config) diskFor(m machine) string {
	switch {
	case c.DiskType != "":
		return c.DiskType
	case slices.Contains(hyperdiskOnly, m.family):
		return "hyperdisk-balanced"
	}
	return "pd-balanced"
}

// imageFor is the boot image for a machine: the task's, or else the fleet's.
func (c config) imageFor(op string, need providers.Need, arch string) (image, error) {
	if need.Image != "" {
		found, ok := parseImage(need.Image, arch)
		if !ok {
			return found, fault(op, providers.CodeConfiguration, fmt.Sprintf("%q names no image of Compute Engine", need.Image), imageHint)
		}
		return found, nil
	}
	found, ok := c.images[arch]
	if !ok {
		return found, fault(op, providers.CodeConfiguration, "the fleet has no image for "+arch, "set image_arm64")
	}
	return found, nil
}
