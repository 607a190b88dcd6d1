package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/jobspec"
)

func (a *app) fleetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Show a fleet's settings, and check that runs will work in it",
		Long: `Shows and checks a fleet: that of a fleet file, as the Terraform modules write it,
or one that a job file declares (--fleet NAME job.hcl). See docs/terraform.md.`,
		Example: `  spotrelay fleet show batch.json
  spotrelay fleet check batch.json
  spotrelay fleet check --fleet aws job.hcl --launch`,
		Args:                       noCommand,
		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.fleetShowCommand(), a.fleetCheckCommand())
	return cmd
}

// fleetFlags choose a fleet of a job file.
type fleetFlags struct {
	file fileFlags
	name string
}

func (f *fleetFlags) add(cmd *cobra.Command) {
	f.file.add(cmd)
	cmd.Flags().StringVar(&f.name, "fleet", "", "the fleet of a job file, by its `name`; a job with one fleet needs none")
	_ = cmd.RegisterFlagCompletionFunc("fleet", cobra.NoFileCompletions) // it is there
}

// completeFleet completes the names of fleet files and job files.
func completeFleet(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"json", "hcl"}, cobra.ShellCompDirectiveFilterFileExt
}

// chosenFleet is the fleet that a command is about.
type chosenFleet struct {
	job.Fleet
	path     string
	bucket   string // its address
	provider providers.Provider
	about    providers.Description
}

func (c *chosenFleet) fleet() providers.Fleet {
	return providers.Fleet{Name: c.Name, Config: c.Config}
}

// withFleet calls do with the fleet of a fleet file or of a job file.
func (a *app) withFleet(ctx context.Context, path string, flags fleetFlags, do func(*chosenFleet, *plugins.Manager) error) error {
	manager, err := a.pluginManager(path)
	if err != nil {
		return err
	}
	defer manager.Close()
	opts, err := a.fleetSource(path, flags)
	if err != nil {
		return err
	}
	opts.Describe = describer(ctx, manager)
	file, diagnostics := jobspec.Load(opts)
	if err := a.printDiagnostics(diagnostics); err != nil {
		return err
	}
	if diagnostics.HasErrors() {
		return &exitError{code: exitUsage}
	}
	chosen := &chosenFleet{path: path}
	if chosen.Fleet, err = fleetOf(file.Spec, flags.name); err != nil {
		return err
	}
	if chosen.bucket, err = a.bucketAddress(file.Bucket); err != nil {
		return err
	}
	if chosen.provider, err = manager.Provider(ctx, chosen.Provider); err != nil {
		return err
	}
	if chosen.about, err = chosen.provider.Describe(ctx); err != nil {
		return err
	}
	return do(chosen, manager)
}

// fleetSource is what to read: the job file, or a job around the fleet file.
func (a *app) fleetSource(path string, flags fleetFlags) (jobspec.Options, error) {
	opts := jobspec.Options{Files: []string{path}, Variables: flags.file.variables, VarFiles: flags.file.varFiles, Environ: os.Environ()}
	if path == "-" {
		text, err := io.ReadAll(a.stdin)
		opts.Stdin = text
		return opts, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return opts, wrongCall("name a fleet file, or a job file with --fleet", "there is no file %s", path)
	}
	if filepath.Ext(path) != ".json" {
		return opts, nil
	}
	if flags.name != "" || len(opts.Variables)+len(opts.VarFiles) > 0 {
		return opts, wrongCall("leave them out: a fleet file has one fleet and no variables", "--fleet and -var are for job files, and %s is a fleet file", path)
	}
	opts.Files, opts.Environ = []string{"-"}, nil
	opts.Stdin = launchJob(fleetNameOf(path), "from", path)
	return opts, nil
}

// fleetNameOf a fleet file: its own name, where that can be one.
func fleetNameOf(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".json")
	if len(name) > 63 || name == "" || name[0] < 'a' || name[0] > 'z' || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return "fleet"
	}
	return name
}

// launchJob is the smallest job in a fleet that has one attribute. It stays on
// spot, rents one instance at a time and tries once, and its agent does not wait
// long for a controller that died.
func launchJob(fleet, attribute, value string) []byte {
	file := hclwrite.NewEmptyFile()
	body := file.Body().AppendNewBlock("job", []string{"fleet-check"}).Body()
	body.SetAttributeValue("max_instances", cty.NumberIntVal(1))
	body.SetAttributeValue("run_timeout", cty.StringVal("30m"))
	retries := body.AppendNewBlock("retries", nil).Body()
	retries.SetAttributeValue("attempts", cty.NumberIntVal(1))
	retries.SetAttributeValue("on_demand_attempts", cty.NumberIntVal(0))
	retries.SetAttributeValue("capacity_wait", cty.StringVal("2m"))
	body.AppendNewBlock("timing", nil).Body().SetAttributeValue("orphan_grace", cty.StringVal("1m"))
	task := body.AppendNewBlock("task", []string{"launch"}).Body()
	task.SetAttributeValue("command", cty.TupleVal([]cty.Value{cty.StringVal("true")}))
	file.Body().AppendNewBlock("fleet", []string{fleet}).Body().SetAttributeValue(attribute, cty.StringVal(value))
	return file.Bytes()
}

// fleetOf a job by its name, or its only one.
func fleetOf(spec *job.Spec, name string) (job.Fleet, error) {
	var names []string
	for _, fleet := range spec.Fleets {
		if fleet.Name == name || name == "" && len(spec.Fleets) == 1 {
			return fleet, nil
		}
		names = append(names, fleet.Name)
	}
	hint := "it has " + strings.Join(names, ", ")
	if name == "" {
		return job.Fleet{}, wrongCall(hint, "job %s has several fleets: choose one by --fleet", spec.Job)
	}
	return job.Fleet{}, wrongCall(hint, "job %s uses no fleet %q", spec.Job, name)
}
