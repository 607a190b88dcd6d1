package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/jobspec"
)

// fileFlags are the flags of every command that reads a job file.
type fileFlags struct {
	variables []string
	varFiles  []string
}

func (f *fileFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.variables, "var", nil, "set a variable of the job file: `name=value`")
	cmd.Flags().StringArrayVar(&f.varFiles, "var-file", nil, "read variables from a `file` of name = value lines")
}

// spelledArgs turns -var and -var-file, as Terraform's users write them, into
// the spelling that flags have here.
func spelledArgs(args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		for _, name := range []string{"var", "var-file", "check", "write", "diff"} {
			if arg == "-"+name || len(arg) > len(name)+1 && arg[:len(name)+2] == "-"+name+"=" {
				args[i] = "-" + arg
			}
		}
	}
	return args
}

// readJobFile reads a job file, checks its fleets with their providers and
// prints what is wrong. With errors it gives an exitError, all being said.
func (a *app) readJobFile(ctx context.Context, path string, flags fileFlags, manager *plugins.Manager) (*jobspec.File, error) {
	opts := jobspec.Options{
		Files: []string{path}, Variables: flags.variables, VarFiles: flags.varFiles, Environ: os.Environ(),
		Describe: describer(ctx, manager),
	}
	if path == "-" {
		text, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, err
		}
		opts.Stdin = text
	} else if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, wrongCall("", "there is no job file %s", path)
	}
	file, diagnostics := jobspec.Load(opts)
	if file != nil {
		diagnostics.Append(checkFleets(ctx, file, manager))
	}
	if err := a.printDiagnostics(diagnostics); err != nil {
		return nil, err
	}
	if diagnostics.HasErrors() {
		return nil, &exitError{code: exitUsage}
	}
	return file, nil
}

// checkFleets lets the provider of each fleet that a task uses look its
// configuration over. Nothing is rented.
func checkFleets(ctx context.Context, file *jobspec.File, manager *plugins.Manager) jobspec.Diagnostics {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var all jobspec.Diagnostics
	for _, fleet := range file.Spec.Fleets {
		faults, err := checkFleet(ctx, fleet, manager)
		if err != nil {
			faults = []providers.Fault{{
				Severity: providers.SeverityError, Summary: "The fleet could not be checked", Detail: err.Error(),
			}}
		}
		all.Append(file.FleetFaults(fleet.Name, faults))
	}
	return all
}

func checkFleet(ctx context.Context, fleet job.Fleet, manager *plugins.Manager) ([]providers.Fault, error) {
	provider, err := manager.Provider(ctx, fleet.Provider)
	if err != nil {
		return nil, err
	}
	return provider.Check(ctx, providers.Fleet{Name: fleet.Name, Config: fleet.Config})
}

// diagnosticsJSON is what commands print with --json when a job file has
// errors or warnings.
type diagnosticsJSON struct {
	Version     int              `json:"version"`
	Event       string           `json:"event"` // diagnostics
	Valid       bool             `json:"valid"`
	Diagnostics []jobspec.Record `json:"diagnostics"`
}

func (a *app) printDiagnostics(diagnostics jobspec.Diagnostics) error {
	if diagnostics.Len() == 0 {
		return nil
	}
	if a.json {
		return a.printJSON(diagnosticsJSON{jsonVersion, "diagnostics", !diagnostics.HasErrors(), diagnostics.Records()})
	}
	return diagnostics.WriteText(a.stderr, colorful(a.stderr), widthOf(a.stderr))
}
