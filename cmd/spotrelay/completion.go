package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/store"
)

func (a *app) completionCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands, runs and tasks in a shell",
		Example: `  source <(spotrelay completion bash)
  spotrelay completion fish > ~/.config/fish/completions/spotrelay.fish`,
		Args:      exact("SHELL"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(_ *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.stdout)
			}
			return wrongCall("it is bash, zsh, fish or powershell", "no completion for %q", args[0])
		},
	}
}

// completeRun completes the first argument by the runs in the bucket.
func (a *app) completeRun(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	b, err := a.openBucket(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer b.Close()
	runs, err := store.ListRuns(cmd.Context(), b)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	for _, run := range append(newestFirst(runs), "last") {
		if strings.HasPrefix(run, toComplete) {
			found = append(found, run)
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeRunTask completes a run, then a task of it.
func (a *app) completeRunTask(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeRun(cmd, args, toComplete)
	}
	b, err := a.openBucket(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer b.Close()
	run, err := resolveRun(cmd.Context(), b, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	spec, err := store.ReadSpec(cmd.Context(), b, run)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	for i := range spec.Tasks {
		if strings.HasPrefix(spec.Tasks[i].Name, toComplete) {
			found = append(found, spec.Tasks[i].Name)
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeJobFile completes the names of job files.
func completeJobFile(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
}
