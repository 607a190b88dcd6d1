package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

type execFlags struct {
	index, node, attempt int // -1, -1, 0: not given
	timeout              time.Duration
	interactive, tty     bool
}

func (a *app) execCommand() *cobra.Command {
	var flags execFlags
	cmd := &cobra.Command{
		Use:   "exec RUN TASK [flags] -- COMMAND [ARG...]",
		Short: "Run a command beside a task, or where one failed",
		Long: `Runs a command on the instance of a task that runs, in the task's working
directory and with its variables, or on the instance that hold_on_failure keeps
after the task failed. It prints what the command writes and ends with its exit
code; a signal that ended it is 128 and its number.

It goes through the bucket, so there is no connection to the instance: the
output comes in pieces, a second or some late, there is no terminal, and the
command reads nothing. The command does not go through a shell. It ends with
the task's own command, on Ctrl-C, and after --timeout. Of its output 16 MiB are
kept.`,
		Example: `  spotrelay exec last train -- nvidia-smi
  spotrelay exec last shards --index 3 -- sh -c 'ls -l; tail -n 20 train.log'
  spotrelay exec last train --timeout 1m -- py-spy dump --pid 4711`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case flags.interactive || flags.tty:
				return wrongCall("give it all that it needs as arguments, as in -- sh -c '...'", "exec has no terminal, and its command reads nothing: -i and -t cannot be had")
			case dash < 0 && len(args) > 2, dash > 2:
				return wrongCall("the command stands behind --: "+cmd.CommandPath()+" RUN TASK -- COMMAND", "unexpected argument %q", args[2])
			case len(args) < 2 || dash >= 0 && dash < 2:
				return exact("RUN", "TASK")(cmd, args[:max(0, min(len(args), dash))])
			case len(args) == 2:
				return wrongCall("as in "+cmd.CommandPath()+" "+strings.Join(args, " ")+" -- ls -l", "COMMAND is missing")
			}
			return nil
		},
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			changed := cmd.Flags().Changed
			switch {
			case changed("index") && flags.index < 0, changed("node") && flags.node < 0:
				return wrongCall("", "indexes and nodes are numbered from 0")
			case changed("attempt") && flags.attempt < 1:
				return wrongCall("", "attempts are numbered from 1")
			case flags.timeout <= 0:
				return wrongCall("", "--timeout is more than 0")
			}
			return a.exec(cmd.Context(), args[0], args[1], args[2:], flags)
		},
	}
	cmd.Flags().IntVar(&flags.index, "index", -1, "the `index` of an array")
	cmd.Flags().IntVar(&flags.node, "node", -1, "the `node` of a gang (default 0, or the one that is kept)")
	cmd.Flags().IntVar(&flags.attempt, "attempt", 0, "the `attempt` that runs or is kept (default the one that runs)")
	cmd.Flags().DurationVar(&flags.timeout, "timeout", 10*time.Minute, "kill the command after so long")
	cmd.Flags().BoolVarP(&flags.interactive, "interactive", "i", false, "")
	cmd.Flags().BoolVarP(&flags.tty, "tty", "t", false, "")
	for _, name := range []string{"interactive", "tty"} {
		_ = cmd.Flags().MarkHidden(name) // they are there to be refused plainly
	}
	return cmd
}

// execTarget is where a command is run.
type execTarget struct {
	job.AttemptID
	instance string
}

func (a *app) exec(ctx context.Context, ref, task string, command []string, flags execFlags) error {
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
	if flags.index >= 0 {
		which.index = flags.index
	}
	state, at, err := store.LoadRun(ctx, b, run)
	if err != nil {
		return err
	}
	spec, err := findTask(state.Spec, which)
	if err != nil {
		return err
	}
	index, err := which.one(spec)
	if err != nil {
		return err
	}
	target, err := findExecTarget(state, spec.Name, index, flags)
	if err != nil {
		return err
	}
	session := &execSession{app: a, bucket: b, run: run, state: state, at: at, target: target, flags: flags}
	return session.begin(ctx, command)
}

// findExecTarget is the attempt of an index that runs, or else the one whose
// instance is kept.
func findExecTarget(state *plan.State, task string, index int, flags execFlags) (execTarget, error) {
	var record *plan.AttemptRecord // the newest that is meant
	for t := range state.Spec.Tasks {
		if state.Spec.Tasks[t].Name != task {
			continue
		}
		attempts := state.Tasks[t].Indexes[index].Attempts
		for i := range attempts {
			if flags.attempt == 0 || attempts[i].Attempt == flags.attempt {
				record = &attempts[i]
			}
		}
	}
	if record != nil && record.Verdict == nil {
		target := execTarget{AttemptID: job.AttemptID{Task: task, Index: index, Attempt: record.Attempt}, instance: record.Instance}
		switch nodes := len(record.Nodes); {
		case flags.node >= max(nodes, 1):
			return target, wrongCall("", "attempt %d has no node %d: it has %d", record.Attempt, flags.node, max(nodes, 1))
		case nodes > 0:
			target.instance = record.Nodes[max(flags.node, 0)].Instance
		}
		if record.Accepted == 0 {
			return target, wrongCall("spotrelay status shows when it runs", "attempt %d of %s has not begun", record.Attempt, task)
		}
		return target, nil
	}
	for _, inst := range state.KeptFor(task, index) {
		if flags.attempt != 0 && inst.Hold.Attempt != flags.attempt {
			continue
		}
		return execTarget{AttemptID: inst.Hold.AttemptID, instance: inst.ID}, nil
	}
	hint := `with hold_on_failure the instance of an attempt that failed is kept for a look`
	switch {
	case record == nil && flags.attempt > 0:
		return execTarget{}, wrongCall("spotrelay attempts "+state.Spec.Run+" "+task+" lists them", "there is no attempt %d", flags.attempt)
	case record == nil:
		return execTarget{}, wrongCall("spotrelay status shows when it runs", "task %s has not begun", task)
	}
	return execTarget{}, wrongCall(hint, "attempt %d of %s has ended (%s), and its instance is not kept", record.Attempt, task, record.Verdict.Class)
}
