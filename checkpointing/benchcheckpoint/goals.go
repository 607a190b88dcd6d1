package main

import (
	"fmt"
	"strings"
)

// verdict is a goal beside what was seen.
type verdict struct {
	Goal string `json:"goal"`
	Seen string `json:"seen"`
	Met  string `json:"met"` // met, not met, or not measured
}

// goal is a bound on one figure of ours.
type goal struct {
	load, step string
	text       string
	limit      float64
	// figure is what is bounded, and false when it was not measured.
	figure func(r *report, load, step string) (float64, bool)
}

// against is our time as a share of a tool's.
func against(name string) func(*report, string, string) (float64, bool) {
	return func(r *report, load, step string) (float64, bool) {
		us, ok := r.find(load, step, mine).median()
		them, there := r.find(load, step, name).median()
		return us.Seconds / them.Seconds, ok && there && them.Seconds > 0
	}
}

// againstBest is our time as a share of the fastest peer's.
func againstBest(r *report, load, step string) (float64, bool) {
	us, ok := r.find(load, step, mine).median()
	name, seconds := r.best(load, step)
	return us.Seconds / seconds, ok && name != ""
}

func seconds(r *report, load, step string) (float64, bool) {
	us, ok := r.find(load, step, mine).median()
	return us.Seconds, ok
}

func processorOfS5cmd(r *report, load, step string) (float64, bool) {
	us, ok := r.find(load, step, mine).median()
	them, there := r.find(load, step, "s5cmd").median()
	return us.CPU / them.CPU, ok && there && them.CPU > 0
}

// counted is a figure of our traffic.
func counted(of func(t *traffic, l loadReport) float64) func(*report, string, string) (float64, bool) {
	return func(r *report, load, step string) (float64, bool) {
		m := r.find(load, step, mine)
		if m == nil || m.Error != "" || m.Traffic == nil {
			return 0, false
		}
		for _, l := range r.Loads {
			if l.ID == load {
				return of(m.Traffic, l), true
			}
		}
		return 0, false
	}
}

// largestPeak is our peak memory in MiB in all workloads.
func largestPeak(r *report, _, _ string) (float64, bool) {
	most, seen := 0.0, false
	for _, m := range r.Measures {
		if m.Tool != mine {
			continue
		}
		for _, s := range m.Samples {
			most, seen = max(most, float64(s.Peak)/mib), true
		}
	}
	return most, seen
}

// goals are what was set out to reach, at a scale of 1.
func goals() []goal {
	all := []goal{
		{"a", saving, "2.2 times as fast as the best peer: share of its time", 1 / 2.2, againstBest},
		{"a", saving, "half the CPU of s5cmd: share of its CPU seconds", 0.5, processorOfS5cmd},
		{"a", saving, "times a bare TLS upload", 1.4, against(bare)},
		{"a", restoring, "as fast as s5cmd: share of its time", 1, against("s5cmd")},
		{"b", saving, "4 times as fast as the best peer: share of its time", 0.25, againstBest},
		{"b", saving, "uploads", 15, counted(func(t *traffic, _ loadReport) float64 { return float64(t.Uploads) })},
		{"b+30ms", saving, "seconds", 0.6, seconds},
		{"b", restoring, "5 times as fast as the best peer: share of its time", 0.2, againstBest},
		{"b", restoring, "reads", 25, counted(func(t *traffic, _ loadReport) float64 { return float64(t.Reads) })},
		{"c", saving, "6 times as fast as the best peer: share of its time", 1.0 / 6, againstBest},
		{"c", saving, "bytes sent for a changed byte", 2, counted(func(t *traffic, l loadReport) float64 {
			return float64(t.Sent) / float64(l.Changed)
		})},
		{"c", restoring, "as fast as the best peer: share of its time", 1, againstBest},
		{"f", saving, "seconds", 0.1, seconds},
		{"", "", "peak memory in MiB", 200, largestPeak},
	}
	share := func(load, step string, limit float64, names ...string) {
		for _, name := range names {
			all = append(all, goal{load, step, "share of the time of " + name, limit, against(name)})
		}
	}
	share("a", saving, 0.42, "rclone", "aws")
	share("a", saving, 0.2, "restic")
	share("a", restoring, 0.45, "rclone", "aws", "restic")
	share("b", saving, 0.1, "rclone", "aws")
	share("b", saving, 0.16, "restic")
	share("b", restoring, 0.1, "rclone", "aws")
	share("b", restoring, 0.2, "restic")
	share("c", saving, 0.1, "rclone", "aws")
	share("c", saving, 0.13, "restic")
	share("c", restoring, 0.45, "rclone", "aws", "restic")
	return all
}

// judge holds the report against the goals.
func (r *report) judge() {
	for _, g := range goals() {
		where := "all"
		if g.load != "" {
			where = fmt.Sprintf("(%s) %s", g.load, g.step)
		}
		v := verdict{Goal: fmt.Sprintf("%s: %s at most %.3g", where, g.text, g.limit), Met: "not measured"}
		if figure, ok := g.figure(r, g.load, g.step); ok {
			v.Seen, v.Met = fmt.Sprintf("%.3g", figure), "not met"
			if figure <= g.limit {
				v.Met = "met"
			}
		}
		v.Goal = strings.TrimSpace(v.Goal)
		r.Verdicts = append(r.Verdicts, v)
	}
}
