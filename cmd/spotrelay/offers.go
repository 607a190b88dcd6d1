package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/jobspec"
	"github.com/spotrelay/spotrelay/runner/plan"
)

type offersFlags struct {
	file fileFlags
	task string
	all  bool
}

func (a *app) offersCommand() *cobra.Command {
	var flags offersFlags
	cmd := &cobra.Command{
		Use:   "offers FILE",
		Short: "Show what would be rented for each task, in which order and why; nothing is rented",
		Long: `Shows for each task of a job file the offers of its fleets in the order in which
they are tried when each gives nothing: spot in all fleets before on-demand, fleets
in the order of the job file, cheaper offers first. Offers with the same TRY are in
one launch, the first preferred. Nothing is rented and nothing is written.

With --all it also lists what its fleets offer and is not tried, and why.`,
		Example: `  spotrelay offers job.hcl
  spotrelay offers job.hcl --task train --all
  spotrelay offers job.hcl --json | jq -r '.tasks[].offers[] | [.try, .fleet, .price] | @tsv'`,
		Args:              exact("FILE"),
		ValidArgsFunction: completeJobFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			manager, err := a.pluginManager(args[0])
			if err != nil {
				return err
			}
			defer manager.Close()
			file, err := a.readJobFile(cmd.Context(), args[0], flags.file, manager)
			if err != nil {
				return err
			}
			return a.showOffers(cmd.Context(), file, manager, flags)
		},
	}
	flags.file.add(cmd)
	cmd.Flags().StringVar(&flags.task, "task", "", "show this `task` alone")
	cmd.Flags().BoolVar(&flags.all, "all", false, "list also what is not tried, and why")
	return cmd
}

// offersJSON is what offers --json prints.
type offersJSON struct {
	Version int              `json:"version"`
	Job     string           `json:"job"`
	Tasks   []offersTaskJSON `json:"tasks"` // in the order of plan
}

type offersTaskJSON struct {
	Task   string           `json:"task"`
	Need   providers.Need   `json:"need"`   // of an instance: a task's resources times its slots
	Offers []plan.Candidate `json:"offers"` // in the order in which they are tried
	Left   []plan.Candidate `json:"left"`   // with --all: what is not tried
}

// standingUnfit is the standing of an offer that cannot serve the need; the
// planner never sees one.
const standingUnfit plan.Standing = "unfit"

func (a *app) showOffers(ctx context.Context, file *jobspec.File, manager *plugins.Manager, flags offersFlags) error {
	if _, ok := file.Spec.Task(flags.task); flags.task != "" && !ok {
		return wrongCall("", "job %s has no task %q", file.Spec.Job, flags.task)
	}
	market := newMarket(file.Spec, manager)
	view := offersJSON{Version: jsonVersion, Job: file.Spec.Job, Tasks: []offersTaskJSON{}}
	for i := range file.Spec.Tasks {
		task := &file.Spec.Tasks[i]
		if flags.task != "" && flags.task != task.Name {
			continue
		}
		tried, left, err := market.order(ctx, task)
		if err != nil {
			return err
		}
		if !flags.all {
			left = []plan.Candidate{}
		} else if left, err = market.withUnfit(ctx, task, left); err != nil {
			return err
		}
		view.Tasks = append(view.Tasks, offersTaskJSON{Task: task.Name, Need: plan.Need(task), Offers: tried, Left: left})
	}
	if a.json {
		return a.printJSON(view)
	}
	for i, task := range view.Tasks {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		a.printOffers(task)
	}
	return nil
}

func (a *app) printOffers(task offersTaskJSON) {
	fmt.Fprintf(a.stdout, "task %s needs %s\n", task.Task, plan.NeedText(task.Need))
	if len(task.Offers) == 0 {
		fmt.Fprintln(a.stdout, "  no offer of its fleets serves that")
	}
	var rows [][]string
	for _, c := range append(slices.Clone(task.Offers), task.Left...) {
		try := "-"
		if c.Try > 0 {
			try = strconv.Itoa(c.Try)
		}
		rows = append(rows, []string{
			"  " + try, c.Fleet, c.Zone, c.InstanceType, string(c.Capacity), narrate.Money(c.Price) + "/h", sizeOf(c.Offer), c.Reason,
		})
	}
	if len(rows) > 0 {
		printTable(a.stdout, []string{"  TRY", "FLEET", "ZONE", "TYPE", "CAPACITY", "PRICE", "SIZE", "WHY"}, rows)
	}
}

// sizeOf an offer, in the words of a need.
func sizeOf(o providers.Offer) string {
	return plan.NeedText(providers.Need{CPUs: o.CPUs, Memory: o.Memory, GPUs: o.GPUs, GPUType: o.GPUType})
}

// market asks a job's fleets for offers, each question once, and orders the
// answers as the planner of a run that begins now would.
type market struct {
	spec    *job.Spec
	state   *plan.State
	manager *plugins.Manager
	known   map[string]plan.OffersAnswer
}

func newMarket(spec *job.Spec, manager *plugins.Manager) *market {
	return &market{spec: spec, state: plan.New(spec), manager: manager, known: map[string]plan.OffersAnswer{}}
}

func (m *market) ask(ctx context.Context, fleet string, need providers.Need) (plan.OffersAnswer, error) {
	key := fmt.Sprintf("%s %+v", fleet, need)
	if answer, ok := m.known[key]; ok {
		return answer, nil
	}
	answer := plan.OffersAnswer{Fleet: fleet}
	declared, ok := m.spec.Fleet(fleet)
	if !ok {
		return answer, fmt.Errorf("the job has no fleet %s", fleet)
	}
	provider, err := m.manager.Provider(ctx, declared.Provider)
	if err != nil {
		return answer, err
	}
	answer.Offers, err = provider.Offers(ctx, providers.Fleet{Name: declared.Name, Config: declared.Config}, need)
	if err != nil {
		return answer, fmt.Errorf("asking fleet %s for offers: %w", fleet, err)
	}
	m.known[key] = answer
	return answer, nil
}

// order is what is tried for a task, and what its fleets have for it and is not.
func (m *market) order(ctx context.Context, task *job.Task) (tried, left []plan.Candidate, err error) {
	var answers []plan.OffersAnswer
	for _, fleet := range task.Fleets {
		answer, err := m.ask(ctx, fleet, plan.Need(task))
		if err != nil {
			return nil, nil, err
		}
		answers = append(answers, answer)
	}
	tried, left = []plan.Candidate{}, []plan.Candidate{}
	for _, c := range m.state.Order(task.Name, answers) {
		if c.Try > 0 {
			tried = append(tried, c)
		} else {
			left = append(left, c)
		}
	}
	return tried, left, nil
}

// withUnfit adds what a task's fleets offer to others than it.
func (m *market) withUnfit(ctx context.Context, task *job.Task, left []plan.Candidate) ([]plan.Candidate, error) {
	need := plan.Need(task)
	for _, fleet := range task.Fleets {
		fit, err := m.ask(ctx, fleet, need)
		if err != nil {
			return nil, err
		}
		all, err := m.ask(ctx, fleet, providers.Need{Image: need.Image})
		var answer *providers.Error
		if errors.As(err, &answer) && answer.Code == providers.CodeConfiguration {
			continue // a provider that has offers for a need alone
		} else if err != nil {
			return nil, err
		}
		for _, o := range all.Offers {
			if slices.ContainsFunc(fit.Offers, func(f providers.Offer) bool { return f.Pool() == o.Pool() }) {
				continue
			}
			why := plan.Lacks(o, need)
			if why == "" {
				why = "its provider says so"
			}
			left = append(left, plan.Candidate{Fleet: fleet, Offer: o, Standing: standingUnfit, Reason: "does not serve: " + why})
		}
	}
	return left, nil
}
