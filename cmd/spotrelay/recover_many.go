package main

import (
	"context"
	"fmt"
	"path"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// recoveriesJSON is what recover --failed --json and --match --json print.
type recoveriesJSON struct {
	Version    int            `json:"version"`
	Recoveries []recoveryJSON `json:"recoveries"`
}

// recoveryJSON is a run that was recovered, or why it was not.
type recoveryJSON struct {
	From        string `json:"from"` // the earlier run
	Job         string `json:"job"`
	Run         string `json:"run,omitempty"` // the new one
	Taken       int    `json:"taken"`         // indexes that had succeeded
	Checkpoints int    `json:"checkpoints"`   // indexes that go on from one
	Left        int    `json:"left"`          // indexes that are still to succeed
	Error       string `json:"error,omitempty"`
}

// recoverMany recovers all runs that the flags say, each once. That one cannot
// be recovered keeps the others from nothing.
func (a *app) recoverMany(ctx context.Context, flags recoverFlags) error {
	if _, err := path.Match(flags.match, ""); err != nil {
		return wrongCall("as in --match 'nightly-*'", "--match %s is no glob", flags.match)
	}
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	runs, err := recoverable(ctx, b, flags)
	if err != nil {
		return err
	}
	list := recoveriesJSON{Version: jsonVersion, Recoveries: []recoveryJSON{}}
	failed := false
	for _, state := range runs {
		view := recoveryJSON{From: state.Spec.Run, Job: state.Spec.Job}
		found, err := a.recoverOne(ctx, b, state.Spec.Run, flags.limits.apply)
		if err == nil {
			view.Run = found.Spec.Run
			view.Taken, view.Checkpoints = found.Spec.Recovery.Succeeded(), found.Spec.Recovery.Checkpoints()
			for i := range found.Spec.Tasks {
				view.Left += found.Spec.Tasks[i].Count
			}
			view.Left -= view.Taken
			if flags.detach {
				err = a.startBackground(ctx, b.Describe().URL, view.Run)
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			view.Error, failed = err.Error(), true
		}
		list.Recoveries = append(list.Recoveries, view)
	}
	if err := a.printRecoveries(ctx, b, list, flags.detach); err != nil {
		return err
	}
	if failed {
		return exitWith(exitFailed)
	}
	return nil
}

// recoverable are the runs that the flags say, oldest first: those that failed
// or were cancelled, and that no other run recovers.
func recoverable(ctx context.Context, b bucket.Bucket, flags recoverFlags) ([]*plan.State, error) {
	ids, err := store.ListRuns(ctx, b)
	if err != nil {
		return nil, err
	}
	superseded := map[string]bool{}
	var found []*plan.State
	for _, id := range ids {
		spec, err := store.ReadSpec(ctx, b, id)
		if err != nil {
			return nil, err
		}
		if spec.Recovery != nil {
			superseded[spec.Recovery.Run] = true
		}
		if flags.since > 0 && time.Since(spec.Created) > flags.since || !matches(flags.match, spec.Job, id) {
			continue
		}
		state, _, err := store.LoadRun(ctx, b, id)
		if err != nil {
			return nil, err
		}
		failed := state.Run() == plan.RunFailed
		if failed || !flags.failed && state.Run() == plan.RunCancelled {
			found = append(found, state)
		}
	}
	var open []*plan.State
	for _, state := range found {
		if !superseded[state.Spec.Run] {
			open = append(open, state)
		}
	}
	return open, nil
}

// matches reports whether a glob, "" for any, matches one of the names.
func matches(glob string, names ...string) bool {
	if glob == "" {
		return true
	}
	for _, name := range names {
		if ok, err := path.Match(glob, name); ok && err == nil {
			return true
		}
	}
	return false
}

func (a *app) printRecoveries(ctx context.Context, b bucket.Bucket, list recoveriesJSON, detached bool) error {
	if a.json {
		return a.printJSON(list)
	}
	if len(list.Recoveries) == 0 {
		fmt.Fprintln(a.stdout, "nothing to recover: no such run failed that was not recovered since")
		return nil
	}
	var rows [][]string
	last := ""
	for _, r := range list.Recoveries {
		if r.Run == "" {
			rows = append(rows, []string{r.From, r.Job, "-", "", "", "", r.Error})
			continue
		}
		last = r.Run
		rows = append(rows, []string{r.From, r.Job, r.Run, fmt.Sprint(r.Taken), fmt.Sprint(r.Checkpoints), fmt.Sprint(r.Left), r.Error})
	}
	printTable(a.stdout, []string{"RUN", "JOB", "RECOVERED BY", "TAKEN OVER", "CHECKPOINTS", "LEFT", "FAULT"}, rows)
	if last == "" || detached {
		return nil
	}
	return a.adviseServing(ctx, last, b)
}
