package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

// app is what every command shares: where it reads and writes, and the flags
// that all commands have.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	bucket string // --bucket
	json   bool   // --json

	warnings *warnings
}

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, warnings: newWarnings(stderr)}
	root := a.rootCommand()
	root.SetArgs(spelledArgs(args))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitSucceeded
	}
	var stopped *exitError
	if errors.As(err, &stopped) {
		return stopped.code
	}
	a.printError(err)
	return exitCodeOf(err)
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "spotrelay",
		Short: "Run batch jobs on spot instances until they are done",
		Long: `spotrelay runs batch jobs on spot (preemptible) VMs until they are done.

A job file says what to run. spotrelay rents the instances, saves checkpoints
when an interruption comes, and sends each task on to the next instance, the
last attempt on an on-demand one.

Exit codes: 0 the run succeeded, 1 it failed, 2 a wrong call or job file, 130
interrupted.`,
		Example: `  spotrelay run job.hcl
  spotrelay status
  spotrelay attempts last
  spotrelay logs last train -f`,
		Version:                    versionText(),
		SilenceErrors:              true,
		SilenceUsage:               true,
		DisableAutoGenTag:          true,
		SuggestionsMinimumDistance: 2,
		Args:                       noCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return wrongCall("see "+cmd.CommandPath()+" --help", "%w", err)
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.bucket, "bucket", "", "the bucket's `URL` or folder (default $SPOTRELAY_BUCKET, then the job file's, then .spotrelay here)")
	flags.BoolVar(&a.json, "json", false, "print data for programs, see docs/json.md")

	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Runs:"},
		&cobra.Group{ID: "file", Title: "Job files:"},
		&cobra.Group{ID: "keep", Title: "Housekeeping:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, command := range commands {
			command.GroupID = group
			root.AddCommand(command)
		}
	}
	add("run", a.runCommand(), a.submitCommand(), a.attachCommand(), a.recoverCommand(), a.rerunCommand(), a.diffCommand(), a.sourceCommand(), a.statusCommand(), a.attemptsCommand(), a.logsCommand(),
		a.outputsCommand(), a.resultsCommand(), a.checkpointCommand(), a.cacheCommand(), a.cancelCommand(), a.pauseCommand(), a.resumeCommand(),
		a.retryCommand(), a.releaseCommand(), a.execCommand(), a.preemptCommand())
	add("file", a.validateCommand(), a.fmtCommand(), a.planCommand(), a.offersCommand(), a.fleetCommand())
	add("keep", a.serveCommand(), a.auditCommand(), a.gcCommand(), a.exportCommand(), a.importCommand(), a.pluginCommand(),
		a.versionCommand(), a.completionCommand(root))
	root.SetHelpCommandGroupID("keep")
	root.CompletionOptions.DisableDefaultCmd = true
	return root
}

// noCommand is for a command that has others below it: an argument is a command
// that there is not.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see " + cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return wrongCall(hint, "there is no command %q", strings.TrimPrefix(cmd.CommandPath()+" "+args[0], "spotrelay "))
}

// exact is cobra.ExactArgs with a message that says what is missing.
func exact(names ...string) cobra.PositionalArgs { return between(len(names), names...) }

// between takes at least so many of the named arguments and at most all.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return wrongCall("see "+cmd.CommandPath()+" --help", "%s is missing", names[len(args)])
		case len(args) > len(names):
			return wrongCall("see "+cmd.CommandPath()+" --help", "unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && terminal(f)
}
