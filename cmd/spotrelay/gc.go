package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/sweep"
)

type gcFlags struct {
	dryRun bool
	chunks bool
	grace  time.Duration
}

func (a *app) gcCommand() *cobra.Command {
	var flags gcFlags
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "End leaked instances; with --chunks, remove data that nothing names",
		Long: `Ends the instances that bear this bucket's tag and that no live run answers for, as
audit lists them. With --chunks it then removes the chunks that no manifest names:
it marks, waits for --grace, which must be longer than any save may last, looks
again, and removes.`,
		Example: `  spotrelay gc
  spotrelay gc --dry-run
  spotrelay gc --chunks --grace 30m`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.grace <= 0 {
				return wrongCall("a save must be able to end meanwhile", "--grace is more than 0")
			}
			return a.sweeping(cmd.Context(), func(ctx context.Context, opts sweep.Options) error {
				opts.DryRun, opts.KeepChunks, opts.Grace = flags.dryRun, !flags.chunks, flags.grace
				return a.collect(ctx, opts)
			})
		},
	}
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "tell what would be done")
	cmd.Flags().BoolVar(&flags.chunks, "chunks", false, "remove chunks that no manifest names, too")
	cmd.Flags().DurationVar(&flags.grace, "grace", sweep.DefaultGrace, "how long a save may last")
	return cmd
}

// gcJSON is what gc --json prints.
type gcJSON struct {
	Version int  `json:"version"`
	DryRun  bool `json:"dry_run"`
	sweep.Collected
}

func (a *app) collect(ctx context.Context, opts sweep.Options) error {
	collected, collectErr := sweep.Collect(ctx, opts)
	leaked := []sweep.Found{}
	for _, f := range collected.Instances {
		if f.Leaked {
			leaked = append(leaked, f)
		}
	}
	collected.Instances = leaked
	if a.json {
		return errors.Join(a.printJSON(gcJSON{jsonVersion, opts.DryRun, collected}), collectErr)
	}
	a.printFound(leaked)
	verb := "ended"
	if opts.DryRun {
		verb = "would end"
	}
	fmt.Fprintf(a.stdout, "%s %s\n", verb, narrate.Count(len(leaked), "leaked instance"))
	if !opts.KeepChunks && collectErr == nil {
		fmt.Fprintf(a.stdout, "%d of %d chunks named by nothing, %d bytes\n", collected.Chunks.Removed, collected.Chunks.Chunks, collected.Chunks.BytesRemoved)
	}
	return collectErr
}
