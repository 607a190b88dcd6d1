package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

type pluginTestFlags struct {
	config string
	cpus   float64
	page   int
	wait   time.Duration
}

func (a *app) pluginTestCommand() *cobra.Command {
	var flags pluginTestFlags
	cmd := &cobra.Command{
		Use:   "test PATH|NAME",
		Short: "Hold a plugin to the provider contract: rents a few instances",
		Long: `Runs the conformance suite against a plugin that was just built, whatever the lock
file says, or against one by its name. The suite rents a few instances in the fleet
that --config describes, and ends them: in a cloud that costs a little.`,
		Example: `  spotrelay plugin test ./spotrelay-provider-azure --config fleet.json
  spotrelay plugin test local`,
		Args: exact("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.testPlugin(cmd.Context(), args[0], flags)
		},
	}
	cmd.Flags().StringVar(&flags.config, "config", "", "the fleet's config block as a JSON `file`")
	cmd.Flags().Float64Var(&flags.cpus, "cpus", 0, "rent instances with at least so many CPUs")
	cmd.Flags().IntVar(&flags.page, "page", 0, "instances on one page of the cloud's listing; so many and one more are rented")
	cmd.Flags().DurationVar(&flags.wait, "wait", 3*time.Minute, "how long anything may take that comes about by itself")
	return cmd
}

// pluginTestJSON is what plugin test --json prints: a line for each case, and a
// last one with passed.
type pluginTestJSON struct {
	Version int                  `json:"version"`
	Case    *providertest.Result `json:"case,omitempty"`
	Passed  *bool                `json:"passed,omitempty"`
}

func (a *app) testPlugin(ctx context.Context, target string, flags pluginTestFlags) error {
	if flags.page < 0 || flags.page > 5000 {
		return wrongCall("", "--page is %d; want 0 to 5000", flags.page)
	}
	config, err := readConfig(flags.config)
	if err != nil {
		return err
	}
	manager, err := a.pluginManager("")
	if err != nil {
		return err
	}
	defer manager.Close()
	provider, err := pluginUnderTest(ctx, manager, target)
	if err != nil {
		return err
	}
	b, forget, err := a.testBucket(ctx)
	if err != nil {
		return err
	}
	defer forget()
	start, err := testBootstrap(ctx, b, provider)
	if err != nil {
		return err
	}
	options := providertest.Options{
		New:       func(providertest.T) providers.Provider { return provider },
		Fleet:     providers.Fleet{Name: "conformance", Config: config},
		Need:      providers.Need{CPUs: flags.cpus},
		Bootstrap: start,
		Page:      flags.page,
		Wait:      flags.wait,
		Offline: func(t providertest.T) providers.Provider {
			offline, err := manager.Offline(provider)
			if err != nil {
				t.Errorf("%v", err)
				t.FailNow()
			}
			return offline
		},
	}
	passed := providertest.Check(ctx, options, a.printResult)
	if a.json {
		err = a.printJSON(pluginTestJSON{Version: jsonVersion, Passed: &passed})
	} else if passed {
		fmt.Fprintln(a.stdout, "passed")
	} else {
		fmt.Fprintln(a.stdout, "FAILED")
	}
	if err == nil && !passed {
		return &exitError{code: exitFailed}
	}
	return err
}

func (a *app) printResult(result providertest.Result) {
	if a.json {
		_ = a.printJSON(pluginTestJSON{Version: jsonVersion, Case: &result}) // the reader is gone: the suite still cleans up
		return
	}
	fmt.Fprintf(a.stdout, "%-8s %s\n", result.Outcome, result.Name)
	for _, line := range result.Log {
		fmt.Fprintf(a.stdout, "         %s\n", line)
	}
}

// pluginUnderTest is an executable by its path, or a plugin by its name: what has
// no slash and is no file here.
func pluginUnderTest(ctx context.Context, manager *plugins.Manager, target string) (providers.Provider, error) {
	if filepath.Base(target) == target && !isProgram(target) {
		return manager.Provider(ctx, target)
	}
	return manager.Executable(target)
}

func readConfig(path string) (json.RawMessage, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, wrongCall("", "%w", err)
	}
	if !json.Valid(data) {
		return nil, wrongCall("write the config block as a JSON object", "%s is not JSON", path)
	}
	return data, nil
}

// testBucket is the bucket named, or a folder that is removed after.
func (a *app) testBucket(ctx context.Context) (bucket.Bucket, func(), error) {
	if a.bucket != "" {
		b, err := openAddress(ctx, a.bucket)
		if err != nil {
			return nil, nil, err
		}
		return b, func() { b.Close() }, nil
	}
	dir, err := os.MkdirTemp("", "spotrelay-plugin-test-")
	if err != nil {
		return nil, nil, err
	}
	b, err := openAddress(ctx, dir)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return b, func() {
		b.Close()
		_ = os.RemoveAll(dir) // a temporary folder
	}, nil
}

// testBootstrap puts the agent programs into the bucket and configures them to
// wait for a run that nobody controls, for an hour.
func testBootstrap(ctx context.Context, b bucket.Bucket, provider providers.Provider) (providers.Bootstrap, error) {
	programs, err := agentPrograms()
	if err != nil {
		return providers.Bootstrap{}, err
	}
	start := providers.Bootstrap{Bucket: b.Describe().URL, Agents: map[string]providers.AgentProgram{}}
	description, err := provider.Describe(ctx)
	if err != nil {
		return start, err
	}
	hour := job.Duration(time.Hour)
	config, err := bootstrap.Config{
		Version: job.SpecVersion, Bucket: start.Bucket, Run: "conformance", Fleet: "conformance", Slots: 1,
		Notice: description.Notice, Leave: description.Leave,
		Timing: job.Timing{
			Heartbeat: job.Duration(10 * time.Second), Silence: hour, BootTimeout: hour, IdleTimeout: hour, OrphanGrace: hour,
			Poll: job.Duration(time.Second), Lease: hour,
		},
	}.Encode()
	if err != nil {
		return start, err
	}
	start.Environment = map[string]string{bootstrap.VarConfig: config}
	for platform, path := range programs {
		data, err := os.ReadFile(path)
		if err != nil {
			return start, err
		}
		sum := sha256.Sum256(data)
		program := providers.AgentProgram{SHA256: hex.EncodeToString(sum[:])}
		program.Key = store.AgentKey(version, program.SHA256, platform)
		if _, err := b.Put(ctx, program.Key, bytes.NewReader(data), bucket.Condition{}); err != nil {
			return start, err
		}
		start.Agents[platform] = program
	}
	return start, nil
}
