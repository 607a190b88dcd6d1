package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/runner/controller"
	"github.com/spotrelay/spotrelay/runner/plan"
)

func (a *app) attachCommand() *cobra.Command {
	var background bool
	cmd := &cobra.Command{
		Use:   "attach RUN",
		Short: "Go on with a run, or watch the one who does",
		Long: `Takes a run up where it is: on any machine that can read the bucket and rent
from its fleets. While another controller lives it only watches, and takes over
should that one die. The exit code is the run's.`,
		Example: `  spotrelay attach last
  spotrelay attach 01k9 --bucket /srv/batch`,
		Args:              exact("RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.openBucket(cmd.Context())
			if err != nil {
				return err
			}
			defer b.Close()
			run, err := resolveRun(cmd.Context(), b, args[0])
			if err != nil {
				return err
			}
			w, err := watch.FromNow(cmd.Context(), b, run)
			if err != nil {
				return err
			}
			manager, err := a.pluginManager(w.State.Spec.Source.File)
			if err != nil {
				return err
			}
			defer manager.Close()
			if background {
				return a.carryInBackground(cmd.Context(), b, w, manager)
			}
			return a.carryRun(cmd.Context(), b, w, manager)
		},
	}
	cmd.Flags().BoolVar(&background, "background", false, "show nothing and end with the run")
	_ = cmd.Flags().MarkHidden("background") // it is there
	return cmd
}

// carryRun carries a run to its end before the user's eyes.
func (a *app) carryRun(ctx context.Context, b bucket.Bucket, w *watch.Watcher, manager *plugins.Manager) error {
	show, interrupts, err := a.newDisplay(ctx, w)
	if err != nil {
		return err
	}
	c := &carrier{app: a, bucket: b, run: w.Run, providers: manager, watcher: w, show: show, log: a.logger()}
	err = c.carry(ctx, interrupts)
	return a.sayEnd(b, w, err)
}

// carryInBackground carries a run to its end without a word.
func (a *app) carryInBackground(ctx context.Context, b bucket.Bucket, w *watch.Watcher, manager *plugins.Manager) error {
	c := &carrier{
		app: a, bucket: b, run: w.Run, providers: manager, watcher: w, show: plainDisplay{out: a.stdout},
		log: slog.New(slog.NewTextHandler(a.stderr, nil)),
	}
	err := c.carry(ctx, nil)
	if errors.Is(err, controller.ErrPaused) {
		fmt.Fprintf(a.stdout, "run %s is paused: go on by %s\n", w.Run, a.again("resume", w.Run, b))
		return exitWith(exitInterrupted)
	}
	if err != nil {
		return err
	}
	return exitWith(resultOf(w.State))
}

// newDisplay is the live view in a terminal, lines of JSON with --json, plain
// lines elsewhere; with the channel that tells of a first interrupt.
func (a *app) newDisplay(ctx context.Context, w *watch.Watcher) (display, <-chan struct{}, error) {
	if a.json {
		err := a.printJSON(startedJSON{Version: jsonVersion, Event: "run-started", Run: w.Run, Job: w.State.Spec.Job, Bucket: w.Bucket.Describe().URL,
			Recovers: recoversView(w.State.Spec.Recovery)})
		return streamDisplay{app: a, run: w.Run}, interrupted(ctx), err
	}
	if isTerminal(a.stdout) && isTerminal(a.stdin) && os.Getenv("TERM") != "dumb" {
		return newLiveDisplay(a.stdin, a.stdout, w), nil, nil
	}
	fmt.Fprintf(a.stdout, "run %s of job %s in %s\n", w.Run, w.State.Spec.Job, w.Bucket.Describe().URL)
	return plainDisplay{out: a.stdout}, interrupted(ctx), nil
}

// sayEnd has the last word and makes the exit code.
func (a *app) sayEnd(b bucket.Bucket, w *watch.Watcher, err error) error {
	state, left := w.State, errors.Is(err, errLeft) || errors.Is(err, controller.ErrPaused)
	if err != nil && !left {
		fmt.Fprintf(a.stderr, "run %s is not over: go on by %s\n", w.Run, a.again("attach", w.Run, b))
		return err
	}
	code := resultOf(state)
	if left {
		code = exitInterrupted
	}
	if a.json {
		return errors.Join(a.printJSON(endLine(w, left, code)), exitWith(code))
	}
	if left && state.Run() == plan.RunResting {
		fmt.Fprintf(a.stdout, "run %s is paused after %s, cost %s; its instances are given back\n  go on:  %s\n  end it: %s\n", w.Run,
			narrate.Span(w.At.Now), narrate.Money(state.Cost), a.again("resume", w.Run, b), a.again("cancel", w.Run, b))
		return exitWith(code)
	}
	if left {
		fmt.Fprintf(a.stdout, "left run %s, it is %s\n  go on:  %s\n  end it: %s\n", w.Run, state.Run(),
			a.again("attach", w.Run, b), a.again("cancel", w.Run, b))
		return exitWith(code)
	}
	fmt.Fprintf(a.stdout, "run %s %s after %s, cost %s\n", w.Run, state.Run(), narrate.Span(w.At.Now), narrate.Money(state.Cost))
	return exitWith(code)
}

func endLine(w *watch.Watcher, left bool, code int) endedJSON {
	line := endedJSON{
		Version: jsonVersion, Event: "run-ended", Run: w.Run, State: w.State.Run(), Reason: w.State.Reason,
		Lived: w.At.Now.Seconds(), Cost: w.State.Cost, Indexes: countIndexes(w.State), Exit: code,
	}
	if left {
		line.Event = "run-left"
	}
	return line
}

func countIndexes(state *plan.State) indexesJSON {
	var n indexesJSON
	for i := range state.Tasks {
		for k := range state.Tasks[i].Indexes {
			n.count(state.Tasks[i].Indexes[k].Phase)
		}
	}
	return n
}

// again is a command about the run as the user can paste it.
func (a *app) again(command, run string, b bucket.Bucket) string {
	text := "spotrelay " + command + " " + run
	if a.bucket != "" || os.Getenv("SPOTRELAY_BUCKET") == "" {
		text += " --bucket " + quote(b.Describe().URL)
	}
	return text
}

func quote(text string) string {
	if strings.ContainsAny(text, " '\"$&?*") {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}
