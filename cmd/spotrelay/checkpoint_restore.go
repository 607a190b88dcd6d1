package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing"
)

type checkpointRestoreFlags struct {
	to   string
	only []string
}

func (a *app) checkpointRestoreCommand() *cobra.Command {
	var flags checkpointRestoreFlags
	cmd := &cobra.Command{
		Use:   "restore RUN TASK[/INDEX] [ID] --to DIR",
		Short: "Fetch a checkpoint, or some of its files, into a folder",
		Long: `Fetches a checkpoint and verifies every chunk of it: the newest whole one, or the
one that ID names. Damaged ones that were passed over are named. The folder is
whole at the end or is not there. --only takes * and ? within a name, ** over
folders, {a,b}; a folder that matches takes along what is in it.`,
		Example: `  spotrelay checkpoint restore last train --to /tmp/train
  spotrelay checkpoint restore last shard/3 2-7 --to shard3
  spotrelay checkpoint restore last train --to weights --only '**/*.pt' --only config.json`,
		Args:              between(2, "RUN", "TASK", "ID"),
		ValidArgsFunction: a.completeCheckpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.to == "" {
				return wrongCall("see "+cmd.CommandPath()+" --help", "--to is missing: the folder to restore into")
			}
			for _, pattern := range flags.only {
				if !doublestar.ValidatePattern(pattern) {
					return wrongCall("as in 'ckpt/*.pt' or 'logs/**'", "%q is not a pattern for --only", pattern)
				}
			}
			return a.restoreCheckpoint(cmd.Context(), args[0], args[1], append(args, "")[2], flags)
		},
	}
	cmd.Flags().StringVar(&flags.to, "to", "", "restore into this `folder`, which must not exist or be empty")
	cmd.Flags().StringArrayVar(&flags.only, "only", nil, "only files whose paths match this `pattern`; may be repeated")
	return cmd
}

// checkpointRestoreJSON is what checkpoint restore --json prints.
type checkpointRestoreJSON struct {
	Version    int            `json:"version"`
	Run        string         `json:"run"`
	Checkpoint checkpointJSON `json:"checkpoint"`
	Path       string         `json:"path"`
	PassedOver []damageJSON   `json:"passed_over"`
}

func (a *app) restoreCheckpoint(ctx context.Context, run, task, id string, flags checkpointRestoreFlags) error {
	c, err := a.openCheckpoints(ctx, run)
	if err != nil {
		return err
	}
	defer c.close()
	s, err := c.one(ctx, task)
	if err != nil {
		return err
	}
	candidates := s.refs
	if id != "" {
		ref, err := c.find(s, id)
		if err != nil {
			return err
		}
		candidates = []checkpointing.Ref{ref}
	}
	if err := wantEmpty(flags.to); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(flags.to)), 0o755); err != nil {
		return err
	}
	ref, passed, err := c.restoreFirst(ctx, candidates, flags)
	if err != nil && len(passed) > 1 { // of a single one the error says it
		a.passedOver(passed)
	}
	if err != nil {
		return err
	}
	a.passedOver(passed)
	if a.json {
		view := c.view(s, ref)
		newest, _, err := c.newest(ctx, s)
		if err != nil {
			return err
		}
		view.Newest = ref.Key == newest.Key
		return a.printJSON(checkpointRestoreJSON{Version: jsonVersion, Run: c.run, Checkpoint: view, Path: flags.to, PassedOver: passed})
	}
	what := fmt.Sprintf("%d files, %d bytes", ref.Files, ref.Bytes)
	if len(flags.only) > 0 {
		what = "those that match " + strings.Join(flags.only, ", ")
	}
	fmt.Fprintf(a.stdout, "restored checkpoint %s of %s into %s: %s\n", idText(ref.ID), c.name(s), flags.to, what)
	return nil
}

// restoreFirst restores the newest of the candidates that is not damaged, and
// tells which were.
func (c *checkpoints) restoreFirst(ctx context.Context, candidates []checkpointing.Ref, flags checkpointRestoreFlags) (checkpointing.Ref, []damageJSON, error) {
	passed := []damageJSON{}
	var first error
	for _, ref := range slices.Backward(candidates) {
		full, err := c.restoreOne(ctx, ref, flags)
		if err == nil {
			return full, passed, nil
		}
		if !isDamage(err) {
			return full, passed, err
		}
		if first == nil {
			first = err
		}
		passed = append(passed, damageOf(idText(ref.ID), err))
	}
	if len(candidates) == 1 {
		return checkpointing.Ref{}, passed, first
	}
	return checkpointing.Ref{}, passed, fmt.Errorf("all %d checkpoints are damaged, the newest: %w", len(candidates), first)
}

func (c *checkpoints) restoreOne(ctx context.Context, ref checkpointing.Ref, flags checkpointRestoreFlags) (checkpointing.Ref, error) {
	full, entries, err := c.engine.Inspect(ctx, ref)
	if err != nil {
		return full, err
	}
	// A pattern that nothing matches is no damage, for which an older one
	// would be taken.
	for _, pattern := range flags.only {
		if !slices.ContainsFunc(entries, func(e checkpointing.Entry) bool {
			return doublestar.MatchUnvalidated(strings.TrimSuffix(pattern, "/"), e.Path)
		}) {
			return full, wrongCall("spotrelay checkpoint show lists its files", "no file of checkpoint %s matches %q", idText(ref.ID), pattern)
		}
	}
	return full, c.engine.Restore(ctx, full, flags.to, checkpointing.RestoreOptions{Only: flags.only})
}
