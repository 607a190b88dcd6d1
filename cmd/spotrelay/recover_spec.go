package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/submit"
)

// changeBySpec is the change of limits that a job file makes to a run's
// specification, then the flags'. A file that differs in more is refused.
func (a *app) changeBySpec(ctx context.Context, b bucket.Bucket, earlier *job.Spec, flags recoverFlags, manager *plugins.Manager) (func(*job.Spec) error, error) {
	known, remove, err := variablesFile(earlier.Source.Variables)
	if err != nil {
		return nil, err
	}
	defer remove()
	given := flags.file
	given.varFiles = append([]string{known}, given.varFiles...)
	file, err := a.readJobFile(ctx, flags.spec, given, manager)
	if err != nil {
		return nil, err
	}
	comparison, err := submit.Compare(ctx, submitOptions(b, file, nil, manager), earlier)
	if err != nil {
		return nil, err
	}
	if !comparison.OnlyLimits() {
		return nil, a.refuseSpec(earlier.Run, flags.spec, comparison)
	}
	return func(spec *job.Spec) error {
		job.CopyLimits(spec, file.Spec)
		text := file.Spec.Source
		spec.Source.File, spec.Source.Text, spec.Source.Variables = text.File, text.Text, text.Variables
		return flags.limits.apply(spec)
	}, nil
}

// variablesFile is a file of the variables that a run was submitted with, and
// what removes it.
func variablesFile(variables map[string]string) (path string, remove func(), err error) {
	file, err := os.CreateTemp("", "variables-of-the-run-*.hcl")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.Remove(file.Name()) }
	for _, name := range sortedKeys(variables) {
		if _, err = fmt.Fprintf(file, "%s = %s\n", name, variables[name]); err != nil {
			break
		}
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		remove()
		return "", nil, err
	}
	return file.Name(), remove, nil
}

// refusedJSON is what recover --spec --json prints when it is refused.
type refusedJSON struct {
	Version     int                 `json:"version"`
	Event       string              `json:"event"` // recover-refused
	Run         string              `json:"run"`
	Differences []differenceJSON    `json:"differences"`
	Files       []submit.FileChange `json:"files,omitempty"`
}

// differenceJSON is a field in which two specifications differ.
type differenceJSON struct {
	Task  string `json:"task,omitempty"`
	Fleet string `json:"fleet,omitempty"`
	Field string `json:"field,omitempty"` // "": the whole task or fleet
	A     string `json:"a,omitempty"`     // as JSON
	B     string `json:"b,omitempty"`
	Limit bool   `json:"limit,omitempty"` // it may change when a run is recovered
}

func differenceViews(differences []job.Difference) []differenceJSON {
	views := []differenceJSON{}
	for i := range differences {
		d := &differences[i]
		views = append(views, differenceJSON{Task: d.Task, Fleet: d.Fleet, Field: d.Field(), A: d.A, B: d.B, Limit: d.IsLimit()})
	}
	return views
}

// refuseSpec says in what a job file differs from a run beside limits.
func (a *app) refuseSpec(run, path string, c *submit.Comparison) error {
	if a.json {
		line := refusedJSON{Version: jsonVersion, Event: "recover-refused", Run: run, Differences: differenceViews(c.Differences), Files: c.Files}
		if err := a.printJSON(line); err != nil {
			return err
		}
	}
	shown := slices.DeleteFunc(slices.Clone(c.Differences), func(d job.Difference) bool { return d.IsLimit() || d.Field() == "workdir.content" })
	var text strings.Builder
	writeDifferences(&text, shown)
	writeFiles(&text, c.Files)
	fmt.Fprintf(a.stderr, "%s differs from run %s in more than limits:\n%s", path, run, text.String())
	fmt.Fprintf(a.stderr, `A recovered run goes on with what was begun, so only limits may change: max_cost,
run_timeout, timeout, retries, max_parallel, max_instances, priority, hold_on_failure.
Either leave --spec out, or start a new run by spotrelay run %s: tasks with a cache
block whose command and inputs are the same are not run again (docs/caching.md).
`, path)
	return exitWith(exitUsage)
}

// writeDifferences writes differences for people, grouped by what they are of.
func writeDifferences(text *strings.Builder, differences []job.Difference) {
	group := "\x00"
	for i := range differences {
		d := &differences[i]
		title := "job"
		switch {
		case d.Task != "":
			title = "task " + d.Task
		case d.Fleet != "":
			title = "fleet " + d.Fleet
		}
		if title != group {
			fmt.Fprintf(text, "  %s\n", title)
			group = title
		}
		switch {
		case len(d.Path) > 0:
			fmt.Fprintf(text, "    %s\n", d)
		case d.B == "":
			fmt.Fprintln(text, "    it is gone")
		default:
			fmt.Fprintln(text, "    it is new")
		}
	}
}

// writeFiles writes which files of a workdir differ, the first of many.
func writeFiles(text *strings.Builder, files []submit.FileChange) {
	const most = 20
	if len(files) == 0 {
		return
	}
	fmt.Fprintln(text, "  workdir")
	for _, file := range files[:min(most, len(files))] {
		fmt.Fprintf(text, "    %s %s\n", file.Change, file.Path)
	}
	if more := len(files) - most; more > 0 {
		fmt.Fprintf(text, "    and %d more\n", more)
	}
}
