package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/runner/jobspec"
	"github.com/spotrelay/spotrelay/runner/submit"
)

type runFlags struct {
	file   fileFlags
	cache  cacheFlags
	detach bool
}

func (a *app) runCommand() *cobra.Command {
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a job file to its end",
		Long: `Submits a job file as a run and carries it to its end, before your eyes. FILE may
be a folder, whose *.hcl are read together, or - for the standard input.

Everything is in the bucket: should this program end, spotrelay attach goes on from
there. Ctrl-C asks whether to leave the run running or to cancel it; where there is
no terminal it leaves it, with exit code 130.`,
		Example: `  spotrelay run job.hcl
  spotrelay run job.hcl -var epochs=3 --detach
  spotrelay run job.hcl --no-cache
  spotrelay run job.hcl --json | jq -r .text`,
		Args:              exact("FILE"),
		ValidArgsFunction: completeJobFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd.Context(), args[0], flags)
		},
	}
	flags.file.add(cmd)
	flags.cache.add(cmd)
	cmd.Flags().BoolVarP(&flags.detach, "detach", "d", false, "print the run's id and let it go on in the background")
	return cmd
}

func (a *app) run(ctx context.Context, path string, flags runFlags) error {
	manager, err := a.pluginManager(path)
	if err != nil {
		return err
	}
	defer manager.Close()
	b, run, err := a.submit(ctx, path, flags.file, flags.cache, manager)
	if err != nil {
		return err
	}
	defer b.Close()
	w, err := watch.FromStart(ctx, b, run)
	if err != nil {
		return err
	}
	if flags.detach {
		return a.detach(ctx, b, run, w.State.Spec.Job)
	}
	return a.carryRun(ctx, b, w, manager)
}

// submit reads a job file and makes a run of it.
func (a *app) submit(ctx context.Context, path string, flags fileFlags, cache cacheFlags, manager *plugins.Manager) (b bucket.Bucket, run string, err error) {
	if err := cache.check(); err != nil {
		return nil, "", err
	}
	file, err := a.readJobFile(ctx, path, flags, manager)
	if err != nil {
		return nil, "", err
	}
	cache.apply(file.Spec)
	agents, err := agentPrograms()
	if err != nil {
		return nil, "", err
	}
	address, err := a.bucketAddress(file.Bucket)
	if err != nil {
		return nil, "", err
	}
	if b, err = openAddress(ctx, address); err != nil {
		return nil, "", err
	}
	if run, err = a.submitTo(ctx, b, file, agents, manager); err != nil {
		return nil, "", errors.Join(err, b.Close())
	}
	return b, run, nil
}

func (a *app) submitTo(ctx context.Context, b bucket.Bucket, file *jobspec.File, agents map[string]string, manager *plugins.Manager) (string, error) {
	options := submitOptions(b, file, agents, manager)
	options.Skipped = a.printSkipped
	options.Folder = "."
	if len(file.Paths) > 0 && file.Paths[0] != "-" {
		options.Folder = filepath.Dir(file.Paths[0])
	}
	options.InputProgress = a.importProgress()
	run, err := submit.Submit(ctx, options)
	if err != nil {
		return "", fmt.Errorf("submitting job %s: %w", file.Spec.Job, err)
	}
	return run, nil
}

func submitOptions(b bucket.Bucket, file *jobspec.File, agents map[string]string, manager *plugins.Manager) submit.Options {
	options := submit.Options{Bucket: b, Spec: file.Spec, Agents: agents, Version: version, Providers: manager}
	if file.Workdir != nil {
		options.Workdir = &submit.Workdir{Root: file.Workdir.Root, Keep: file.Workdir.Keep, Covers: jobspec.Covers}
	}
	for _, input := range file.Inputs {
		options.Inputs = append(options.Inputs, submit.Input{Name: input.Name, Address: input.Address})
	}
	return options
}

// printSkipped says what of the workdir the instances will not have.
func (a *app) printSkipped(entries []string) {
	const most = 10
	for _, entry := range entries[:min(most, len(entries))] {
		fmt.Fprintf(a.stderr, "not sent with the workdir: %s\n", entry)
	}
	if len(entries) > most {
		fmt.Fprintf(a.stderr, "not sent with the workdir: %d more\n", len(entries)-most)
	}
}
