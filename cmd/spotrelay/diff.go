package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
	"github.com/spotrelay/spotrelay/runner/submit"
)

func (a *app) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff RUN RUN",
		Short: "Show in what two runs differ",
		Long: `Compares two runs: what they were to do, from what files and inputs, and what came
of it: how each index ended, what its outputs hold and which results it wrote. Costs
and times are shown and are no difference.

The exit code is that of diff(1): 0 when nothing differs, 1 when something does.`,
		Example: `  spotrelay diff 01k9 last
  spotrelay diff 01k9 last --json`,
		Args:              exact("RUN", "RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.diffRuns(cmd.Context(), args[0], args[1])
		},
	}
}

// diffJSON is what diff --json prints. A and B are the two runs.
type diffJSON struct {
	Version int                 `json:"version"`
	A       diffRunJSON         `json:"a"`
	B       diffRunJSON         `json:"b"`
	Same    bool                `json:"same"`
	Spec    []differenceJSON    `json:"spec"`
	Source  []differenceJSON    `json:"source"` // git, variables, versions
	Files   []submit.FileChange `json:"files"`  // of the workdir
	Outcome []outcomeJSON       `json:"outcome"`
}

type diffRunJSON struct {
	Run   string        `json:"run"`
	State plan.RunState `json:"state"`
	Lived float64       `json:"lived_seconds"`
	Cost  float64       `json:"cost_dollars"`
}

// outcomeJSON is something that came of an index in one run and not in the
// other.
type outcomeJSON struct {
	Task  string `json:"task"`
	Index int    `json:"index"`
	What  string `json:"what"` // phase, output, result KEY
	A     string `json:"a,omitempty"`
	B     string `json:"b,omitempty"`
}

func (a *app) diffRuns(ctx context.Context, first, second string) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	var states [2]*plan.State
	view := diffJSON{Version: jsonVersion, Files: []submit.FileChange{}}
	for i, ref := range []string{first, second} {
		run, err := resolveRun(ctx, b, ref)
		if err != nil {
			return err
		}
		state, at, err := store.LoadRun(ctx, b, run)
		if err != nil {
			return err
		}
		states[i] = state
		*[]*diffRunJSON{&view.A, &view.B}[i] = diffRunJSON{Run: run, State: state.Run(), Lived: at.Now.Seconds(), Cost: state.Spent()}
	}
	if err := view.compare(ctx, b, states[0], states[1]); err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(view)
	} else {
		err = a.printRunDiff(&view, states[0].Spec)
	}
	if err == nil && !view.Same {
		return exitWith(exitFailed)
	}
	return err
}

func (d *diffJSON) compare(ctx context.Context, b bucket.Bucket, one, other *plan.State) error {
	differences, err := job.Diff(one.Spec, other.Spec)
	if err != nil {
		return err
	}
	if d.Files, err = submit.FileChanges(ctx, b, one.Spec.Workdir, other.Spec.Workdir); err != nil {
		return fmt.Errorf("comparing the workdirs: %w", err)
	}
	if len(d.Files) == 0 { // or there is one that holds nothing
		differences = slices.DeleteFunc(differences, func(x job.Difference) bool { return x.Field() == "workdir.content" })
	}
	d.Spec = differenceViews(differences)
	d.Source = sourceDifferences(&one.Spec.Source, &other.Spec.Source)
	d.Outcome = outcomeDifferences(one, other)
	d.Same = d.A.State == d.B.State && len(d.Spec)+len(d.Source)+len(d.Files)+len(d.Outcome) == 0
	return nil
}

// sourceDifferences are those of where two runs came from.
func sourceDifferences(one, other *job.Source) []differenceJSON {
	found := []differenceJSON{}
	add := func(field, a, b string) {
		if a != b {
			found = append(found, differenceJSON{Field: field, A: a, B: b})
		}
	}
	add("git", gitText(one.Git), gitText(other.Git))
	for _, name := range unionKeys(one.Variables, other.Variables) {
		add("variable "+name, one.Variables[name], other.Variables[name])
	}
	add("spotrelay", one.Version, other.Version)
	for _, name := range unionKeys(one.Providers, other.Providers) {
		add("provider "+name, one.Providers[name], other.Providers[name])
	}
	return found
}

func unionKeys(one, other map[string]string) []string {
	all := maps.Clone(one)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, other)
	return sortedKeys(all)
}

// outcomeDifferences are those of what came of the indexes that both runs have.
func outcomeDifferences(one, other *plan.State) []outcomeJSON {
	found := []outcomeJSON{}
	for i := range one.Tasks {
		task := &one.Spec.Tasks[i]
		for index := range one.Tasks[i].Indexes {
			x, y := &one.Tasks[i].Indexes[index], other.Index(task.Name, index)
			if y == nil {
				continue // the specifications differ
			}
			add := func(what, a, b string) {
				if a != b {
					found = append(found, outcomeJSON{Task: task.Name, Index: index, What: what, A: a, B: b})
				}
			}
			add("phase", string(x.Phase), string(y.Phase))
			add("output", contentOf(x.Output), contentOf(y.Output))
			for _, key := range unionKeys(x.Result, y.Result) {
				add("result "+key, x.Result[key], y.Result[key])
			}
		}
	}
	return found
}

// contentOf is what an output holds, by digest.
func contentOf(m *job.Manifest) string {
	switch {
	case m == nil:
		return ""
	case m.Content != "":
		return m.Content
	}
	return m.Digest
}

func (a *app) printRunDiff(d *diffJSON, spec *job.Spec) error {
	var text strings.Builder
	for i, run := range []diffRunJSON{d.A, d.B} {
		fmt.Fprintf(&text, "%s  run %s %s, cost %s\n", []string{"a", "b"}[i], run.Run, run.State, narrate.Money(run.Cost))
	}
	if d.Same {
		fmt.Fprintln(&text, "they are the same in specification, files and outcome")
	}
	writeViews(&text, "specification", d.Spec)
	if len(d.Files) > 0 {
		fmt.Fprintln(&text, "files")
		writeFiles(&text, d.Files)
	}
	writeViews(&text, "source", d.Source)
	const most = 50
	if len(d.Outcome) > 0 {
		fmt.Fprintln(&text, "outcome")
	}
	for _, o := range d.Outcome[:min(most, len(d.Outcome))] {
		fmt.Fprintf(&text, "  %s %s: %s -> %s\n", narrate.Name(spec, o.Task, o.Index), o.What, orNone(shortDigest(o.A)), orNone(shortDigest(o.B)))
	}
	if more := len(d.Outcome) - most; more > 0 {
		fmt.Fprintf(&text, "  and %d more\n", more)
	}
	_, err := fmt.Fprint(a.stdout, text.String())
	return err
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}

func writeViews(text *strings.Builder, title string, views []differenceJSON) {
	if len(views) == 0 {
		return
	}
	fmt.Fprintln(text, title)
	for _, v := range views {
		name := v.Field
		switch {
		case v.Task != "":
			name = strings.TrimSpace("task " + v.Task + " " + v.Field)
		case v.Fleet != "":
			name = strings.TrimSpace("fleet " + v.Fleet + " " + v.Field)
		}
		change := job.Difference{A: v.A, B: v.B}
		fmt.Fprintf(text, "  %s: %s\n", name, change.Change())
	}
}
