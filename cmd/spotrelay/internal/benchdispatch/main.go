// Command benchdispatch measures how many tasks a second can be given out on
// one machine: an array of tasks that do nothing, as a run on the local provider
// and beside it with the programs that a user would take instead, taking turns.
// `make bench-dispatch` runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchdispatch:", err)
		os.Exit(1)
	}
}

type options struct {
	program    string
	tasks      int
	slurmTasks int
	jobs       int
	slots      int
	runs       int
	dir        string
	only       string
	json       bool
}

func readOptions(args []string, errs io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("benchdispatch", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&o.program, "spotrelay", filepath.Join("bin", "spotrelay"), "the `program` that is measured")
	flags.IntVar(&o.tasks, "tasks", 10000, "`number` of tasks in the array")
	flags.IntVar(&o.slurmTasks, "slurm-tasks", 500, "`number` of tasks for Slurm, whose rate does not hang on it")
	flags.IntVar(&o.jobs, "jobs", 4, "`number` of tasks that the peers run at a time")
	flags.IntVar(&o.slots, "slots", 4, "`slots` of the one instance")
	flags.IntVar(&o.runs, "runs", 3, "`runs`, of which the median is taken")
	flags.StringVar(&o.dir, "dir", "", "`folder` for buckets and the like (default: that of temporary files)")
	flags.StringVar(&o.only, "only", "", "`names`, with commas, of what is measured (default: all that is installed)")
	flags.BoolVar(&o.json, "json", false, "write JSON in place of the table")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if min(o.tasks, o.slurmTasks, o.jobs, o.slots, o.runs) < 1 || flags.NArg() > 0 {
		return o, errors.New("all numbers must be at least 1, and there are no arguments")
	}
	program, err := filepath.Abs(o.program)
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		return o, fmt.Errorf("%w; make build makes it, -spotrelay names another", err)
	}
	o.program = program
	return o, nil
}

// start is the whole benchmark.
func start(ctx context.Context, args []string, out, errs io.Writer) (err error) {
	o, err := readOptions(args, errs)
	if err != nil {
		return err
	}
	if err := adopt(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "benchdispatch-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := report{Tasks: o.tasks, Runs: o.runs, Jobs: o.jobs, Slots: o.slots, CPUs: runtime.NumCPU(), Load: loadAverage()}
	var tools []tool
	for _, t := range allTools(o) {
		switch why := t.missing(); {
		case o.only != "" && !slices.Contains(strings.Split(o.only, ","), t.name()):
		case why != "":
			r.Left = append(r.Left, t.name()+" ("+why+")")
		default:
			tools = append(tools, t)
			r.Measures = append(r.Measures, &measure{Tool: t.name(), Tasks: t.tasks()})
		}
	}
	for i := range o.runs {
		for j := range tools {
			k := (i + j) % len(tools) // they take turns in beginning
			if r.Measures[k].Error != "" {
				continue
			}
			fmt.Fprintf(errs, "run %d of %d: %s\n", i+1, o.runs, tools[k].name())
			u, err := tools[k].run(ctx, filepath.Join(dir, fmt.Sprintf("%d-%d", i, k)))
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				r.Measures[k].Error = err.Error()
				continue
			}
			r.Measures[k].Samples = append(r.Measures[k].Samples, u)
		}
	}
	if o.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		r.Markdown(out)
	}
	return errors.Join(err, r.failed())
}

// loadAverage is that of the last minute, where the system tells it.
func loadAverage() string {
	all, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(all), " ")
	return first
}

// await looks now and then until a condition holds, at most so long.
func await(ctx context.Context, what string, pause, atMost time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
	return nil
}
