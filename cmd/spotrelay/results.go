package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

type resultsFlags struct {
	sort string
	csv  bool
}

func (a *app) resultsCommand() *cobra.Command {
	var flags resultsFlags
	cmd := &cobra.Command{
		Use:   "results RUN TASK",
		Short: "Show what a task wrote to its result file, a row for each index",
		Long: `Shows a table of a task's indexes: what tells each from the others (the values of its
matrix, or its key), its state, and what it wrote to $SPOTRELAY_RESULT_FILE. It may be
asked while the run goes on.`,
		Example: `  spotrelay results last train
  spotrelay results last train --sort loss
  spotrelay results last train --sort=-accuracy --csv > sweep.csv`,
		Args:              exact("RUN", "TASK"),
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.csv && a.json {
				return wrongCall("leave out one of them", "--csv and --json are two forms")
			}
			return a.showResults(cmd.Context(), args[0], args[1], flags)
		},
	}
	cmd.Flags().StringVar(&flags.sort, "sort", "", "order by this `COLUMN`, smallest first; -COLUMN has the largest first")
	cmd.Flags().BoolVar(&flags.csv, "csv", false, "print comma-separated values")
	return cmd
}

// resultsJSON is what results --json prints.
type resultsJSON struct {
	Version int             `json:"version"`
	Run     string          `json:"run"`
	Task    string          `json:"task"`
	Values  []string        `json:"values"`  // names of what tells indexes apart
	Results []string        `json:"results"` // names of what any of them wrote
	Rows    []resultRowJSON `json:"rows"`
}

type resultRowJSON struct {
	Index    int               `json:"index"`
	Key      string            `json:"key,omitempty"` // of for_each
	Values   map[string]string `json:"values,omitempty"`
	State    plan.IndexPhase   `json:"state"`
	Reason   string            `json:"reason,omitempty"` // why it did not succeed
	Attempts int               `json:"attempts"`
	Result   map[string]string `json:"result,omitempty"`
}

func (a *app) showResults(ctx context.Context, ref, name string, flags resultsFlags) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	run, err := resolveRun(ctx, b, ref)
	if err != nil {
		return err
	}
	which, err := parseTaskRef(name)
	if err != nil {
		return err
	}
	state, _, err := store.LoadRun(ctx, b, run)
	if err != nil {
		return err
	}
	task, err := findTask(state.Spec, which)
	if err != nil {
		return err
	}
	view := resultsOf(state, slices.IndexFunc(state.TaskViews(), func(v plan.TaskView) bool { return v.Task == task.Name }))
	if which.index >= 0 {
		view.Rows = view.Rows[which.index : which.index+1]
	}
	table := tableOf(view)
	if flags.sort != "" {
		if err := table.sort(flags.sort); err != nil {
			return err
		}
	}
	switch {
	case a.json:
		view.Rows = table.rows
		return a.printJSON(view)
	case flags.csv:
		w := csv.NewWriter(a.stdout)
		err := w.WriteAll(append([][]string{table.names()}, table.cells()...))
		return err
	}
	printTable(a.stdout, table.header(), printableCells(table.cells()))
	return nil
}

// resultsOf is the indexes of a task, by its place in the specification.
func resultsOf(state *plan.State, task int) resultsJSON {
	spec := &state.Spec.Tasks[task]
	view := resultsJSON{Version: jsonVersion, Run: state.Spec.Run, Task: spec.Name, Values: []string{}, Results: []string{}, Rows: []resultRowJSON{}}
	values, results := map[string]bool{}, map[string]bool{}
	for i := range state.Tasks[task].Indexes {
		x := &state.Tasks[task].Indexes[i]
		row := resultRowJSON{Index: i, Key: spec.KeyOf(i), State: x.Phase, Reason: x.Reason, Attempts: len(x.Attempts), Result: x.Result}
		if i < len(spec.Elements) {
			row.Values = spec.Elements[i].Values
		}
		for name := range row.Values {
			values[name] = true
		}
		for name := range row.Result {
			results[name] = true
		}
		view.Rows = append(view.Rows, row)
	}
	view.Values, view.Results = append(view.Values, sortedKeys(values)...), append(view.Results, sortedKeys(results)...)
	return view
}

// mostShown bounds the rows of a sweep in status.
const mostShown = 20

// printSweeps shows the arrays of which something is told apart by values.
func (a *app) printSweeps(state *plan.State) {
	for i := range state.Spec.Tasks {
		if elements := state.Spec.Tasks[i].Elements; len(elements) == 0 || elements[0].Values == nil {
			continue
		}
		table := tableOf(resultsOf(state, i))
		fmt.Fprintf(a.stdout, "\n%s:\n", state.Spec.Tasks[i].Name)
		more := len(table.rows) - mostShown
		table.rows = table.rows[:min(len(table.rows), mostShown)]
		printTable(a.stdout, table.header(), printableCells(table.cells()))
		if more > 0 {
			fmt.Fprintf(a.stdout, "and %d more: spotrelay results %s %s\n", more, state.Spec.Run, state.Spec.Tasks[i].Name)
		}
	}
}

func printableCells(rows [][]string) [][]string {
	for _, row := range rows {
		for i := range row {
			row[i] = printable([]byte(row[i]))
		}
	}
	return rows
}
