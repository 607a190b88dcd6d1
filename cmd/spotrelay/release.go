package main

import (
	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/plan"
)

func (a *app) releaseCommand() *cobra.Command {
	index := -1
	cmd := &cobra.Command{
		Use:   "release RUN TASK",
		Short: "Let the instances go that are kept since a task failed",
		Long: `Ends the instances that hold_on_failure keeps for a look at failed attempts of a
task, before their time is over. spotrelay status RUN lists them.`,
		Example: `  spotrelay release last train
  spotrelay release last shards --index 3`,
		Args:              exact("RUN", "TASK"),
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("index") && index < 0 {
				return wrongCall("", "indexes are numbered from 0")
			}
			return a.request(cmd.Context(), args[0], plan.Request{Kind: plan.RequestRelease, Task: args[1], Index: index})
		},
	}
	cmd.Flags().IntVar(&index, "index", -1, "only this `index` of an array")
	return cmd
}
