//go:build unix

package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/task"
	"github.com/spotrelay/spotrelay/runner/job"
)

// A program that uses package task, as users write them.
func init() {
	helpers["program"] = func([]string) {
		state := filepath.Join(task.Dir("nowhere"), "state")
		if task.Resumed() {
			data, err := os.ReadFile(state)
			must(err)
			fmt.Printf("goes on from %s\n", data)
			must(task.WriteFile(filepath.Join(task.OutputDir("nowhere"), "result"), data, 0o644))
			return
		}
		ctx, stop := task.Context(context.Background())
		defer stop()
		must(task.WriteFile(state, []byte("half"), 0o644))
		for _, unchanged := range []bool{false, true} {
			until(func() bool { // what was just written proves nothing for some milliseconds
				c, err := task.Save(ctx)
				must(err)
				return c.Attempt == 1 && c.Sequence > 0 && (!unchanged || c.Unchanged)
			})
		}
		_, err := task.SaveInBackground(ctx)
		must(err)
		ready()
		<-ctx.Done()
		n, err := task.ReadNotice()
		must(err)
		must(task.WriteFile(state, []byte("whole"), 0o644))
		fmt.Printf("%v, a notice to %s\n", context.Cause(ctx), n.Action)
		os.Exit(task.ExitSaved)
	}
}

// The protocol of package task is the one that the agent speaks: such a program
// saves, stops on a notice and goes on.
func TestProgramOfPackageTask(t *testing.T) {
	t.Parallel()
	say, option := metadata(t, job.NoticeInterruption)
	r := newRig(t, option)
	first := helper("program", withCheckpoint, withOutput)
	r.assign(first)
	r.running(first.AttemptID)
	say(noticeIn(30 * time.Second))
	end := r.end(first.AttemptID)
	if end.ExitCode != job.ExitSaved || end.Saved == nil {
		t.Fatalf("end: %+v\n%s", end, r.log(first.AttemptID))
	}
	if log := r.log(first.AttemptID); !strings.Contains(log, "interrupted: save, and exit with 75, a notice to terminate") {
		t.Errorf("log: %s", log)
	}
	r.leaves()

	again := newRigOn(t, r.bucket)
	again.desired.Epoch = 2
	second := helper("program", withCheckpoint, withOutput)
	second.Attempt, second.Restore = 2, end.Saved
	again.assign(second)
	end = again.end(second.AttemptID)
	if end.Output == nil {
		t.Fatalf("end: %+v\n%s", end, again.log(second.AttemptID))
	}
	if files := again.content(end.Output.Key, end.Output.Digest); files["result"] != "whole" {
		t.Errorf("output: %v", files)
	}
}
