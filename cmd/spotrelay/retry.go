package main

import (
	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/plan"
)

func (a *app) retryCommand() *cobra.Command {
	index := -1
	cmd := &cobra.Command{
		Use:   "retry RUN TASK",
		Short: "Run a task again that failed, while its run goes on",
		Long: `Runs what ended without success again, in place: with fresh budgets, from its
newest checkpoint. What was cancelled since it depends on the task waits for it
again. Of an array all indexes are retried that did not succeed, or the one that
--index names.

A run that is over stays as it is: spotrelay recover makes a new one of it.`,
		Example: `  spotrelay retry last train
  spotrelay retry last shards --index 3`,
		Args:              exact("RUN", "TASK"),
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("index") && index < 0 {
				return wrongCall("", "indexes are numbered from 0")
			}
			return a.request(cmd.Context(), args[0], plan.Request{Kind: plan.RequestRetry, Task: args[1], Index: index})
		},
	}
	cmd.Flags().IntVar(&index, "index", -1, "only this `index` of an array")
	return cmd
}

// mayRetry says why a task cannot be retried, nil when it can.
func mayRetry(state *plan.State, request plan.Request) error {
	task, ok := state.Spec.Task(request.Task)
	switch {
	case !ok:
		return wrongCall("", "run %s has no task %q", state.Spec.Run, request.Task)
	case request.Index >= task.Count:
		return wrongCall("", "task %s has %d indexes, numbered from 0", task.Name, task.Count)
	case state.Run() == plan.RunCancelling || state.Run() == plan.RunStopping:
		return wrongCall("", "run %s is %s: spotrelay recover makes a new run of it when it is over", state.Spec.Run, state.Run())
	case len(state.Retryable(request.Task, request.Index)) == 0:
		return wrongCall("what was cancelled for the sake of another task comes back with that one",
			"nothing of task %s has ended without success by its own", task.Name)
	}
	return nil
}
