//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
)

// The exit codes.
const (
	exitFailed = 1 // what was asked for was not done
	exitWrong  = 2 // a wrong call or configuration
)

// wrongCall is an error of whoever called the program.
type wrongCall struct{ err error }

func (w wrongCall) Error() string { return w.err.Error() }
func (w wrongCall) Unwrap() error { return w.err }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 0 && os.Getenv(bootstrap.VarConfig) != "" {
		args = []string{"run"} // started by a provider, which gives no arguments
	}
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "spotrelay-agent:", err)
	var wrong wrongCall
	if errors.As(err, &wrong) {
		return exitWrong
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "spotrelay-agent",
		Short: "Runs tasks on an instance, and asks for checkpoints within one",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return wrongCall{fmt.Errorf("there is no command %q; there are run, checkpoint and version", args)}
		},
		Run:           func(cmd *cobra.Command, _ []string) { _ = cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrongCall{err} })
	root.AddCommand(newRunCommand(), newCheckpointCommand(), newVersionCommand())
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the agent's version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
			return err
		},
	}
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrongCall{fmt.Errorf("%s takes no arguments, %q was given", cmd.CommandPath(), args)}
	}
	return nil
}
