//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"spotrelay-agent": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv(bootstrap.VarConfig, "")
			env.Setenv("BUCKET", "file://"+filepath.Join(env.WorkDir, "bucket"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"assign": assign, "configure": configure, "ended": ended},
	})
}

const (
	testRun  = "01jd00000000000000000000aa"
	instance = "i-script"
)

// configure sets the agent's environment, as a provider does.
func configure(ts *testscript.TestScript, _ bool, _ []string) {
	text, err := bootstrap.Config{
		Version: job.SpecVersion, Bucket: ts.Getenv("BUCKET"), Run: testRun, Fleet: "local", Slots: 1,
		Leave: providers.Leave{Means: providers.LeaveExit},
	}.Encode()
	ts.Check(err)
	ts.Setenv(bootstrap.VarConfig, text)
	ts.Setenv(bootstrap.VarInstance, instance)
	ts.Setenv(bootstrap.VarHome, ts.MkAbs("home"))
}

// assign writes a desired document: one task with a checkpoint, then leave.
func assign(ts *testscript.TestScript, _ bool, args []string) {
	b, err := bucket.Open(context.Background(), ts.Getenv("BUCKET"))
	ts.Check(err)
	defer b.Close()
	_, err = store.WriteDesired(context.Background(), b, job.Desired{
		Run: testRun, Instance: instance, Epoch: 1, Sequence: 1, Leave: true,
		Attempts: []job.Assignment{{
			AttemptID: job.AttemptID{Task: "task", Attempt: 1}, Count: 1,
			Execution: job.Execution{
				Command: []string{"sh", "-c", args[0]}, Signal: "SIGTERM", KillAfter: job.Duration(5 * time.Second),
				Checkpoint: &job.Checkpoint{Path: "ckpt"},
			},
		}},
	}, store.DesiredAt{})
	ts.Check(err)
}

// ended prints the task's log into a file and checks that it was committed.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	b, err := bucket.Open(context.Background(), ts.Getenv("BUCKET"))
	ts.Check(err)
	defer b.Close()
	status, _, err := store.ReadStatus(context.Background(), b, testRun, instance)
	ts.Check(err)
	if len(status.Ended) != 1 || status.Ended[0].Committed == neg {
		ts.Fatalf("status: %+v", status)
	}
	var log strings.Builder
	ts.Check(store.ReadLog(context.Background(), b, testRun, status.Ended[0].AttemptID, &log))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(log.String()), 0o644))
}
