package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
)

func (a *app) checkpointVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify RUN [TASK[/INDEX] [ID]]",
		Short: "Read checkpoints and compare every chunk with its digest",
		Long: `Reads all that each checkpoint names and compares it with its digests. Damaged and
missing objects are named, and the exit code is 1. All of it is fetched: of a large
task on a distant bucket you may want to name one ID.`,
		Example: `  spotrelay checkpoint verify last
  spotrelay checkpoint verify last train
  spotrelay checkpoint verify last shard/3 2-7`,
		Args:              between(1, "RUN", "TASK", "ID"),
		ValidArgsFunction: a.completeCheckpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			rest := append(args, "", "")
			return a.verifyCheckpoints(cmd.Context(), args[0], rest[1], rest[2])
		},
	}
}

// checkpointVerifyJSON is what checkpoint verify --json prints.
type checkpointVerifyJSON struct {
	Version     int            `json:"version"`
	Run         string         `json:"run"`
	Damaged     int            `json:"damaged"` // checkpoints
	Checkpoints []verifiedJSON `json:"checkpoints"`
}

type verifiedJSON struct {
	Task    string       `json:"task"`
	Index   int          `json:"index"`
	Name    string       `json:"name,omitempty"` // of the directory
	ID      string       `json:"id"`
	Packs   int          `json:"packs"`
	Chunks  int          `json:"chunks"` // that are whole
	Damaged []damageJSON `json:"damaged"`
}

func (a *app) verifyCheckpoints(ctx context.Context, run, task, id string) error {
	c, err := a.openCheckpoints(ctx, run)
	if err != nil {
		return err
	}
	defer c.close()
	list, err := c.toVerify(ctx, task, id)
	if err != nil {
		return err
	}
	report := checkpointVerifyJSON{Version: jsonVersion, Run: c.run, Checkpoints: []verifiedJSON{}}
	for _, s := range list {
		for _, ref := range s.refs {
			found, err := c.verify(ctx, s, ref)
			if err != nil {
				return err
			}
			if len(found.Damaged) > 0 {
				report.Damaged++
			}
			report.Checkpoints = append(report.Checkpoints, found)
			if !a.json {
				a.printVerified(c.name(s), found)
			}
		}
	}
	if a.json {
		err = a.printJSON(report)
	} else {
		fmt.Fprintf(a.stdout, "%s verified, %d damaged\n", narrate.Count(len(report.Checkpoints), "checkpoint"), report.Damaged)
	}
	if err == nil && report.Damaged > 0 {
		return exitWith(exitFailed)
	}
	return err
}

func (c *checkpoints) toVerify(ctx context.Context, task, id string) ([]series, error) {
	if id == "" {
		return c.all(ctx, task)
	}
	s, err := c.one(ctx, task)
	if err != nil {
		return nil, err
	}
	ref, err := c.find(s, id)
	s.refs = []checkpointing.Ref{ref}
	return []series{s}, err
}

func (c *checkpoints) verify(ctx context.Context, s series, ref checkpointing.Ref) (verifiedJSON, error) {
	result, err := c.engine.Verify(ctx, ref, checkpointing.VerifyOptions{})
	if err != nil {
		return verifiedJSON{}, err
	}
	found := verifiedJSON{Task: s.task.Name, Index: s.index, Name: s.name, ID: idText(ref.ID), Packs: result.Packs, Chunks: result.Chunks, Damaged: []damageJSON{}}
	for _, err := range result.Damaged {
		found.Damaged = append(found.Damaged, damageOf("", err))
	}
	return found, nil
}

func (a *app) printVerified(name string, found verifiedJSON) {
	if len(found.Damaged) == 0 {
		fmt.Fprintf(a.stdout, "%s %s is whole: %s in %s\n", name, found.ID, narrate.Count(found.Chunks, "chunk"), narrate.Count(found.Packs, "pack"))
	}
	for _, d := range found.Damaged {
		fmt.Fprintf(a.stdout, "%s %s is damaged: %s\n", name, found.ID, d.Message)
	}
}
