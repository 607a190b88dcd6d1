package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

func (a *app) statusCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "status [RUN]",
		Short: "List the runs, or show one",
		Long:  "Lists the runs in the bucket, newest first, or shows the tasks and instances of one.",
		Example: `  spotrelay status
  spotrelay status last
  spotrelay status --json`,
		Args:              between(0, "RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.openBucket(cmd.Context())
			if err != nil {
				return err
			}
			defer b.Close()
			if len(args) == 1 {
				return a.showRun(cmd.Context(), b, args[0])
			}
			return a.listRuns(cmd.Context(), b, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list all runs, not only the newest 20")
	return cmd
}

func (a *app) listRuns(ctx context.Context, b bucket.Bucket, all bool) error {
	ids, err := store.ListRuns(ctx, b)
	if err != nil {
		return err
	}
	ids = newestFirst(ids)
	if !all && !a.json && len(ids) > 20 {
		ids = ids[:20]
	}
	list := runsJSON{Version: jsonVersion, Runs: []runJSON{}}
	for _, id := range ids {
		state, at, err := store.LoadRun(ctx, b, id)
		if err != nil {
			return err
		}
		list.Runs = append(list.Runs, runView(ctx, b, state, at, false))
	}
	if a.json {
		return a.printJSON(list)
	}
	if len(list.Runs) == 0 {
		fmt.Fprintf(a.stdout, "no runs in %s\n", b.Describe().URL)
		return nil
	}
	var rows [][]string
	for _, r := range list.Runs {
		rows = append(rows, []string{
			r.ID, r.Job, string(r.State), fmt.Sprintf("%d/%d", r.Indexes.Succeeded, r.Indexes.Total),
			fmt.Sprint(r.Instances), narrate.Money(r.Cost), ago(r.Created), r.Controller,
		})
	}
	printTable(a.stdout, []string{"RUN", "JOB", "STATE", "DONE", "INSTANCES", "COST", "STARTED", "CONTROLLER"}, rows)
	return nil
}

func (a *app) showRun(ctx context.Context, b bucket.Bucket, ref string) error {
	id, err := resolveRun(ctx, b, ref)
	if err != nil {
		return err
	}
	state, at, err := store.LoadRun(ctx, b, id)
	if err != nil {
		return err
	}
	view := runView(ctx, b, state, at, true)
	if view.Running, err = runningAttempts(ctx, b, state); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(runsJSON{Version: jsonVersion, Runs: []runJSON{view}})
	}
	fmt.Fprintf(a.stdout, "run         %s\njob         %s\nstate       %s\n", view.ID, view.Job, view.State)
	if view.Reason != "" {
		fmt.Fprintf(a.stdout, "reason      %s\n", view.Reason)
	}
	for _, text := range view.Warnings {
		fmt.Fprintf(a.stdout, "warning     %s\n", text)
	}
	if r := state.Spec.Recovery; r != nil {
		fmt.Fprintf(a.stdout, "recovers    %s: %s\n", r.Run, recoveryText(r))
	}
	fmt.Fprintf(a.stdout, "started     %s\nlived       %s\ncost        %s\ncontroller  %s\n\n",
		view.Created.Local().Format(time.DateTime), narrate.Span(at.Now), narrate.Money(view.Cost), view.Controller)
	var rows [][]string
	for _, t := range view.Tasks {
		n := t.Indexes
		rows = append(rows, []string{
			t.Task, fmt.Sprint(n.Total), fmt.Sprint(n.Blocked + n.Waiting), fmt.Sprint(n.Running),
			n.succeededText(), fmt.Sprint(n.Failed + n.Cancelled), fmt.Sprint(t.Attempts),
		})
	}
	header := []string{"TASK", "INDEXES", "WAITING", "RUNNING", "SUCCEEDED", "FAILED", "ATTEMPTS"}
	if view.Indexes.Skipped > 0 {
		header = append(header, "SKIPPED")
		for i := range rows {
			rows[i] = append(rows[i], fmt.Sprint(view.Tasks[i].Indexes.Skipped))
		}
	}
	printTable(a.stdout, header, rows)
	a.printTaskResults(view.Tasks)
	for _, w := range view.Waits {
		fmt.Fprintf(a.stdout, "%s %s\n", narrate.Name(state.Spec, w.Task, w.Index), narrate.Waits(state.Spec, &w.By))
	}
	a.printSweeps(state)
	if len(view.Living) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	rows = nil
	for _, i := range view.Living {
		rows = append(rows, []string{i.ID, i.Fleet, narrate.Offer(i.Offer), string(i.Phase), fmt.Sprint(len(i.Attempts)), i.Where})
	}
	printTable(a.stdout, []string{"INSTANCE", "FLEET", "OFFER", "PHASE", "ATTEMPTS", "WHERE"}, rows)
	a.printRunning(view.Running, state)
	for _, inst := range state.KeptFor("", -1) {
		fmt.Fprintf(a.stdout, "\n%s is kept for %s more, for a look at %s attempt %d: %s\n  look:      %s\n  let it go: %s\n", inst.ID,
			narrate.Span(max(inst.Hold.Until-at.Now, 0)), narrate.Name(state.Spec, inst.Hold.Task, inst.Hold.Index), inst.Hold.Attempt,
			inst.Where, a.lookAt(view.ID, inst.Hold, state, b), a.again("release", view.ID+" "+inst.Hold.Task, b))
	}
	return nil
}

// lookAt is the command that looks at what is kept.
func (a *app) lookAt(run string, hold *plan.Hold, state *plan.State, b bucket.Bucket) string {
	which := hold.Task
	if task, ok := state.Spec.Task(hold.Task); ok && task.Count > 1 {
		which += fmt.Sprintf(" --index %d", hold.Index)
	}
	return a.again("exec", fmt.Sprintf("%s %s --attempt %d", run, which, hold.Attempt), b) + " -- ls -l"
}

// runsJSON is what status --json prints.
type runsJSON struct {
	Version int       `json:"version"`
	Runs    []runJSON `json:"runs"`
}

type runJSON struct {
	ID         string          `json:"id"`
	Job        string          `json:"job"`
	State      plan.RunState   `json:"state"`
	Reason     string          `json:"reason,omitempty"`
	Created    time.Time       `json:"created"`
	Lived      float64         `json:"lived_seconds"`
	Cost       float64         `json:"cost_dollars"`  // of instances that are gone
	Spent      float64         `json:"spent_dollars"` // of all, up to the journal's last entry
	MaxCost    float64         `json:"max_cost_dollars,omitempty"`
	Warnings   []string        `json:"warnings,omitempty"` // limits that are near
	Instances  int             `json:"instances"`          // that live
	Indexes    indexesJSON     `json:"indexes"`
	Controller string          `json:"controller,omitempty"`
	Recovers   *recoversJSON   `json:"recovers,omitempty"`
	Tasks      []taskJSON      `json:"tasks,omitempty"`
	Living     []plan.Instance `json:"living,omitempty"`
	Waits      []waitJSON      `json:"waits,omitempty"`   // for who computes the same
	Running    []runningJSON   `json:"running,omitempty"` // attempts, as their agents saw them last
}

// recoversJSON is what a run took over.
type recoversJSON struct {
	Run         string `json:"run"`
	Taken       int    `json:"taken"`       // indexes that had succeeded
	Checkpoints int    `json:"checkpoints"` // indexes that go on from one
}

func recoversView(r *job.Recovery) *recoversJSON {
	if r == nil {
		return nil
	}
	return &recoversJSON{Run: r.Run, Taken: r.Succeeded(), Checkpoints: r.Checkpoints()}
}

type taskJSON struct {
	Task     string      `json:"task"`
	Array    bool        `json:"array"`
	Indexes  indexesJSON `json:"indexes"`
	Attempts int         `json:"attempts"`
	// Result of a task that is no array; spotrelay results has the others.
	Result map[string]string `json:"result,omitempty"`
}

type indexesJSON struct {
	Total     int `json:"total"`
	Blocked   int `json:"blocked"`
	Waiting   int `json:"waiting"` // for an instance or a backoff
	Running   int `json:"running"`
	Succeeded int `json:"succeeded"`
	Cached    int `json:"cached"`              // of the succeeded ones: computed by an earlier run
	Recovered int `json:"recovered,omitempty"` // of the succeeded ones: taken over from the run that it recovers
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	Skipped   int `json:"skipped,omitempty"`
}

// waitJSON is an index that waits for who computes the same.
type waitJSON struct {
	Task  string         `json:"task"`
	Index int            `json:"index"`
	By    job.CacheClaim `json:"by"`
}

// succeededText says how many of those that succeeded did not have to run.
func (n *indexesJSON) succeededText() string {
	var spared []string
	if n.Recovered > 0 {
		spared = append(spared, fmt.Sprintf("%d recovered", n.Recovered))
	}
	if n.Cached > 0 {
		spared = append(spared, fmt.Sprintf("%d cached", n.Cached))
	}
	if len(spared) == 0 {
		return fmt.Sprint(n.Succeeded)
	}
	return fmt.Sprintf("%d (%s)", n.Succeeded, strings.Join(spared, ", "))
}

func (n *indexesJSON) count(phase plan.IndexPhase) {
	n.Total++
	switch phase {
	case plan.IndexBlocked:
		n.Blocked++
	case plan.IndexReady, plan.IndexWaiting:
		n.Waiting++
	case plan.IndexAssigned, plan.IndexRunning:
		n.Running++
	case plan.IndexSucceeded:
		n.Succeeded++
	case plan.IndexFailed:
		n.Failed++
	case plan.IndexCancelled:
		n.Cancelled++
	case plan.IndexSkipped:
		n.Skipped++
	}
}

func runView(ctx context.Context, b bucket.Bucket, state *plan.State, at store.Position, detail bool) runJSON {
	spec := state.Spec
	view := runJSON{
		ID: spec.Run, Job: spec.Job, State: state.Run(), Reason: state.Reason, Created: spec.Created,
		Lived: at.Now.Seconds(), Cost: state.Cost, Spent: state.Spent(), MaxCost: spec.MaxCost, Instances: len(state.Instances),
		Controller: controllerText(ctx, b, state), Recovers: recoversView(spec.Recovery),
	}
	if state.Held != "" {
		view.Reason = state.Held
	}
	for i := range state.Tasks {
		task := taskJSON{Task: spec.Tasks[i].Name, Array: spec.Tasks[i].Array}
		for k := range state.Tasks[i].Indexes {
			index := &state.Tasks[i].Indexes[k]
			task.Indexes.count(index.Phase)
			view.Indexes.count(index.Phase)
			switch {
			case index.Recovered != nil:
				task.Indexes.Recovered++
				view.Indexes.Recovered++
			case index.Cached != nil:
				task.Indexes.Cached++
				view.Indexes.Cached++
			}
			if index.Waits != nil && detail {
				view.Waits = append(view.Waits, waitJSON{task.Task, k, *index.Waits})
			}
			task.Attempts += len(index.Attempts)
			if !task.Array {
				task.Result = index.Result
			}
		}
		if detail {
			view.Tasks = append(view.Tasks, task)
		}
	}
	if detail {
		view.Warnings = narrate.Warnings(state)
		for _, id := range sortedKeys(state.Instances) {
			view.Living = append(view.Living, *state.Instances[id])
		}
	}
	return view
}

// controllerText says who holds the run's lease, for people.
func controllerText(ctx context.Context, b bucket.Bucket, state *plan.State) string {
	if state.Closed {
		return "none, it is over"
	}
	lease, _, err := store.ReadLease(ctx, b, state.Spec.Run)
	if err != nil {
		return "none"
	}
	return leaseText(lease)
}

// ago is how long ago a time was, for people.
func ago(then time.Time) string {
	return narrate.Span(time.Since(then)) + " ago"
}
