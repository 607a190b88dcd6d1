package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

type preemptFlags struct {
	notice   time.Duration
	noNotice bool
	run      string
}

func (a *app) preemptCommand() *cobra.Command {
	var flags preemptFlags
	cmd := &cobra.Command{
		Use:   "preempt INSTANCE",
		Short: "Make an interruption happen, to see what becomes of a task",
		Long: `Gives a spot instance an interruption notice and takes it after so long, or takes
it with none, as far as its provider can do that. INSTANCE is an id from spotrelay
status RUN, or the beginning or end of one.`,
		Example: `  spotrelay preempt i-0a1b --notice 5s
  spotrelay preempt i-0a1b --no-notice`,
		Args:              exact("INSTANCE"),
		ValidArgsFunction: a.completeInstance,
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.noNotice {
				if cmd.Flags().Changed("notice") {
					return wrongCall("", "--notice and --no-notice exclude each other")
				}
				flags.notice = 0
			} else if flags.notice <= 0 {
				return wrongCall("--no-notice takes it with none", "--notice is more than 0")
			}
			return a.preempt(cmd.Context(), args[0], flags)
		},
	}
	cmd.Flags().DurationVar(&flags.notice, "notice", 5*time.Second, "how long ahead the notice is")
	cmd.Flags().BoolVar(&flags.noNotice, "no-notice", false, "take it with no notice at all")
	cmd.Flags().StringVar(&flags.run, "run", "", "look among the instances of this `run` only")
	return cmd
}

// preemptJSON is what preempt --json prints.
type preemptJSON struct {
	Version  int     `json:"version"`
	Run      string  `json:"run"`
	Instance string  `json:"instance"`
	Notice   float64 `json:"notice_seconds"`
}

func (a *app) preempt(ctx context.Context, ref string, flags preemptFlags) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	state, instance, err := findInstance(ctx, b, ref, flags.run)
	if err != nil {
		return err
	}
	fleet, ok := state.Spec.Fleet(instance.Fleet)
	if !ok {
		return fmt.Errorf("run %s has no fleet %s", state.Spec.Run, instance.Fleet)
	}
	manager, err := a.pluginManager(state.Spec.Source.File)
	if err != nil {
		return err
	}
	defer manager.Close()
	provider, err := manager.Provider(ctx, fleet.Provider)
	if err != nil {
		return err
	}
	description, err := provider.Describe(ctx)
	if err != nil {
		return err
	}
	preempter, can := provider.(providers.Preempter)
	if !can || !description.Has(providers.CapabilityPreempt) {
		return &failure{err: fmt.Errorf("provider %s cannot preempt by hand", fleet.Provider), hint: "the local provider can, and AWS and GCP have means of their own"}
	}
	if err := preempter.Preempt(ctx, providers.Fleet{Name: fleet.Name, Config: fleet.Config}, instance.ID, flags.notice); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(preemptJSON{jsonVersion, state.Spec.Run, instance.ID, flags.notice.Seconds()})
	}
	if flags.notice == 0 {
		fmt.Fprintf(a.stdout, "%s is taken with no notice\n", instance.ID)
	} else {
		fmt.Fprintf(a.stdout, "%s has its notice and is taken in %s\n", instance.ID, narrate.Span(flags.notice))
	}
	return nil
}

// findInstance finds the living instance that a user means, in one run or all.
func findInstance(ctx context.Context, b bucket.Bucket, ref, run string) (*plan.State, *plan.Instance, error) {
	states, err := livingRuns(ctx, b, run)
	if err != nil {
		return nil, nil, err
	}
	var (
		inState *plan.State
		found   []*plan.Instance
	)
	for _, state := range states {
		for id, instance := range state.Instances {
			if id == ref {
				return state, instance, nil
			}
			if strings.HasPrefix(id, ref) || strings.HasSuffix(id, ref) {
				inState, found = state, append(found, instance)
			}
		}
	}
	switch len(found) {
	case 1:
		return inState, found[0], nil
	case 0:
		return nil, nil, wrongCall("spotrelay status RUN lists the instances of a run", "no living instance %q in %s", ref, b.Describe().URL)
	}
	return nil, nil, wrongCall("give more of it", "%d instances match %q", len(found), ref)
}

// livingRuns are the runs that are not closed, or the one named.
func livingRuns(ctx context.Context, b bucket.Bucket, only string) ([]*plan.State, error) {
	var ids []string
	if only != "" {
		id, err := resolveRun(ctx, b, only)
		if err != nil {
			return nil, err
		}
		ids = []string{id}
	} else {
		var err error
		if ids, err = store.ListRuns(ctx, b); err != nil {
			return nil, err
		}
	}
	var states []*plan.State
	for _, id := range ids {
		state, _, err := store.LoadRun(ctx, b, id)
		if err != nil {
			return nil, err
		}
		if !state.Closed {
			states = append(states, state)
		}
	}
	return states, nil
}

// completeInstance completes the ids of living instances.
func (a *app) completeInstance(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	b, err := a.openBucket(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer b.Close()
	states, err := livingRuns(cmd.Context(), b, "")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	for _, state := range states {
		for _, id := range sortedKeys(state.Instances) {
			if strings.HasPrefix(id, toComplete) {
				found = append(found, id)
			}
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}
