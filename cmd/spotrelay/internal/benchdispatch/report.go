package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	mine = "spotrelay"
	mib  = 1 << 20
)

// report is all that was measured, and what it was measured on.
type report struct {
	Tasks    int        `json:"tasks"`
	Runs     int        `json:"runs"`
	Jobs     int        `json:"jobs"`
	Slots    int        `json:"slots"`
	CPUs     int        `json:"cpus"`
	Load     string     `json:"load_average,omitempty"` // before the first run
	Left     []string   `json:"left_out"`               // peers that cannot be measured here, and why
	Measures []*measure `json:"measures"`
}

// measure is the runs of one tool.
type measure struct {
	Tool    string  `json:"tool"`
	Tasks   int     `json:"tasks"`
	Samples []usage `json:"samples"`
	Error   string  `json:"error,omitempty"`
}

// median is the middle of the samples by each of their figures, false when
// there is none.
func (m *measure) median() (usage, bool) {
	if m == nil || m.Error != "" || len(m.Samples) == 0 {
		return usage{}, false
	}
	of := func(figure func(usage) float64) float64 {
		all := make([]float64, len(m.Samples))
		for i, s := range m.Samples {
			all[i] = figure(s)
		}
		slices.Sort(all)
		return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	return usage{
		Seconds: of(func(u usage) float64 { return u.Seconds }),
		CPU:     of(func(u usage) float64 { return u.CPU }),
		Peak:    int64(of(func(u usage) float64 { return float64(u.Peak) })),
	}, true
}

// rate is tasks a second.
func (r *report) rate(tool string) (float64, bool) {
	for _, m := range r.Measures {
		if u, ok := m.median(); ok && m.Tool == tool && u.Seconds > 0 {
			return float64(m.Tasks) / u.Seconds, true
		}
	}
	return 0, false
}

// goals are how many times a peer's rate is wanted.
var goals = []struct {
	peer  string
	times float64
}{{"xargs", 0.4}, {"parallel", 2}, {"slurm", 20}}

// Markdown writes the report as tables.
func (r *report) Markdown(w io.Writer) {
	fmt.Fprintf(w, "%d tasks of `true`, medians of %d, %d CPUs", r.Tasks, r.Runs, r.CPUs)
	if r.Load != "" {
		fmt.Fprintf(w, ", load average before %s", r.Load)
	}
	fmt.Fprintf(w, ". One instance of %d slots; the peers run %d at a time.", r.Slots, r.Jobs)
	if len(r.Left) > 0 {
		fmt.Fprintf(w, " Left out: %s.", strings.Join(r.Left, ", "))
	}
	fmt.Fprint(w, "\n\n| program | tasks | runs | seconds | tasks a second | CPU s | CPU ms a task | peak MiB |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, m := range r.Measures {
		u, ok := m.median()
		if !ok {
			fmt.Fprintf(w, "| %s | failed: %s |\n", m.Tool, strings.Join(strings.Fields(m.Error), " "))
			continue
		}
		fmt.Fprintf(w, "| %s | %d | %d | %.2f | %.0f | %.2f | %.2f | %d |\n", m.Tool, m.Tasks, len(m.Samples),
			u.Seconds, float64(m.Tasks)/u.Seconds, u.CPU, 1000*u.CPU/float64(m.Tasks), u.Peak/mib)
	}
	fmt.Fprint(w, "\nSeconds are from the command to its end, with the start of the instance; Slurm's from sbatch to an empty queue, its daemons "+
		"running before. The record of each attempt was read back and its evidence looked at. The peak is of all processes of a program together.\n")
	fmt.Fprintln(w, "\n| goal | seen | |\n|---|--:|---|")
	for _, g := range goals {
		own, ok := r.rate(mine)
		other, there := r.rate(g.peer)
		if !ok || !there {
			continue
		}
		met := "not met"
		if own >= g.times*other {
			met = "met"
		}
		fmt.Fprintf(w, "| %g times %s | %.2f | %s |\n", g.times, g.peer, own/other, met)
	}
}

// failed is what could not be measured though it is there.
func (r *report) failed() error {
	var errs []error
	for _, m := range r.Measures {
		if m.Error != "" {
			errs = append(errs, fmt.Errorf("%s: %s", m.Tool, m.Error))
		}
	}
	return errors.Join(errs...)
}
