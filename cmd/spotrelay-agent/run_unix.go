//go:build unix

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/agent"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
)

// defaultHome is the agent's folder where the provider names none.
const defaultHome = "/var/lib/spotrelay"

func newRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the agent, configured by the environment that the provider made",
		Long: `Run the agent until its instance is to end. It is configured by the environment:

  ` + bootstrap.VarConfig + `   what the controller says, as JSON
  ` + bootstrap.VarInstance + `       the instance's id
  ` + bootstrap.VarMetadata + `       the metadata service's address, if not the provider's own
  ` + bootstrap.VarHome + `           the folder to work in (` + defaultHome + `)
  ` + bootstrap.VarUploadLimit + `   the most bytes to send in a second
  ` + bootstrap.VarAddress + `        where other instances reach this one, if it is not to find out itself
  ` + bootstrap.VarNoticeLead + `    how long the interruption notice is, if not as the provider says`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAgent(cmd.Context()) },
	}
}

func runAgent(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	options, err := optionsFromEnvironment(os.Getenv)
	if err != nil {
		return wrongCall{err}
	}
	// Writing to a log that nobody reads must not end the agent. The signal is
	// caught and not ignored, since tasks would inherit the ignoring.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	b, err := bucket.Open(ctx, options.Config.Bucket)
	if err != nil {
		return fmt.Errorf("opening the bucket that %s names: %w", bootstrap.VarConfig, err)
	}
	defer b.Close()
	options.Bucket, options.Logger, options.Environ, options.Version, options.Reap = b, log, os.Environ(), version, true
	a, err := agent.New(options)
	if err != nil {
		return wrongCall{err}
	}
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	stops := make(chan os.Signal, 2)
	signal.Notify(stops, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stops
		a.Stop()
		<-stops // a second time: at once
		cut()
	}()
	return a.Run(ctx)
}

// optionsFromEnvironment reads the variables of package bootstrap.
func optionsFromEnvironment(getenv func(string) string) (agent.Options, error) {
	text := getenv(bootstrap.VarConfig)
	if text == "" {
		return agent.Options{}, fmt.Errorf("%s is not set: the agent is started by a provider, which sets it", bootstrap.VarConfig)
	}
	config, err := bootstrap.Decode(text)
	if err != nil {
		return agent.Options{}, err
	}
	options := agent.Options{
		Config:   config,
		Instance: getenv(bootstrap.VarInstance),
		Metadata: getenv(bootstrap.VarMetadata),
		Home:     getenv(bootstrap.VarHome),
	}
	if options.Home == "" {
		options.Home = defaultHome
	}
	options.Address = getenv(bootstrap.VarAddress)
	if text := getenv(bootstrap.VarNoticeLead); text != "" {
		lead, err := time.ParseDuration(text)
		if err != nil || lead <= 0 {
			return agent.Options{}, fmt.Errorf("%s is %q: it must be a duration above zero, such as 120s", bootstrap.VarNoticeLead, text)
		}
		options.NoticeLead = lead
		options.Config.SetNoticeLead(lead)
	}
	if limit := getenv(bootstrap.VarUploadLimit); limit != "" {
		options.UploadLimit, err = strconv.ParseInt(limit, 10, 64)
		if err != nil || options.UploadLimit < 0 {
			return agent.Options{}, fmt.Errorf("%s is %q: it must be a whole number of bytes a second, 0 for no limit", bootstrap.VarUploadLimit, limit)
		}
	}
	return options, nil
}
