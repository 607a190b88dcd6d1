package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
)

// fleetCheckTimeout bounds what is asked of a cloud and of a bucket.
const fleetCheckTimeout = 2 * time.Minute

func (a *app) fleetCheckCommand() *cobra.Command {
	var flags fleetFlags
	var launch bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check that runs will work in a fleet; nothing is rented without --launch",
		Long: `Asks the cloud and the bucket whether a run in the fleet will work: who is asking,
quotas for spot and on-demand, network, image, clock, the bucket and its conditional
writes; and says of each what to do. FILE is a fleet file (.json), or a job file with
--fleet. Nothing is rented; one small object is written to the bucket and removed.

With --launch it then rents one spot instance, the cheapest there is, waits until its
agent has run a task, ends it and shows how long each took. That is a run like any
other, named fleet-check, and stays in the bucket. Ctrl-C ends the instance; after a
kill it leaves by itself within a minute or two, and spotrelay attach last ends it
at once.

Exit codes: 0 nothing failed, 1 something did, 130 interrupted.`,
		Example: `  spotrelay fleet check batch.json
  spotrelay fleet check batch.json --launch
  spotrelay fleet check --fleet aws job.hcl --json | jq '.checks[] | select(.result != "ok")'`,
		Args:              exact("FILE"),
		ValidArgsFunction: completeFleet,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withFleet(cmd.Context(), args[0], flags, func(f *chosenFleet, manager *plugins.Manager) error {
				return a.checkFleetAndBucket(cmd.Context(), f, manager, launch)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&launch, "launch", false, "rent one spot instance, wait for its agent and end it")
	return cmd
}

// fleetCheckJSON is what fleet check --json prints.
type fleetCheckJSON struct {
	Version  int               `json:"version"`
	Fleet    string            `json:"fleet"`
	Provider string            `json:"provider"`
	Bucket   string            `json:"bucket"`
	Passed   bool              `json:"passed"` // nothing failed
	Checks   []providers.Check `json:"checks"`
	Launch   *fleetLaunchJSON  `json:"launch,omitempty"`
}

func (a *app) checkFleetAndBucket(ctx context.Context, f *chosenFleet, manager *plugins.Manager, launch bool) error {
	view := fleetCheckJSON{Version: jsonVersion, Fleet: f.Name, Provider: f.Provider, Bucket: f.bucket}
	if !a.json {
		fmt.Fprintf(a.stdout, "fleet %s of provider %s, bucket %s\n", f.Name, f.Provider, f.bucket)
	}
	asked, cancel := context.WithTimeout(ctx, fleetCheckTimeout)
	defer cancel()
	view.add(a, providerChecks(asked, f)...)
	view.add(a, bucketChecks(asked, f)...)
	if err := ctx.Err(); err != nil {
		return err
	}
	code := exitSucceeded
	switch {
	case launch && view.failed():
		view.add(a, providers.Check{Name: "test launch", Result: providers.CheckWarning, Detail: "not made, since something before it failed", Advice: "Mend what failed, then check again."})
	case launch:
		var check providers.Check
		var err error
		if check, view.Launch, err = a.testLaunch(ctx, f, manager); err != nil {
			return err
		}
		if view.add(a, check); view.Launch.interrupted {
			code = exitInterrupted
		}
	}
	view.Passed = !view.failed()
	if !view.Passed && code == exitSucceeded {
		code = exitFailed
	}
	if a.json {
		return errors.Join(a.printJSON(view), exitWith(code))
	}
	view.summarize(a)
	return exitWith(code)
}

// add keeps checks, and prints them where people read.
func (v *fleetCheckJSON) add(a *app, checks ...providers.Check) {
	for _, c := range checks {
		v.Checks = append(v.Checks, c)
		if a.json {
			continue
		}
		fmt.Fprintf(a.stdout, "  %-8s %s", c.Result, c.Name)
		if c.Detail != "" {
			fmt.Fprintf(a.stdout, ": %s", c.Detail)
		}
		fmt.Fprintln(a.stdout)
		if c.Advice != "" {
			fmt.Fprintf(a.stdout, "           %s\n", c.Advice)
		}
	}
}

func (v *fleetCheckJSON) failed() bool {
	return slices.ContainsFunc(v.Checks, func(c providers.Check) bool { return c.Result == providers.CheckFailed })
}

func (v *fleetCheckJSON) summarize(a *app) {
	count := map[providers.CheckResult]int{}
	for _, c := range v.Checks {
		count[c.Result]++
	}
	fmt.Fprintf(a.stdout, "%d ok, %d warning, %d failed\n", count[providers.CheckOK], count[providers.CheckWarning], count[providers.CheckFailed])
}

// providerChecks are those of the provider, or what it finds wrong where it has
// no more to say.
func providerChecks(ctx context.Context, f *chosenFleet) []providers.Check {
	checker, can := f.provider.(providers.Checker)
	if can && f.about.Has(providers.CapabilityChecks) {
		checks, err := checker.Checks(ctx, f.fleet())
		if err == nil {
			return checks
		}
		return []providers.Check{unanswered("fleet", err)}
	}
	faults, err := f.provider.Check(ctx, f.fleet())
	if err != nil {
		return []providers.Check{unanswered("fleet", err)}
	}
	return providers.CheckOfFaults("fleet", faults)
}

func unanswered(name string, err error) providers.Check {
	return providers.Check{Name: name, Result: providers.CheckFailed, Detail: err.Error(), Advice: "Mend that, then check again."}
}

// bucketChecks are whether the bucket is reached, and keeps its promises.
func bucketChecks(ctx context.Context, f *chosenFleet) []providers.Check {
	const access, writes = "bucket", "conditional writes"
	b, err := openAddress(ctx, f.bucket)
	if err != nil {
		return []providers.Check{bucketFault(access, err)}
	}
	defer b.Close()
	reached := providers.Check{Name: access, Result: providers.CheckOK, Detail: "it is read, written and listed"}
	if _, folder := folderOf(f.bucket); folder && f.Provider != "local" {
		reached.Result, reached.Detail = providers.CheckWarning, "a folder of this machine, which an instance elsewhere does not reach"
		reached.Advice = "Name a bucket of the cloud in the fleet file, by --bucket or by SPOTRELAY_BUCKET."
	}
	switch err := bucket.Probe(ctx, b); {
	case errors.Is(err, bucket.ErrUnsupported):
		return []providers.Check{reached, bucketFault(writes, err)}
	case err != nil:
		return []providers.Check{bucketFault(access, err)}
	}
	return []providers.Check{reached, {Name: writes, Result: providers.CheckOK, Detail: "kept: create if absent, and compare and swap"}}
}

func bucketFault(name string, err error) providers.Check {
	check := providers.Check{Name: name, Result: providers.CheckFailed, Detail: err.Error()}
	var known *bucket.Error
	var call *callError
	switch {
	case errors.As(err, &known) && known.Hint != "":
		check.Advice = "Do this: " + known.Hint + "."
		bare := *known
		bare.Hint = ""
		check.Detail = bare.Error()
	case errors.As(err, &call) && call.hint != "":
		check.Advice = "Do this: " + call.hint + "."
	case bucket.CodeOf(err) == bucket.CodeDenied:
		check.Advice = "Give the identity that is used here read, write, list and delete below the bucket's prefix."
	case bucket.CodeOf(err) == bucket.CodeNotFound:
		check.Advice = "Make the bucket, or correct its address."
	default:
		check.Advice = "See that this machine reaches the bucket, and that its address and region are right."
	}
	return check
}
