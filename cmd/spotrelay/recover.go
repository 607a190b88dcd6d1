package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
	"github.com/spotrelay/spotrelay/runner/submit"
)

type recoverFlags struct {
	limits limitFlags
	file   fileFlags
	spec   string
	failed bool
	since  time.Duration
	match  string
	detach bool
}

// many: several runs are meant, by what they are.
func (f *recoverFlags) many() bool { return f.failed || f.match != "" }

func (a *app) recoverCommand() *cobra.Command {
	var flags recoverFlags
	cmd := &cobra.Command{
		Use:   "recover RUN",
		Short: "Go on with a run that is over, without what it has done",
		Long: `Makes a new run with the specification of one that failed or was cancelled, and
carries it to its end. Every index that had succeeded is taken over with its output
and result; the others go on from their newest checkpoint. Files, inputs and
commands are those of the earlier run. Limits may change, and nothing else: by
flags, or with --spec by a job file that differs in limits alone. What attempts were
used up and what they cost counts anew.

With --failed or --match it recovers many runs at once, of each only the newest
recovery, and prints a table; they are carried by spotrelay serve, or with --detach
in the background.`,
		Example: `  spotrelay recover last
  spotrelay recover last --max-cost 80
  spotrelay recover 01k9 --timeout train=12h --attempts train=8
  spotrelay recover last --spec job.hcl
  spotrelay recover --failed --since 24h --detach
  spotrelay recover --match 'nightly-*'`,
		Args:              between(0, "RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(args); err != nil {
				return err
			}
			if flags.many() {
				return a.recoverMany(cmd.Context(), flags)
			}
			return a.recoverRun(cmd.Context(), args[0], flags)
		},
	}
	flags.limits.add(cmd)
	flags.file.add(cmd)
	cmd.Flags().StringVar(&flags.spec, "spec", "", "take the limits of this job `file`, which differs in nothing else")
	cmd.Flags().BoolVar(&flags.failed, "failed", false, "recover every run that failed")
	cmd.Flags().DurationVar(&flags.since, "since", 0, "with --failed or --match: runs submitted since so long `ago`")
	cmd.Flags().StringVar(&flags.match, "match", "", "recover every run that failed or was cancelled whose job or id matches this `glob`")
	cmd.Flags().BoolVarP(&flags.detach, "detach", "d", false, "print the new run's id and let it go on in the background")
	return cmd
}

func (f *recoverFlags) check(args []string) error {
	switch {
	case f.many() && len(args) > 0:
		return wrongCall("name a run, or say which by --failed and --match", "a run is named, and --failed or --match as well")
	case !f.many() && len(args) == 0:
		return wrongCall("spotrelay status lists the runs; see spotrelay recover --help", "RUN is missing")
	case f.since < 0 || f.since > 0 && !f.many():
		return wrongCall("as in --failed --since 24h", "--since goes with --failed or --match, and is more than 0")
	case f.spec != "" && f.many():
		return wrongCall("recover them one by one", "--spec is for one run")
	case f.spec == "" && len(f.file.variables)+len(f.file.varFiles) > 0:
		return wrongCall("a recovered run has the variables that it was submitted with", "-var and -var-file go with --spec")
	}
	return nil
}

func (a *app) recoverRun(ctx context.Context, ref string, flags recoverFlags) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	run, err := resolveRun(ctx, b, ref)
	if err != nil {
		return err
	}
	state, _, err := store.LoadRun(ctx, b, run)
	if err != nil {
		return err
	}
	if err := a.wantOver(ctx, b, state); err != nil {
		return err
	}
	manager, err := a.pluginManager(state.Spec.Source.File)
	if err != nil {
		return err
	}
	defer manager.Close()
	change := flags.limits.apply
	if flags.spec != "" {
		if change, err = a.changeBySpec(ctx, b, state.Spec, flags, manager); err != nil {
			return err
		}
	}
	found, err := a.recoverOne(ctx, b, run, change)
	if err != nil {
		return err
	}
	if !a.json {
		recovery := found.Spec.Recovery
		fmt.Fprintf(a.stderr, "recovers run %s: %s\n", run, recoveryText(recovery))
	}
	w, err := watch.FromStart(ctx, b, found.Spec.Run)
	if err != nil {
		return err
	}
	if flags.detach {
		return a.detach(ctx, b, found.Spec.Run, found.Spec.Job)
	}
	return a.carryRun(ctx, b, w, manager)
}

// wantOver refuses a run that is not over, and says what to do about it.
func (a *app) wantOver(ctx context.Context, b bucket.Bucket, state *plan.State) error {
	if state.Finished() {
		return nil
	}
	run := state.Spec.Run
	hint := "go on with it by " + a.again("attach", run, b) + ", or end it first by " + a.again("cancel", run, b)
	if state.Run() == plan.RunResting || state.Run() == plan.RunHolding {
		hint = "go on with it by " + a.again("resume", run, b) + ", or end it first by " + a.again("cancel", run, b)
	}
	if controllerText(ctx, b, state) == "none" && state.Outcome == "" {
		hint += " and " + a.again("attach", run, b)
	}
	return wrongCall(hint, "run %s is not over, it is %s", run, state.Run())
}

// recoverOne makes the new run and says what could not be taken over.
func (a *app) recoverOne(ctx context.Context, b bucket.Bucket, run string, change func(*job.Spec) error) (*submit.Recovered, error) {
	options, err := againOptions(b, run)
	if err != nil {
		return nil, err
	}
	options.Change = change
	found, err := submit.Recover(ctx, options)
	if err != nil {
		var call *callError
		if errors.As(err, &call) {
			return nil, err
		}
		return nil, fmt.Errorf("recovering run %s: %w", run, err)
	}
	for _, passed := range found.Passed {
		fmt.Fprintf(a.stderr, "not taken over: %s: %s\n", narrate.Name(found.Spec, passed.Task, passed.Index), passed.Reason)
	}
	return found, nil
}

// againOptions are those to submit a run again, with the agents that are here
// for one whose own are gone.
func againOptions(b bucket.Bucket, run string) (submit.AgainOptions, error) {
	agents, err := agentPrograms()
	return submit.AgainOptions{Bucket: b, Run: run, Agents: agents, Version: version}, err
}

// recoveryText is what a run has taken over, in a few words.
func recoveryText(recovery *job.Recovery) string {
	return fmt.Sprintf("%s taken over, %d from a checkpoint", countText(recovery.Succeeded(), "index", "indexes"), recovery.Checkpoints())
}

func countText(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
