package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/store"
)

func (a *app) submitCommand() *cobra.Command {
	var flags fileFlags
	cmd := &cobra.Command{
		Use:   "submit FILE",
		Short: "Submit a job file as a run, for spotrelay serve to carry out",
		Long: `Submits a job file as a run and ends. A controller that serves the bucket takes the
run up (spotrelay serve), or anyone by spotrelay attach.`,
		Example: `  spotrelay submit job.hcl --bucket s3://acme-batch/spotrelay
  spotrelay submit job.hcl -var epochs=3`,
		Args:              exact("FILE"),
		ValidArgsFunction: completeJobFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			manager, err := a.pluginManager(args[0])
			if err != nil {
				return err
			}
			defer manager.Close()
			b, run, err := a.submit(cmd.Context(), args[0], flags, manager)
			if err != nil {
				return err
			}
			defer b.Close()
			return a.saySubmitted(cmd.Context(), run, b)
		},
	}
	flags.add(cmd)
	return cmd
}

func (a *app) saySubmitted(ctx context.Context, run string, b bucket.Bucket) error {
	if !a.json {
		fmt.Fprintln(a.stdout, run)
		return a.adviseServing(ctx, run, b)
	}
	spec, err := store.ReadSpec(ctx, b, run)
	if err != nil {
		return err
	}
	return a.printJSON(startedJSON{Version: jsonVersion, Event: "run-submitted", Run: run, Job: spec.Job, Bucket: b.Describe().URL})
}

// adviseServing says what carries a run on that was submitted, when it looks as
// though nobody would.
func (a *app) adviseServing(ctx context.Context, run string, b bucket.Bucket) error {
	controllers, err := store.ListMembers(ctx, b)
	if err != nil || len(controllers) > 0 {
		return err
	}
	fmt.Fprintf(a.stderr, "no controller serves this bucket now: start one by spotrelay serve, or carry the run by %s\n", a.again("attach", run, b))
	return nil
}
