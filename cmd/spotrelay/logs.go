package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

type logsFlags struct {
	follow  bool
	attempt int
	node    int // of a gang, -1: as without
}

func (a *app) logsCommand() *cobra.Command {
	var flags logsFlags
	cmd := &cobra.Command{
		Use:   "logs RUN TASK[/INDEX]",
		Short: "Print what a task wrote, attempt by attempt",
		Long: `Prints what a task wrote to its standard output and error: all attempts one
after the other, or one of them. The logs of attempts that were lost are there as
far as they had been sent.`,
		Example: `  spotrelay logs last train
  spotrelay logs last shard/3 --attempt 2
  spotrelay logs last train -f`,
		Args:              exact("RUN", "TASK"),
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("attempt") && flags.attempt < 1 {
				return wrongCall("", "attempts are numbered from 1")
			}
			if cmd.Flags().Changed("node") && (flags.node < 0 || flags.follow) {
				return wrongCall("without --follow it prints what there is", "--node takes a node's number, from 0 on, and not --follow")
			}
			return a.showLogs(cmd.Context(), args[0], args[1], flags)
		},
	}
	cmd.Flags().BoolVarP(&flags.follow, "follow", "f", false, "go on as it is written, until the task has ended")
	cmd.Flags().IntVar(&flags.node, "node", -1, "of a gang, the node with this `number` and not node 0, with all its incarnations")
	cmd.Flags().IntVar(&flags.attempt, "attempt", 0, "only the attempt with this `number`")
	return cmd
}

func (a *app) showLogs(ctx context.Context, ref, task string, flags logsFlags) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	run, err := resolveRun(ctx, b, ref)
	if err != nil {
		return err
	}
	which, err := parseTaskRef(task)
	if err != nil {
		return err
	}
	reader := &logReader{app: a, bucket: b, run: run, flags: flags}
	if reader.state, reader.at, err = store.LoadRun(ctx, b, run); err != nil {
		return err
	}
	spec, err := findTask(reader.state.Spec, which)
	if err != nil {
		return err
	}
	if reader.index, err = which.one(spec); err != nil {
		return err
	}
	reader.task = spec.Name
	return reader.print(ctx)
}

// logReader prints the logs of one index.
type logReader struct {
	app    *app
	bucket bucket.Bucket
	run    string
	state  *plan.State
	at     store.Position
	task   string
	index  int
	flags  logsFlags
}

func (r *logReader) print(ctx context.Context) error {
	last := 0 // the last attempt that was printed
	for {
		index := r.current()
		for _, record := range index.Attempts {
			if record.Attempt <= last || (r.flags.attempt > 0 && record.Attempt != r.flags.attempt) {
				continue
			}
			last = record.Attempt
			if err := r.attempt(ctx, record); err != nil {
				return err
			}
		}
		if r.flags.attempt > 0 && last == 0 && (!r.flags.follow || index.Next >= r.flags.attempt) {
			return wrongCall("spotrelay attempts "+r.run+" "+r.task+" lists them", "there is no attempt %d", r.flags.attempt)
		}
		if !r.flags.follow || last > 0 && last == r.flags.attempt {
			return nil
		}
		// Following an attempt has read on in the journal: what it found there
		// would not come again.
		switch now := r.current(); {
		case newest(now) > newest(index):
		case over(now.Phase):
			return nil
		default:
			if err := r.wait(ctx); err != nil {
				return err
			}
		}
	}
}

// newest is the number of an index's newest attempt, 0 when it has none.
func newest(index plan.IndexState) int {
	if len(index.Attempts) == 0 {
		return 0
	}
	return index.Attempts[len(index.Attempts)-1].Attempt
}

// current is the index as the journal has it now.
func (r *logReader) current() plan.IndexState {
	for t := range r.state.Spec.Tasks {
		if r.state.Spec.Tasks[t].Name == r.task {
			return r.state.Tasks[t].Indexes[r.index]
		}
	}
	return plan.IndexState{}
}

// wait waits until the journal has more.
func (r *logReader) wait(ctx context.Context) error {
	ticker := time.NewTicker(pollOf(r.bucket))
	defer ticker.Stop()
	for {
		changed, err := store.CatchUp(ctx, r.bucket, r.run, r.state, &r.at)
		if changed || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (r *logReader) attempt(ctx context.Context, record plan.AttemptRecord) error {
	id := job.AttemptID{Task: r.task, Index: r.index, Attempt: record.Attempt}
	out := r.app.stdout
	if r.app.json {
		lines := &logLines{app: r.app, id: id}
		defer lines.flush()
		out = lines
	} else if r.flags.attempt == 0 {
		instance := record.Instance
		if n := r.flags.node; n >= 0 && n < len(record.Nodes) {
			instance = record.Nodes[n].Instance
		}
		fmt.Fprintf(r.app.stderr, "== %s attempt %d on %s\n", narrate.Name(r.state.Spec, id.Task, id.Index), id.Attempt, instance)
	}
	if r.flags.node >= 0 {
		return r.nodeLogs(ctx, id, record, out)
	}
	if !r.flags.follow || record.Verdict != nil {
		return store.ReadLog(ctx, r.bucket, r.run, id, out)
	}
	return store.FollowLog(ctx, r.bucket, r.run, id, out, pollOf(r.bucket), func(ctx context.Context) (bool, error) {
		if _, err := store.CatchUp(ctx, r.bucket, r.run, r.state, &r.at); err != nil {
			return false, err
		}
		index := r.current()
		for i := range index.Attempts {
			if index.Attempts[i].Attempt == id.Attempt {
				return index.Attempts[i].Verdict != nil, nil
			}
		}
		return true, nil // withdrawn
	})
}

func over(phase plan.IndexPhase) bool {
	return phase == plan.IndexSucceeded || phase == plan.IndexFailed || phase == plan.IndexCancelled || phase == plan.IndexSkipped
}

func pollOf(b bucket.Bucket) time.Duration {
	return max(b.Describe().Poll, 100*time.Millisecond)
}
