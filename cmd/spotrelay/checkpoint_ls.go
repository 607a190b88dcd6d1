package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing"
)

// readers is how many manifests are read at once.
const readers = 8

func (a *app) checkpointListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls RUN [TASK[/INDEX]]",
		Short: "List the checkpoints of a run, and which is the newest whole one",
		Long: `Lists checkpoints, the newest of each task last: size and number of files, when it
was saved, what it went on from, and which one a restore takes now. One whose
manifest cannot be read, or that is passed over for a pack that is gone, is shown
as damaged. What is in the packs is read by checkpoint verify only.`,
		Example: `  spotrelay checkpoint ls last
  spotrelay checkpoint ls last train
  spotrelay checkpoint ls 01k9 shard/3 --json`,
		Args:              between(1, "RUN", "TASK"),
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.listCheckpoints(cmd.Context(), args[0], append(args, "")[1])
		},
	}
}

// checkpointsJSON is what checkpoint ls --json prints.
type checkpointsJSON struct {
	Version     int              `json:"version"`
	Run         string           `json:"run"`
	Checkpoints []checkpointJSON `json:"checkpoints"`
}

type checkpointJSON struct {
	Task    string      `json:"task"`
	Index   int         `json:"index"`
	Name    string      `json:"name,omitempty"` // of the directory
	ID      string      `json:"id"`
	Object  string      `json:"key"` // of the manifest
	Digest  string      `json:"digest,omitempty"`
	Bytes   int64       `json:"bytes"`
	Files   int         `json:"files"`
	SavedAt *time.Time  `json:"saved_at,omitempty"` // by the saver's clock
	Parent  string      `json:"parent,omitempty"`
	Newest  bool        `json:"newest"`
	Damaged *damageJSON `json:"damaged,omitempty"`

	name string
}

func (c *checkpoints) view(s series, ref checkpointing.Ref) checkpointJSON {
	view := checkpointJSON{
		Task: s.task.Name, Index: s.index, Name: s.name, ID: idText(ref.ID), Object: ref.Key, Digest: ref.Digest,
		Bytes: ref.Bytes, Files: ref.Files, Parent: parentText(ref), name: c.name(s),
	}
	if !ref.SavedAt.IsZero() {
		view.SavedAt = &ref.SavedAt
	}
	return view
}

func (a *app) listCheckpoints(ctx context.Context, run, task string) error {
	c, err := a.openCheckpoints(ctx, run)
	if err != nil {
		return err
	}
	defer c.close()
	all, err := c.all(ctx, task)
	if err != nil {
		return err
	}
	list := []checkpointJSON{}
	for _, s := range all {
		views, err := c.inspect(ctx, s)
		if err != nil {
			return err
		}
		list = append(list, views...)
	}
	if a.json {
		return a.printJSON(checkpointsJSON{Version: jsonVersion, Run: c.run, Checkpoints: list})
	}
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "no checkpoint yet")
		return nil
	}
	a.printCheckpoints(list)
	return nil
}

// inspect reads the manifests of a series.
func (c *checkpoints) inspect(ctx context.Context, s series) ([]checkpointJSON, error) {
	newest, passed, err := c.newest(ctx, s)
	if err != nil {
		return nil, err
	}
	views := make([]checkpointJSON, len(s.refs))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(readers)
	for i, ref := range s.refs {
		workers.Go(func() error {
			full, _, err := c.engine.Inspect(ctx, ref)
			switch {
			case err == nil:
				views[i] = c.view(s, full)
			case isDamage(err) || errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeVersion}):
				damage := damageOf("", err)
				views[i] = c.view(s, ref)
				views[i].Damaged = &damage
			default:
				return err
			}
			views[i].Newest = ref.Key == newest.Key
			for _, d := range passed {
				if d.Ref.Key == ref.Key {
					damage := damageOf("", d.Err)
					views[i].Damaged = &damage
				}
			}
			return nil
		})
	}
	return views, workers.Wait()
}

// newest is the one that a restore would take, zero when none can be taken, and
// the newer ones that are damaged.
func (c *checkpoints) newest(ctx context.Context, s series) (checkpointing.Ref, []checkpointing.Damaged, error) {
	newest, passed, err := checkpointing.Newest(ctx, c.engine, c.prefix(s))
	if isDamage(err) || errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeVersion}) {
		return checkpointing.Ref{}, passed, nil
	}
	return newest, passed, err
}

func (a *app) printCheckpoints(list []checkpointJSON) {
	var rows [][]string
	for _, v := range list {
		row := []string{v.name, v.ID, "-", "-", "-", v.Parent, ""}
		if v.SavedAt != nil {
			row[2], row[3], row[4] = fmt.Sprint(v.Bytes), fmt.Sprint(v.Files), v.SavedAt.Local().Format(time.DateTime)
		}
		switch {
		case v.Damaged != nil:
			row[6] = "damaged: " + v.Damaged.Message
		case v.Newest:
			row[6] = "newest"
		}
		rows = append(rows, row)
	}
	printTable(a.stdout, []string{"TASK", "CHECKPOINT", "BYTES", "FILES", "SAVED", "FROM", ""}, rows)
}
