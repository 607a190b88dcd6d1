package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/runner/agent/window"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// runningJSON is an attempt that runs, as its agent saw it last.
type runningJSON struct {
	Task        string        `json:"task"`
	Index       int           `json:"index"`
	Attempt     int           `json:"attempt"`
	Instance    string        `json:"instance"`
	Step        job.Step      `json:"step"`
	Elapsed     float64       `json:"elapsed_seconds"`
	Saving      bool          `json:"saving"`
	Checkpoints []outlookJSON `json:"checkpoints,omitempty"`
}

// outlookJSON is what the next save of a checkpoint directory would take.
type outlookJSON struct {
	Name    string  `json:"name,omitempty"` // of the directory
	ID      string  `json:"id,omitempty"`   // of the newest checkpoint, this attempt's or the restored one
	Age     float64 `json:"age_seconds,omitempty"`
	Bytes   int64   `json:"bytes"`        // of the directory
	Unsent  int64   `json:"unsent_bytes"` // likely still to be sent
	Takes   float64 `json:"takes_seconds"`
	Rate    int64   `json:"bytes_per_second"`         // as measured
	Notice  float64 `json:"notice_seconds,omitempty"` // how long it usually is
	Warning string  `json:"warning,omitempty"`        // it would not fit, and what to do
}

// runningAttempts reads what the agents of living instances say.
func runningAttempts(ctx context.Context, b bucket.Bucket, state *plan.State) ([]runningJSON, error) {
	if len(state.Instances) == 0 {
		return nil, nil
	}
	statuses, err := (&watch.Watcher{Bucket: b, Run: state.Spec.Run, State: state}).Statuses(ctx)
	if err != nil {
		return nil, err
	}
	var list []runningJSON
	for _, id := range sortedKeys(statuses) {
		for _, a := range statuses[id].Running {
			list = append(list, runningView(state, id, &a))
		}
	}
	slices.SortFunc(list, func(a, b runningJSON) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Attempt, b.Attempt))
	})
	return list, nil
}

func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func runningView(state *plan.State, instance string, a *job.AttemptStatus) runningJSON {
	view := runningJSON{
		Task: a.Task, Index: a.Index, Attempt: a.Attempt, Instance: instance, Step: a.Step,
		Elapsed: a.Elapsed.D().Seconds(), Saving: a.Saving,
	}
	for _, f := range a.Forecast {
		outlook := outlookJSON{
			Name: f.Name, Age: f.SavedAgo.D().Seconds(), Bytes: f.Bytes, Unsent: f.Unsent, Takes: f.Takes.D().Seconds(),
			Rate: f.Rate, Notice: f.Notice.D().Seconds(), Warning: f.Warning,
		}
		ref, ok := a.Checkpoint.Of(f.Name)
		if !ok {
			ref, ok = restoredBy(state, a.AttemptID).Of(f.Name)
		}
		if ok {
			outlook.ID = narrate.Checkpoint(&ref)
		}
		view.Checkpoints = append(view.Checkpoints, outlook)
	}
	return view
}

// restoredBy is what an attempt went on from, nil for nothing.
func restoredBy(state *plan.State, id job.AttemptID) *job.CheckpointRef {
	x := state.Index(id.Task, id.Index)
	if x == nil {
		return nil
	}
	for i := range x.Attempts {
		if x.Attempts[i].Attempt == id.Attempt {
			return x.Attempts[i].Restore
		}
	}
	return nil
}

// printRunning shows what runs, with what would be lost and what a save takes.
func (a *app) printRunning(list []runningJSON, state *plan.State) {
	if len(list) == 0 {
		return
	}
	var rows [][]string
	var warnings []string
	for _, r := range list {
		name := narrate.Name(state.Spec, r.Task, r.Index)
		step := string(r.Step)
		if r.Saving {
			step += ", saving"
		}
		if len(r.Checkpoints) == 0 {
			rows = append(rows, []string{name, fmt.Sprint(r.Attempt), r.Instance, step, "-", "-", "-", "-"})
		}
		for _, c := range r.Checkpoints {
			title := name
			if c.Name != "" {
				title += ":" + c.Name
			}
			id, age := "none", "-"
			if c.ID != "" {
				id, age = c.ID, window.Span(secondsOf(c.Age))
			}
			rows = append(rows, []string{title, fmt.Sprint(r.Attempt), r.Instance, step, id, age, window.Bytes(c.Unsent), window.Span(secondsOf(c.Takes))})
			if c.Warning != "" {
				warnings = append(warnings, title+": "+c.Warning)
			}
		}
	}
	fmt.Fprintln(a.stdout)
	printTable(a.stdout, []string{"RUNNING", "ATTEMPT", "INSTANCE", "STEP", "CHECKPOINT", "AGE", "TO SEND", "TAKES"}, rows)
	for _, warning := range warnings {
		fmt.Fprintln(a.stdout, "warning: "+warning)
	}
}
