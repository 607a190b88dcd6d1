package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/jobspec"
	"github.com/spotrelay/spotrelay/runner/plan"
)

func (a *app) planCommand() *cobra.Command {
	var flags fileFlags
	var offers int
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Show what a job file would run where; nothing is rented",
		Long: `Shows the tasks of a job file in their order, what each waits for, the offers it
would be tried on, in order, with today's prices, and how its budget reads. Nothing
is rented and nothing is written.`,
		Example: `  spotrelay plan job.hcl
  spotrelay plan job.hcl -var epochs=3 --json`,
		Args:              exact("FILE"),
		ValidArgsFunction: completeJobFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			manager, err := a.pluginManager(args[0])
			if err != nil {
				return err
			}
			defer manager.Close()
			file, err := a.readJobFile(cmd.Context(), args[0], flags, manager)
			if err != nil {
				return err
			}
			return a.showPlan(cmd.Context(), file, manager, offers)
		},
	}
	flags.add(cmd)
	cmd.Flags().IntVar(&offers, "offers", 6, "show so `many` offers of a task, 0 for all")
	return cmd
}

// planJSON is what plan --json prints.
type planJSON struct {
	Version int            `json:"version"`
	Job     string         `json:"job"`
	Bucket  string         `json:"bucket"`
	Tasks   []planTaskJSON `json:"tasks"` // what they depend on comes first
}

type planTaskJSON struct {
	Task      string           `json:"task"`
	Count     int              `json:"count"`
	DependsOn []string         `json:"depends_on"`
	Resources job.Resources    `json:"resources"`
	Offers    []plan.Candidate `json:"offers"` // in the order in which they are tried
	Budget    string           `json:"budget"`
}

func (a *app) showPlan(ctx context.Context, file *jobspec.File, manager *plugins.Manager, shown int) error {
	address, err := a.bucketAddress(file.Bucket)
	if err != nil {
		return err
	}
	view := planJSON{Version: jsonVersion, Job: file.Spec.Job, Bucket: address, Tasks: []planTaskJSON{}}
	market := newMarket(file.Spec, manager)
	for i := range file.Spec.Tasks {
		task := &file.Spec.Tasks[i]
		offers, _, err := market.order(ctx, task)
		if err != nil {
			return err
		}
		view.Tasks = append(view.Tasks, planTaskJSON{
			Task: task.Name, Count: task.Count, DependsOn: append([]string{}, task.DependsOn...),
			Resources: task.Resources, Offers: offers, Budget: jobspec.Explain(task, file.Spec),
		})
	}
	if a.json {
		return a.printJSON(view)
	}
	fmt.Fprintf(a.stdout, "job %s, bucket %s\n", view.Job, view.Bucket)
	for _, task := range view.Tasks {
		a.printPlanTask(task, shown)
	}
	return nil
}

func (a *app) printPlanTask(task planTaskJSON, shown int) {
	fmt.Fprintf(a.stdout, "\ntask %s, %s", task.Task, countIndex(task.Count))
	if len(task.DependsOn) > 0 {
		fmt.Fprintf(a.stdout, ", after %s", strings.Join(task.DependsOn, ", "))
	}
	fmt.Fprintf(a.stdout, "\n  %s\n", task.Budget)
	if len(task.Offers) == 0 {
		fmt.Fprintln(a.stdout, "  no offer of its fleets serves what it needs: spotrelay offers FILE --all says what they have")
		return
	}
	var rows [][]string
	for i, offer := range task.Offers {
		if shown > 0 && i == shown {
			rows = append(rows, []string{fmt.Sprintf("  and %d more", len(task.Offers)-shown)})
			break
		}
		rows = append(rows, []string{
			fmt.Sprintf("  %d", i+1), offer.Fleet, offer.Zone, offer.InstanceType, string(offer.Capacity), narrate.Money(offer.Price) + "/h",
		})
	}
	printTable(a.stdout, []string{"  OFFER", "FLEET", "ZONE", "TYPE", "CAPACITY", "PRICE"}, rows)
}

func countIndex(n int) string {
	if n == 1 {
		return "1 index"
	}
	return fmt.Sprintf("%d indexes", n)
}
