package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
)

type checkpointPruneFlags struct {
	last     int
	every    time.Duration
	dryRun   bool
	noVerify bool
}

func (a *app) checkpointPruneCommand() *cobra.Command {
	var flags checkpointPruneFlags
	cmd := &cobra.Command{
		Use:   "prune RUN [TASK[/INDEX]] --last N",
		Short: "Remove the older checkpoints of a run that is over",
		Long: `Removes the checkpoints of each task but the newest N, and with --every keeps the
newest one of each such period, too. Before it removes any of a task it reads the
newest in full; if that is damaged, the newest whole one is kept beside the N, and
when none is whole, all are. The run must be over and its instances gone: until
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
	cmd.Flags().BoolVar(&flags.noVerify, "no-verify", false, "do not read what is kept: look at its manifest and whether its packs are there")
	return cmd
}

// checkpointPruneJSON is what checkpoint prune --json prints.
type checkpointPruneJSON struct {
	Version int          `json:"version"`
	Run     string       `json:"run"`
	DryRun  bool         `json:"dry_run"`
	Kept    []prunedJSON `json:"kept"`
	Removed []prunedJSON `json:"removed"`
	Damaged []prunedJSON `json:"damaged"` // that an older one is kept for
}

type prunedJSON struct {
	Task  string `json:"task"`
	Index int    `json:"index"`
	Name  string `json:"name,omitempty"` // of the directory
	ID    string `json:"id"`
	Key   string `json:"key"`
	Error string `json:"error,omitempty"` // of a damaged one

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
	report := checkpointPruneJSON{Version: jsonVersion, Run: c.run, DryRun: flags.dryRun, Kept: []prunedJSON{}, Removed: []prunedJSON{}, Damaged: []prunedJSON{}}
	keep := make([]keeping, len(list))
	for i, s := range list { // before anything is removed
		var err error
		if keep[i], err = c.toKeep(ctx, s, flags); err != nil {
			return report, err
		}
		for _, d := range keep[i].damaged {
			report.Damaged = append(report.Damaged, prunedJSON{s.task.Name, s.index, s.name, idText(d.Ref.ID), d.Ref.Key, d.Err.Error(), c.name(s)})
		}
	}
	for i, s := range list {
		result, err := c.engine.Prune(ctx, checkpointing.PruneOptions{
			Prefix: c.prefix(s), Pinned: keep[i].keys, DryRun: flags.dryRun,
			Keep: checkpointing.Retention{Last: flags.last, Every: flags.every},
		})
		if err != nil {
			return report, err
		}
		for _, ref := range result.Kept {
			report.Kept = append(report.Kept, prunedJSON{s.task.Name, s.index, s.name, idText(ref.ID), ref.Key, "", c.name(s)})
		}
		for _, ref := range result.Removed {
			report.Removed = append(report.Removed, prunedJSON{s.task.Name, s.index, s.name, idText(ref.ID), ref.Key, "", c.name(s)})
		}
	}
	return report, nil
}

// keeping is what is kept of a series whatever else is said.
type keeping struct {
	keys    []string
	damaged []checkpointing.Damaged // that are newer
}

// toKeep is the newest whole checkpoint of a series, or all when none is whole.
// Nothing is read of one that nothing is removed from.
func (c *checkpoints) toKeep(ctx context.Context, s series, flags checkpointPruneFlags) (keeping, error) {
	if len(s.refs) <= flags.last {
		return keeping{}, nil
	}
	var keep keeping
	bad := c.state.Tasks[s.at].Indexes[s.index].Bad
	for _, ref := range slices.Backward(s.refs) {
		damage, err := c.damageIn(ctx, ref, !flags.noVerify)
		if err != nil {
			return keep, err
		}
		if damage == nil && flags.noVerify && slices.Contains(bad, ref.Key) {
			damage = errBad
		}
		if damage == nil {
			keep.keys = []string{ref.Key}
			return keep, nil
		}
		keep.damaged = append(keep.damaged, checkpointing.Damaged{Ref: ref, Err: damage})
		keep.keys = append(keep.keys, ref.Key)
	}
	return keep, nil
}

var errBad = errors.New("an attempt could not restore it")

// damageIn is what is wrong with a checkpoint; err is about what could not be
// found out.
func (c *checkpoints) damageIn(ctx context.Context, ref checkpointing.Ref, read bool) (damage, err error) {
	if read {
		result, err := c.engine.Verify(ctx, ref, checkpointing.VerifyOptions{})
		return errors.Join(result.Damaged...), err
	}
	// Its own key is a prefix that no other checkpoint has.
	_, passed, err := checkpointing.Newest(ctx, c.engine, ref.Key)
	if isDamage(err) && len(passed) > 0 {
		return passed[0].Err, nil
	}
	return nil, err
}

func (a *app) printPruned(report checkpointPruneJSON) {
	verb := "removed"
	if report.DryRun {
		verb = "would remove"
	}
	for _, d := range report.Damaged {
		fmt.Fprintf(a.stderr, "%s %s is damaged, so an older one is kept if one is whole, and else all: %s\n", d.name, d.ID, d.Error)
	}
	for _, r := range report.Removed {
		fmt.Fprintf(a.stdout, "%s %s %s\n", verb, r.name, r.ID)
	}
	fmt.Fprintf(a.stdout, "%s %s, kept %d\n", verb, narrate.Count(len(report.Removed), "checkpoint"), len(report.Kept))
	if len(report.Removed) > 0 {
		fmt.Fprintln(a.stdout, "chunks that no other checkpoint names are freed by spotrelay gc --chunks")
	}
}
