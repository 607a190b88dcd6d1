package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
	"github.com/spotrelay/spotrelay/runner/sweep"
)

func (a *app) auditCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "audit",
		Short: "List the instances that bear this bucket's tag, and who answers for them",
		Long: `Asks the fleets of all runs in the bucket for the instances that bear its tag, and
holds them against the journals. It changes nothing. The exit code is 1 when an
instance is leaked: spotrelay gc ends it.`,
		Example: `  spotrelay audit
  spotrelay audit --json`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.sweeping(cmd.Context(), func(ctx context.Context, opts sweep.Options) error {
				return a.audit(ctx, opts)
			})
		},
	}
}

// auditJSON is what audit --json prints.
type auditJSON struct {
	Version   int           `json:"version"`
	Leaked    int           `json:"leaked"`
	Instances []sweep.Found `json:"instances"`
}

func (a *app) audit(ctx context.Context, opts sweep.Options) error {
	found, auditErr := sweep.Audit(ctx, opts)
	leaked := 0
	for _, f := range found {
		if f.Leaked {
			leaked++
		}
	}
	if a.json {
		if err := a.printJSON(auditJSON{jsonVersion, leaked, append([]sweep.Found{}, found...)}); err != nil {
			return err
		}
	} else {
		a.printFound(found)
		fmt.Fprintf(a.stdout, "%s, %d leaked\n", narrate.Count(len(found), "instance"), leaked)
	}
	if auditErr == nil && leaked > 0 {
		return &exitError{code: exitFailed}
	}
	return auditErr
}

func (a *app) printFound(found []sweep.Found) {
	if len(found) == 0 {
		return
	}
	var rows [][]string
	for _, f := range found {
		rows = append(rows, []string{f.Instance.ID, f.Fleet, f.Run, narrate.Offer(f.Instance.Offer), string(f.Standing), f.Reason})
	}
	printTable(a.stdout, []string{"INSTANCE", "FLEET", "RUN", "OFFER", "STANDING", "WHY"}, rows)
}

// sweeping calls do with what a sweep needs: the bucket, its runs' fleets and
// their providers.
func (a *app) sweeping(ctx context.Context, do func(context.Context, sweep.Options) error) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	manager, err := a.pluginManager("")
	if err != nil {
		return err
	}
	defer manager.Close()
	fleets, err := fleetsOf(ctx, b)
	if err != nil {
		return err
	}
	return do(ctx, sweep.Options{Bucket: b, Providers: manager, Fleets: fleets, Log: a.logger()})
}

// fleetsOf are the fleets of all runs in the bucket, those with the same
// provider and configuration once.
func fleetsOf(ctx context.Context, b bucket.Bucket) ([]job.Fleet, error) {
	runs, err := store.ListRuns(ctx, b)
	if err != nil {
		return nil, err
	}
	var fleets []job.Fleet
	for _, run := range newestFirst(runs) {
		spec, err := store.ReadSpec(ctx, b, run)
		if errors.Is(err, bucket.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		for _, fleet := range spec.Fleets {
			same := func(f job.Fleet) bool {
				return f.Name == fleet.Name && f.Provider == fleet.Provider && string(f.Config) == string(fleet.Config)
			}
			if !slices.ContainsFunc(fleets, same) {
				fleets = append(fleets, fleet)
			}
		}
	}
	return fleets, nil
}
