package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/jobspec"
)

func (a *app) validateCommand() *cobra.Command {
	var flags fileFlags
	cmd := &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a job file, its fleets included",
		Long: `Reads a job file and tells everything that is wrong with it at once, with file,
line and column. The providers of its fleets check their configuration; nothing
is rented. FILE may be a folder, whose *.hcl are read together, or - for the
standard input.`,
		Example: `  spotrelay validate job.hcl
  spotrelay validate job.hcl -var epochs=3 --json`,
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
			if a.json {
				return a.printJSON(diagnosticsJSON{jsonVersion, "diagnostics", true, []jobspec.Record{}})
			}
			fmt.Fprintf(a.stdout, "%s is valid: job %s with %s\n", args[0], file.Spec.Job, narrate.Count(len(file.Spec.Tasks), "task"))
			return nil
		},
	}
	flags.add(cmd)
	return cmd
}
