package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/submit"
)

func (a *app) rerunCommand() *cobra.Command {
	var cache cacheFlags
	var detach bool
	cmd := &cobra.Command{
		Use:   "rerun RUN",
		Short: "Run exactly what a run ran, from the beginning",
		Long: `Makes a new run of exactly what an earlier one ran, and carries it to its end: its
job file as it was, the files and inputs that it had, the same agent and seeds. What
is on this machine plays no part. Nothing is taken over but what the cache has;
--no-cache runs that too. spotrelay diff compares the two.`,
		Example: `  spotrelay rerun last
  spotrelay rerun 01k9 --no-cache
  spotrelay rerun 01k9 --detach`,
		Args:              exact("RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cache.check(); err != nil {
				return err
			}
			return a.rerun(cmd.Context(), args[0], cache, detach)
		},
	}
	cache.add(cmd)
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "print the new run's id and let it go on in the background")
	return cmd
}

func (a *app) rerun(ctx context.Context, ref string, cache cacheFlags, detach bool) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	run, err := resolveRun(ctx, b, ref)
	if err != nil {
		return err
	}
	options, err := againOptions(b, run)
	if err != nil {
		return err
	}
	options.Change = func(spec *job.Spec) error {
		cache.apply(spec)
		return nil
	}
	spec, err := submit.Rerun(ctx, options)
	if err != nil {
		return fmt.Errorf("running run %s again: %w", run, err)
	}
	manager, err := a.pluginManager(spec.Source.File)
	if err != nil {
		return err
	}
	defer manager.Close()
	if detach {
		return a.detach(ctx, b, spec.Run, spec.Job)
	}
	w, err := watch.FromStart(ctx, b, spec.Run)
	if err != nil {
		return err
	}
	return a.carryRun(ctx, b, w, manager)
}
