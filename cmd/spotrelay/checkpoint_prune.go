package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
)

type checkpointPruneFlags struct {
	last   int
	every  time.Duration
	dryRun bool
}

func (a *app) checkpointPruneCommand() *cobra.Command {
	var flags checkpointPruneFlags
	cmd := &cobra.Command{
		Use:   "prune RUN [TASK[/INDEX]] --last N",
		Short: "Remove the older checkpoints of a run that is over",
		Long: `Removes the checkpoints of each task but the newest N, and with --every keeps the
newest one of each such period, too. The newest whole one is always kept, however
many damaged ones are newer. The run must be over and its instances gone: until
then an attempt may share chunks with an older checkpoint, or fall back on it.

What only they had in packs is freed by the next spotrelay gc --chunks.`,
		Example: `  spotrelay checkpoint prune last --last 1
  spotrelay checkpoint prune last train --last 3 --every 1h --dry-run`,
		Args:              between(1, "RUN", "TASK"),
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !cmd.Flags().Changed("last"):
				return wrongCall("--last 1 keeps the newest of each task", "--last is missing: how many to keep")
			case flags.last < 1:
				return wrongCall("--last 1 keeps the newest of each task", "--last is 1 or more")
			case flags.every < 0:
				return wrongCall("as in --every 1h", "--every is more than 0")
			}
			return a.pruneCheckpoints(cmd.Context(), args[0], append(args, "")[1], flags)
		},
	}
	cmd.Flags().IntVar(&flags.last, "last", 0, "keep so many of the newest of each task")
	cmd.Flags().DurationVar(&flags.every, "every", 0, "keep the newest of each such `period`, too")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "tell what would be removed")
	return cmd
}

// checkpointPruneJSON is what checkpoint prune --json prints.
type checkpointPruneJSON struct {
	Version int          `json:"version"`
	Run     string       `json:"run"`
	DryRun  bool         `json:"dry_run"`
	Kept    []prunedJSON `json:"kept"`
	Removed []prunedJSON `json:"removed"`
}

type prunedJSON struct {
	Task  string `json:"task"`
	Index int    `json:"index"`
	ID    string `json:"id"`
	Key   string `json:"key"`

	name string
}

func (a *app) pruneCheckpoints(ctx context.Context, run, task string, flags checkpointPruneFlags) error {
	c, err := a.openCheckpoints(ctx, run)
	if err != nil {
		return err
	}
	defer c.close()
	list, err := c.all(ctx, task)
	if err != nil {
		return err
	}
	if !c.state.Closed {
		return wrongCall("prune when it is over; spotrelay status "+c.run+" says how far it is",
			"run %s is %s: its attempts may need any of its checkpoints", c.run, c.state.Run())
	}
	report, err := c.prune(ctx, list, flags)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(report)
	}
	a.printPruned(report)
	return nil
}

func (c *checkpoints) prune(ctx context.Context, list []series, flags checkpointPruneFlags) (checkpointPruneJSON, error) {
	report := checkpointPruneJSON{Version: jsonVersion, Run: c.run, DryRun: flags.dryRun, Kept: []prunedJSON{}, Removed: []prunedJSON{}}
	pins := make([][]string, len(list))
	for i, s := range list { // before anything is removed
		var err error
		if pins[i], err = c.pinned(ctx, s); err != nil {
			return report, err
		}
	}
	for i, s := range list {
		result, err := c.engine.Prune(ctx, checkpointing.PruneOptions{
			Prefix: c.prefix(s), Pinned: pins[i], DryRun: flags.dryRun,
			Keep: checkpointing.Retention{Last: flags.last, Every: flags.every},
		})
		if err != nil {
			return report, err
		}
		for _, ref := range result.Kept {
			report.Kept = append(report.Kept, prunedJSON{s.task.Name, s.index, idText(ref.ID), ref.Key, c.name(s)})
		}
		for _, ref := range result.Removed {
			report.Removed = append(report.Removed, prunedJSON{s.task.Name, s.index, idText(ref.ID), ref.Key, c.name(s)})
		}
	}
	return report, nil
}

// pinned is the newest checkpoint that looks whole, and the newest of those
// that no attempt has found to be damaged inside.
func (c *checkpoints) pinned(ctx context.Context, s series) ([]string, error) {
	newest, _, err := checkpointing.Newest(ctx, c.engine, c.prefix(s))
	if err != nil && !isDamage(err) {
		return nil, err
	}
	pins := []string{newest.Key}
	bad := c.state.Tasks[s.at].Indexes[s.index].Bad
	if !slices.Contains(bad, newest.Key) {
		return pins, nil
	}
	for _, ref := range slices.Backward(s.refs) {
		if slices.Contains(bad, ref.Key) {
			continue
		}
		_, _, err := c.engine.Inspect(ctx, ref)
		if err == nil {
			return append(pins, ref.Key), nil
		}
		if !isDamage(err) {
			return nil, err
		}
	}
	return pins, nil
}

func (a *app) printPruned(report checkpointPruneJSON) {
	verb := "removed"
	if report.DryRun {
		verb = "would remove"
	}
	for _, r := range report.Removed {
		fmt.Fprintf(a.stdout, "%s %s %s\n", verb, r.name, r.ID)
	}
	fmt.Fprintf(a.stdout, "%s %s, kept %d\n", verb, narrate.Count(len(report.Removed), "checkpoint"), len(report.Kept))
	if len(report.Removed) > 0 {
		fmt.Fprintln(a.stdout, "chunks that no other checkpoint names are freed by spotrelay gc --chunks")
	}
}
