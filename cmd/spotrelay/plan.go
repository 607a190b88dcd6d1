package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/jobspec"
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
	Task      string          `json:"task"`
	Count     int             `json:"count"`
	DependsOn []string        `json:"depends_on"`
	Resources job.Resources   `json:"resources"`
	Offers    []planOfferJSON `json:"offers"` // in the order in which they are tried
	Budget    string          `json:"budget"`
}

type planOfferJSON struct {
	Fleet string `json:"fleet"`
	providers.Offer
}

func (a *app) showPlan(ctx context.Context, file *jobspec.File, manager *plugins.Manager, shown int) error {
	address, err := a.bucketAddress(file.Bucket)
	if err != nil {
		return err
	}
	view := planJSON{Version: jsonVersion, Job: file.Spec.Job, Bucket: address, Tasks: []planTaskJSON{}}
	for i := range file.Spec.Tasks {
		task := &file.Spec.Tasks[i]
		offers, err := offersOf(ctx, file.Spec, task, manager)
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
		fmt.Fprintln(a.stdout, "  no offer of its fleets serves what it needs")
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

// offersOf asks the task's fleets for offers and puts them in the order in which
// they are tried: spot in all fleets before on-demand, fleets as preferred,
// cheaper ones first.
func offersOf(ctx context.Context, spec *job.Spec, task *job.Task, manager *plugins.Manager) ([]planOfferJSON, error) {
	all := []planOfferJSON{}
	for _, name := range task.Fleets {
		fleet, ok := spec.Fleet(name)
		if !ok {
			continue
		}
		provider, err := manager.Provider(ctx, fleet.Provider)
		if err != nil {
			return nil, err
		}
		offers, err := provider.Offers(ctx, providers.Fleet{Name: fleet.Name, Config: fleet.Config}, needOf(task))
		if err != nil {
			return nil, fmt.Errorf("asking fleet %s for offers: %w", name, err)
		}
		for _, offer := range offers {
			all = append(all, planOfferJSON{Fleet: name, Offer: offer})
		}
	}
	slices.SortStableFunc(all, func(x, y planOfferJSON) int {
		return cmp.Or(
			cmp.Compare(capacityRank(x.Capacity), capacityRank(y.Capacity)),
			cmp.Compare(slices.Index(task.Fleets, x.Fleet), slices.Index(task.Fleets, y.Fleet)),
			cmp.Compare(x.Price, y.Price),
			cmp.Compare(x.Zone, y.Zone),
			cmp.Compare(x.InstanceType, y.InstanceType),
		)
	})
	return all, nil
}

func capacityRank(c providers.CapacityType) int {
	if c == providers.Spot {
		return 0
	}
	return 1
}

func needOf(task *job.Task) providers.Need {
	r := task.Resources
	return providers.Need{
		CPUs: r.CPUs, Memory: r.Memory, Disk: r.Disk, GPUs: r.GPUs, GPUType: r.GPUType, Arch: r.Arch, Image: task.Image,
	}
}

func countIndex(n int) string {
	if n == 1 {
		return "1 index"
	}
	return fmt.Sprintf("%d indexes", n)
}
