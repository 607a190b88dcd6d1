package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// report is all that was measured, and what it was measured on.
type report struct {
	Scale    float64      `json:"scale"`
	Runs     int          `json:"runs"`
	CPUs     int          `json:"cpus"`
	Load     string       `json:"load_average,omitempty"` // before the first run
	Start    usage        `json:"start"`                  // of a process of ours that opens the bucket
	Tools    []string     `json:"tools"`                  // with versions
	Left     []string     `json:"left_out"`               // peers that are not installed
	Loads    []loadReport `json:"workloads"`
	Measures []*measure   `json:"measures"`
	Verdicts []verdict    `json:"goals"`
}

// loadReport is a workload in a report.
type loadReport struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Bytes   int64  `json:"bytes"`
	Changed int64  `json:"changed_bytes"`
}

// median is the middle of the samples by each of their figures, and false when
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

// find is what was measured, or nil.
func (r *report) find(load, step, tool string) *measure {
	for _, m := range r.Measures {
		if m.Workload == load && m.Step == step && m.Tool == tool {
			return m
		}
	}
	return nil
}

// best is the fastest peer of a step, "" when there was none.
func (r *report) best(load, step string) (name string, seconds float64) {
	for _, m := range r.Measures {
		if m.Workload != load || m.Step != step || m.Tool == mine || m.Tool == warm || m.Tool == bare || m.Tool == copying {
			continue
		}
		if u, ok := m.median(); ok && (name == "" || u.Seconds < seconds) {
			name, seconds = m.Tool, u.Seconds
		}
	}
	return name, seconds
}

// Markdown writes the report as tables.
func (r *report) Markdown(w io.Writer) {
	fmt.Fprintf(w, "Scale %g, medians of %d (of a slow peer of fewer), %d CPUs", r.Scale, r.Runs, r.CPUs)
	if r.Load != "" {
		fmt.Fprintf(w, ", load average before %s", r.Load)
	}
	fmt.Fprintf(w, ".\nWith: %s. ", strings.Join(r.Tools, "; "))
	if len(r.Left) > 0 {
		fmt.Fprintf(w, "Left out, since not on PATH: %s.", strings.Join(r.Left, ", "))
	}
	fmt.Fprint(w, "\n\n")
	for _, l := range r.Loads {
		fmt.Fprintf(w, "- (%s) %s\n", l.ID, l.Title)
	}
	fmt.Fprintln(w, "\n| workload | step | tool | runs | seconds | of best peer | CPU s | peak MiB | MiB sent | MiB read | requests | uploads | reads |")
	fmt.Fprintln(w, "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, l := range r.Loads {
		for _, step := range []string{saving, restoring} {
			for _, m := range r.Measures {
				if m.Workload == l.ID && m.Step == step {
					r.row(w, m)
				}
			}
		}
	}
	fmt.Fprint(w, "\nEvery restored byte was compared with what was saved. "+
		"Requests and bytes are those of one more run through a counting proxy, which the timed runs do not pass, "+
		"but for those with a delay. "+bare+" sends what changed by PUTs of 8 MiB and reads what there is; "+copying+
		" is a local copy on the same file system, its limit. "+mine+" is a process for each save and each restore, as the peers are, and the row that the goals are held against; ")
	fmt.Fprintf(w, "to start it and open the bucket takes %.2f s of that, %.2f of CPU and %d MiB. ", r.Start.Seconds, r.Start.CPU, r.Start.Peak/mib)
	fmt.Fprint(w, "In the row "+warm+" the process that made the first save makes the next one, as the agent does. "+
		"A peak cannot be seen below that of the benchmark itself, some 30 MiB.\n")
	fmt.Fprintln(w, "\n| goal | seen | |\n|---|---|---|")
	for _, v := range r.Verdicts {
		fmt.Fprintf(w, "| %s | %s | %s |\n", v.Goal, v.Seen, v.Met)
	}
}

func (r *report) row(w io.Writer, m *measure) {
	u, ok := m.median()
	if !ok {
		if m.Error != "" {
			fmt.Fprintf(w, "| %s | %s | %s | failed |\n", m.Workload, m.Step, m.Tool)
		}
		return
	}
	ratio := ""
	if name, seconds := r.best(m.Workload, m.Step); name != "" {
		ratio = fmt.Sprintf("%.2f", u.Seconds/seconds)
		if name == m.Tool {
			ratio += " (best)"
		}
	}
	counted := " | | | |"
	if t := m.Traffic; t != nil && m.Tool != copying {
		counted = fmt.Sprintf("%.1f | %.1f | %d | %d | %d", float64(t.Sent)/mib, float64(t.Received)/mib, t.Requests, t.Uploads, t.Reads)
	}
	fmt.Fprintf(w, "| %s | %s | %s | %d | %.2f | %s | %.2f | %d | %s |\n",
		m.Workload, m.Step, m.Tool, len(m.Samples), u.Seconds, ratio, u.CPU, u.Peak/mib, counted)
}
