package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/agent/window"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

func (a *app) attemptsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "attempts RUN [TASK[/INDEX]]",
		Short: "Show each attempt: where it ran, how it ended, which budget paid",
		Long: `Shows each attempt of a run: instance, offer and price, start and end, class and
cause, what it was charged to and how many attempts are left. Times are the
run's own: how long controllers had spent on it.`,
		Example: `  spotrelay attempts last
  spotrelay attempts last train
  spotrelay attempts 01k9 shard/3 --json`,
		Args:              between(1, "RUN", "TASK"),
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.showAttempts(cmd.Context(), args)
		},
	}
}

func (a *app) showAttempts(ctx context.Context, args []string) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	id, err := resolveRun(ctx, b, args[0])
	if err != nil {
		return err
	}
	state, _, err := store.LoadRun(ctx, b, id)
	if err != nil {
		return err
	}
	only := taskRef{index: -1}
	if len(args) == 2 {
		if only, err = parseTaskRef(args[1]); err != nil {
			return err
		}
		if _, err := findTask(state.Spec, only); err != nil {
			return err
		}
	}
	list := attemptsOf(state, only)
	if a.json {
		return a.printJSON(attemptsJSON{Version: jsonVersion, Run: id, Attempts: list})
	}
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, noAttempt(state))
		return nil
	}
	a.printAttempts(state.Spec, list)
	return nil
}

// noAttempt says why there is none: nothing has begun, or nothing had to.
func noAttempt(state *plan.State) string {
	for i := range state.Tasks {
		for j := range state.Tasks[i].Indexes {
			if state.Tasks[i].Indexes[j].Cached != nil {
				return "no attempt: what succeeded was cached"
			}
		}
	}
	return "no attempt yet"
}

// attemptsJSON is what attempts --json prints.
type attemptsJSON struct {
	Version  int           `json:"version"`
	Run      string        `json:"run"`
	Attempts []attemptJSON `json:"attempts"`
}

type attemptJSON struct {
	Task       string             `json:"task"`
	Index      int                `json:"index"`
	Attempt    int                `json:"attempt"`
	Instance   string             `json:"instance"`
	Fleet      string             `json:"fleet"`
	Offer      providers.Offer    `json:"offer"`
	Final      bool               `json:"final"` // one of the last attempts, on-demand
	Started    *float64           `json:"started_seconds,omitempty"`
	Ended      *float64           `json:"ended_seconds,omitempty"`
	Class      job.Class          `json:"class,omitempty"` // "" while it runs
	Cause      job.Cause          `json:"cause,omitempty"`
	Evidence   *plan.Evidence     `json:"evidence,omitempty"`
	Charge     job.Charge         `json:"charge,omitempty"`
	Left       *plan.Left         `json:"left,omitempty"`
	Memory     int64              `json:"memory_bytes,omitempty"` // that it asked for, when that was raised
	Cost       float64            `json:"cost_dollars"`
	Restored   *job.CheckpointRef `json:"restored,omitempty"`
	Checkpoint *job.CheckpointRef `json:"checkpoint,omitempty"`
	Nodes      []nodeJSON         `json:"nodes,omitempty"` // of a gang, with the incarnations that were lost
}

func attemptsOf(state *plan.State, only taskRef) []attemptJSON {
	list := []attemptJSON{}
	for t := range state.Tasks {
		task := &state.Spec.Tasks[t]
		if only.task != "" && only.task != task.Name {
			continue
		}
		for i := range state.Tasks[t].Indexes {
			if only.index >= 0 && only.index != i {
				continue
			}
			for _, record := range state.Tasks[t].Indexes[i].Attempts {
				list = append(list, attemptView(task.Name, i, record))
			}
		}
	}
	return list
}

func attemptView(task string, index int, record plan.AttemptRecord) attemptJSON {
	view := attemptJSON{
		Task: task, Index: index, Attempt: record.Attempt, Instance: record.Instance, Fleet: record.Fleet,
		Offer: record.Offer, Final: record.Final, Started: seconds(record.Accepted), Ended: seconds(record.Ended),
		Evidence: record.Evidence, Left: record.Left, Memory: record.Memory, Cost: record.Cost, Restored: record.Restore, Checkpoint: record.Checkpoint,
	}
	if record.Verdict != nil {
		view.Class, view.Cause, view.Charge = record.Verdict.Class, record.Verdict.Cause, record.Verdict.Charge
	}
	view.Nodes = nodesOf(record)
	return view
}

func seconds(t plan.Time) *float64 {
	if t == 0 {
		return nil
	}
	s := t.Seconds()
	return &s
}

func (a *app) printAttempts(spec *job.Spec, list []attemptJSON) {
	var rows [][]string
	for _, v := range list {
		rows = append(rows, attemptRow(spec, v))
		for _, node := range v.Nodes {
			rows = append(rows, nodeRow(node))
		}
	}
	printTable(a.stdout, []string{"ATTEMPT", "INSTANCE", "OFFER", "START", "END", "CLASS", "CHARGED TO", "LEFT", "COST", "EVIDENCE"}, rows)
}

func attemptRow(spec *job.Spec, v attemptJSON) []string {
	class, charge, left, text := "running", "", "", ""
	if v.Class != "" {
		class, charge = fmt.Sprintf("%s: %s", v.Class, v.Cause), string(v.Charge)
	}
	if v.Left != nil {
		left = fmt.Sprint(v.Left.Attempts)
		if task, ok := spec.Task(v.Task); ok {
			left = fmt.Sprintf("%d of %d", v.Left.Attempts, task.Retries.Attempts)
		}
	}
	if v.Evidence != nil {
		text = v.Evidence.Text
	}
	if v.Memory > 0 {
		text = strings.TrimPrefix(text+", with "+window.Bytes(v.Memory)+" of memory", ", ")
	}
	return []string{
		fmt.Sprintf("%s #%d", narrate.Name(spec, v.Task, v.Index), v.Attempt), v.Instance, narrate.Offer(v.Offer),
		moment(v.Started), moment(v.Ended), class, charge, left, narrate.Money(v.Cost), text,
	}
}

func moment(s *float64) string {
	if s == nil {
		return "-"
	}
	return narrate.Span(time.Duration(*s * float64(time.Second)))
}
