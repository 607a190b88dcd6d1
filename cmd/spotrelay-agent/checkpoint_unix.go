//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/agent/control"
)

// socketVariable is where a task finds its agent.
const socketVariable = "SPOTRELAY_SOCKET"

func newCheckpointCommand() *cobra.Command {
	checkpoint := &cobra.Command{
		Use:   "checkpoint",
		Short: "Save or restore the checkpoint of the task that calls it",
		Long: `Within a task: ask the agent for the task's own checkpoint, at a moment of the
task's choosing. The answer is printed as one line of JSON; the exit code is 0
when what was asked for was done.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return wrongCall{fmt.Errorf("there is no command checkpoint %q; there are save, restore and status", args)}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var background, wait bool
	save := &cobra.Command{
		Use:   "save",
		Short: "Commit the checkpoint directory as it is now",
		Long: `Commit the checkpoint directory as it is now, and return after the commit. With
--background return at once: the task goes on while its checkpoint is saved.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if background && wait {
				return wrongCall{errors.New("--background returns at once and --wait after the commit: give one of them")}
			}
			return call(cmd, control.Request{Op: control.OpSave, Background: background})
		},
	}
	save.Flags().BoolVar(&background, "background", false, "return at once and save while the task goes on")
	save.Flags().BoolVar(&wait, "wait", false, "return after the commit (the default)")
	restore := &cobra.Command{
		Use:   "restore",
		Short: "Put the newest committed checkpoint back into the directory",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return call(cmd, control.Request{Op: control.OpRestore})
		},
	}
	var settled bool
	status := &cobra.Command{
		Use:   "status",
		Short: "Print how the attempt and its checkpoint stand",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return call(cmd, control.Request{Op: control.OpStatus, Wait: settled})
		},
	}
	status.Flags().BoolVar(&settled, "wait", false, "wait until no save is under way")
	checkpoint.AddCommand(save, restore, status)
	return checkpoint
}

// call asks the agent and prints what it answers.
func call(cmd *cobra.Command, request control.Request) error {
	path := os.Getenv(socketVariable)
	if path == "" {
		return wrongCall{fmt.Errorf("%s is not set: this command works within a task that spotrelay runs", socketVariable)}
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	answer, err := control.Call(ctx, path, request)
	if err != nil {
		return err
	}
	if !answer.OK {
		if answer.Hint != "" {
			return fmt.Errorf("%s (%s)", answer.Error, answer.Hint)
		}
		return errors.New(answer.Error)
	}
	return json.NewEncoder(cmd.OutOrStdout()).Encode(answer)
}
