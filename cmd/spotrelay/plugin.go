package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/plugins"
)

func (a *app) pluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "List, lock, test and begin provider plugins",
		Long: `A provider is a process of its own: one of those that are built in, or an
executable spotrelay-provider-NAME on the plugin path, pinned by its checksum in a
lock file.`,
		Example: `  spotrelay plugin list
  spotrelay plugin lock azure
  spotrelay plugin test ./spotrelay-provider-azure
  spotrelay plugin new azure`,
		Args:                       noCommand,
		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.pluginListCommand(), a.pluginLockCommand(), a.pluginTestCommand(), a.pluginNewCommand(), a.pluginServeCommand())
	return cmd
}

// pluginsJSON is what plugin list --json and plugin lock --json print.
type pluginsJSON struct {
	Version  int              `json:"version"`
	LockFile string           `json:"lock_file"`
	Plugins  []plugins.Plugin `json:"plugins"`
}

func (a *app) pluginListCommand() *cobra.Command {
	var jobFile string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the plugins that are built in, found or locked",
		Example: `  spotrelay plugin list --json`,
		Args:    exact(),
		RunE: func(*cobra.Command, []string) error {
			manager, err := a.pluginManager(jobFile)
			if err != nil {
				return err
			}
			defer manager.Close()
			list, err := manager.List()
			if err != nil {
				return err
			}
			return a.printPlugins(manager, list)
		},
	}
	addJobFileFlag(cmd, &jobFile)
	return cmd
}

func addJobFileFlag(cmd *cobra.Command, jobFile *string) {
	cmd.Flags().StringVar(jobFile, "for", "", "use the lock file beside this job `file`, if there is one")
}

func (a *app) printPlugins(manager *plugins.Manager, list []plugins.Plugin) error {
	if a.json {
		return a.printJSON(pluginsJSON{Version: jsonVersion, LockFile: manager.LockFile(), Plugins: append([]plugins.Plugin{}, list...)})
	}
	var rows [][]string
	for _, p := range list {
		rows = append(rows, []string{p.Name, string(p.State), p.File, p.SHA256})
	}
	printTable(a.stdout, []string{"NAME", "STATE", "FILE", "SHA256"}, rows)
	return nil
}

func (a *app) pluginLockCommand() *cobra.Command {
	var jobFile string
	cmd := &cobra.Command{
		Use:   "lock [NAME...]",
		Short: "Trust plugins as they are now: write their checksums down",
		Long: `Writes the checksums of the plugins named, or of all on the plugin path, into the
lock file. A plugin whose file is another one later is not started.`,
		Example: `  spotrelay plugin lock azure`,
		RunE: func(_ *cobra.Command, args []string) error {
			manager, err := a.pluginManager(jobFile)
			if err != nil {
				return err
			}
			defer manager.Close()
			locked, err := manager.Lock(args...)
			if err != nil {
				return err
			}
			if !a.json {
				fmt.Fprintf(a.stderr, "locked %s in %s\n", narrate.Count(len(locked), "plugin"), manager.LockFile())
			}
			return a.printPlugins(manager, locked)
		},
	}
	addJobFileFlag(cmd, &jobFile)
	return cmd
}

func (a *app) pluginServeCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "serve NAME",
		Short:  "Serve a built-in provider to the spotrelay that started this process",
		Hidden: true,
		Args:   exact("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			provider, ok := builtin[args[0]]
			if !ok {
				return wrongCall("", "provider %q is not built in", args[0])
			}
			plugins.Serve(provider())
			return nil
		},
	}
}
