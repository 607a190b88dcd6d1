package jobspec

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/spotrelay/spotrelay/providers"
)

// fleetRanges are the places of a fleet's configuration in the files.
type fleetRanges struct {
	fleet hcl.Range
	paths map[string]hcl.Range // by path, joined with "/"
}

// FleetFaults turns what a provider found wrong with a fleet's configuration
// into diagnostics at the attributes it means, or at the nearest block that is
// written in a file.
func (f *File) FleetFaults(fleet string, faults []providers.Fault) Diagnostics {
	d := Diagnostics{Sources: f.sources}
	for _, fault := range faults {
		severity := hcl.DiagError
		if fault.Severity == providers.SeverityWarning {
			severity = hcl.DiagWarning
		}
		at := f.configs[fleet].find(fault.Path)
		if at.Filename == "" {
			at = startOf(f.Paths[0])
		}
		d.List = append(d.List, &hcl.Diagnostic{
			Severity: severity, Summary: fault.Summary, Detail: fault.Detail, Subject: &at,
			Extra: extra{block: "fleet " + strconv.Quote(fleet)},
		})
	}
	return d
}

// find is the range of a path or of the longest part of it that is known.
func (r fleetRanges) find(path []string) hcl.Range {
	for n := len(path); n > 0; n-- {
		if at, ok := r.paths[strings.Join(path[:n], "/")]; ok {
			return at
		}
	}
	return r.fleet
}
