package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

func (a *app) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel RUN",
		Short: "End a run: its tasks save, its instances go",
		Long: `Asks for the end of a run. Running attempts are told to stop and save their last
checkpoint, then every instance is ended. Whoever controls the run does it; when
nobody does, it is done by the next spotrelay attach.`,
		Example:           `  spotrelay cancel last`,
		Args:              exact("RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.request(cmd.Context(), args[0], plan.Request{Kind: plan.RequestCancel})
		},
	}
}

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume RUN",
		Short: "Go on with a run that is paused or held",
		Long: `Goes on with a run that was paused, each task from its newest checkpoint, or
that is held because somebody else ended one of its instances; spotrelay status
RUN says why it is held. Whoever controls the run does it, or serves the bucket;
when nobody does, the next spotrelay attach.`,
		Example:           `  spotrelay resume last`,
		Args:              exact("RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.request(cmd.Context(), args[0], plan.Request{Kind: plan.RequestResume})
		},
	}
}

func (a *app) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pause RUN",
		Short: "Save what runs and give the instances back, to go on later",
		Long: `Has what runs save its checkpoint and end, at no charge, and gives every instance
back. The run then costs nothing but what it keeps in the bucket, and whoever
controlled it ends with exit code 130. spotrelay resume goes on with each task
from its newest checkpoint; what saves none begins anew. run_timeout does not
count the time between.`,
		Example: `  spotrelay pause last
  spotrelay resume last && spotrelay attach last`,
		Args:              exact("RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.request(cmd.Context(), args[0], plan.Request{Kind: plan.RequestPause})
		},
	}
}

// requestJSON is what cancel --json and resume --json print.
type requestJSON struct {
	Version    int              `json:"version"`
	Run        string           `json:"run"`
	Request    plan.RequestKind `json:"request"`
	State      plan.RunState    `json:"state"` // before the request is taken up
	Controlled bool             `json:"controlled"`
}

func (a *app) request(ctx context.Context, ref string, request plan.Request) error {
	kind := request.Kind
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	run, err := resolveRun(ctx, b, ref)
	if err != nil {
		return err
	}
	state, _, err := store.LoadRun(ctx, b, run)
	if err != nil {
		return err
	}
	switch {
	case state.Outcome != "" && kind == plan.RequestRetry:
		return wrongCall("", "run %s is over and stays as it is: spotrelay recover %s makes a new run of it, which takes over what succeeded", run, run)
	case state.Outcome != "":
		return wrongCall("", "run %s is over: it %s", run, state.Run())
	case kind == plan.RequestResume && state.Held == "" && !state.Paused:
		return wrongCall("", "run %s is neither paused nor held, it is %s", run, state.Run())
	case kind == plan.RequestPause && state.Run() != plan.RunRunning && state.Run() != plan.RunHolding:
		return wrongCall("", "run %s cannot be paused, it is %s", run, state.Run())
	}
	if kind == plan.RequestRetry {
		if err := mayRetry(state, request); err != nil {
			return err
		}
	}
	if kind == plan.RequestRelease && len(state.KeptFor(request.Task, request.Index)) == 0 {
		return wrongCall("", "run %s keeps no instance for task %s", run, request.Task)
	}
	if err := putRequest(ctx, b, run, request); err != nil {
		return err
	}
	if state.Paused { // its mark is gone, or will be
		if err := store.MarkLive(ctx, b, run); err != nil {
			return err
		}
	}
	controlled := controllerText(ctx, b, state) != "none"
	if a.json {
		return a.printJSON(requestJSON{Version: jsonVersion, Run: run, Request: kind, State: state.Run(), Controlled: controlled})
	}
	fmt.Fprintf(a.stdout, "asked run %s to %s\n", run, strings.TrimSpace(string(kind)+" "+request.Task))
	if !controlled {
		fmt.Fprintf(a.stdout, "nobody controls it now: spotrelay attach %s does it\n", run)
	}
	return nil
}

func putRequest(ctx context.Context, b bucket.Bucket, run string, request plan.Request) error {
	request.By = whoAmI()
	_, err := store.PutRequest(ctx, b, run, request)
	return err
}

// whoAmI is user@host, for people.
func whoAmI() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}
