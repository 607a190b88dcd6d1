//go:build unix

package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spotrelay/spotrelay/runner/job"
)

// ignored are the fields that differ from run to run.
var ignored = cmpopts.IgnoreFields(job.AttemptEnd{}, "AttemptID", "Started", "Ended", "Elapsed", "Usage", "LogBytes", "Warnings", "Fault", "Output", "Saved")

func TestEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		task    job.Assignment
		act     func(r *rig, id job.AttemptID) // while it runs
		want    job.AttemptEnd
		warning string // in the warnings
		log     string // in the log
		saved   bool
	}{
		{name: "exit 0", task: helper("exit 0"), want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, Committed: true}},
		{name: "exit 3", task: helper("exit 3"), log: "[spotrelay] ended with exit code 3",
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, ExitCode: 3}},
		{name: "exit 75 saves", task: helper("exit 75", withCheckpoint), saved: true,
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, ExitCode: 75, Saves: 1}},
		{name: "a failure saves nothing", task: helper("exit 1", withCheckpoint),
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, ExitCode: 1}},
		{name: "exit 0 with output", task: helper("output", withOutput),
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, Committed: true}},
		{name: "output lost", task: helper("lose-output", withOutput),
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, OutputError: "the output out cannot be read: stat WORK/out: no such file or directory"}},
		{name: "killed by a signal", task: helper("kill 9"),
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, Signal: "SIGKILL"}},
		{name: "a shell's 137", task: helper("exit 137"),
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, ExitCode: 137}},
		{name: "timeout with trap", task: helper("trap", withCheckpoint, timeout(3*time.Second)), saved: true, log: "[spotrelay] the timeout fired: sent SIGTERM",
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, ExitCode: 75, TimedOut: true, SignalSent: true, Saves: 1}},
		{name: "timeout ignored", task: helper("ignore", withCheckpoint, timeout(3*time.Second), killAfter(100*time.Millisecond)), saved: true, log: "sent SIGKILL",
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, Signal: "SIGKILL", TimedOut: true, SignalSent: true, Saves: 1}},
		{name: "cancelled", task: helper("trap", withCheckpoint), saved: true,
			act:  func(r *rig, id job.AttemptID) { r.running(id); r.desired.Attempts[0].Cancel = true; r.write() },
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, ExitCode: 75, Cancelled: true, SignalSent: true, Saves: 1}},
		{name: "vanished", task: helper("trap", withCheckpoint), saved: true,
			act:  func(r *rig, id job.AttemptID) { r.running(id); r.desired.Attempts = nil; r.write() },
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, ExitCode: 75, Cancelled: true, SignalSent: true, Saves: 1}},
		{name: "cancelled and finished nevertheless", task: helper("finish"),
			act:  func(r *rig, id job.AttemptID) { r.running(id); r.desired.Attempts[0].Cancel = true; r.write() },
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, Committed: true, Cancelled: true, SignalSent: true}},
		{name: "cancelled before it was seen", task: helper("exit 0", func(a *job.Assignment) { a.Cancel = true }),
			want: job.AttemptEnd{Step: job.StepPreparing, Cancelled: true}},
		{name: "cancelled in setup", task: helper("exit 0", setup("sh", "-c", "touch $(dirname $SPOTRELAY_NOTICE_FILE)/begun; exec sleep 1000")),
			act: func(r *rig, id job.AttemptID) {
				r.await("the setup", func() bool { return present(filepath.Join(filepath.Dir(r.work(id)), "begun")) })
				r.desired.Attempts = nil
				r.write()
			},
			want: job.AttemptEnd{Step: job.StepPreparing, Cancelled: true}},
		{name: "setup fails", task: helper("exit 0", setup("sh", "-c", "echo no such package >&2; exit 9")), log: "no such package",
			warning: "the setup command ended with exit code 9",
			want:    job.AttemptEnd{Step: job.StepPreparing, SetupFailed: true}},
		{name: "setup not found", task: helper("exit 0", setup("no-such-program")), warning: "no-such-program",
			want: job.AttemptEnd{Step: job.StepPreparing, SetupFailed: true}},
		{name: "command not found", task: helper("", withCommand("no-such-program")), log: "no-such-program", warning: "not found in PATH",
			want: job.AttemptEnd{Step: job.StepPreparing, StartFailed: true}},
		{name: "command not executable", task: helper("", withCommand("/etc/passwd")), warning: "permission denied",
			want: job.AttemptEnd{Step: job.StepPreparing, StartFailed: true}},
		{name: "command of another format", task: helper("", withCommand("./script"), setup("sh", "-c", "printf '\\1\\2\\3\\4' > script; chmod +x script")), warning: "exec format error",
			want: job.AttemptEnd{Step: job.StepPreparing, StartFailed: true}},
		{name: "command in the workdir", task: helper("", withCommand("./script", "a b"), setup("sh", "-c", "printf '#!/bin/sh\\necho \"got $1\"' > script; chmod +x script")), log: "got a b",
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, Committed: true}},
		{name: "a process left behind", task: helper("escape"), warning: "1 of its processes were still running",
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, Committed: true}},
		{name: "no command", task: helper("", withCommand()),
			want: job.AttemptEnd{Step: job.StepPreparing, AgentError: "the assignment has no command"}},
		{name: "a path that leads out", task: helper("exit 0", func(a *job.Assignment) { a.Execution.Output = &job.Output{Path: "../../x"} }),
			want: job.AttemptEnd{Step: job.StepPreparing, AgentError: `the output's path "../../x" is not below the working directory`}},
		{name: "checkpoint missing", task: helper("exit 0", withCheckpoint, func(a *job.Assignment) {
			a.Restore = &job.CheckpointRef{Key: "runs/r/checkpoints/task/0/0/000001-000000000001", Attempt: 1, Sequence: 1}
		}), want: job.AttemptEnd{Step: job.StepPreparing, RestoreError: "named"}},
		{name: "request for a checkpoint and back", task: helper("save", withCheckpoint), saved: true, log: "state: worth keeping\nsaves: 1\n",
			want: job.AttemptEnd{Step: job.StepCommitting, Exited: true, ExitCode: 3, Saves: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			id := test.task.AttemptID
			r.assign(test.task)
			if test.act != nil {
				test.act(r, id)
			}
			end := r.end(id)
			got := end
			got.OutputError = strings.ReplaceAll(got.OutputError, r.work(id), "WORK")
			if test.want.RestoreError == "named" && strings.Contains(got.RestoreError, test.task.Restore.Key) {
				got.RestoreError = "named"
				if got.RestoreKey == test.task.Restore.Key {
					got.RestoreKey = ""
				}
			}
			test.want.Restored = test.task.Restore
			if diff := cmp.Diff(test.want, got, ignored); diff != "" {
				t.Errorf("the end differs (-want +got):\n%s", diff)
			}
			if (end.SetupFailed || end.StartFailed) != (end.Fault != "") {
				t.Errorf("the fault is %q", end.Fault)
			}
			if warnings := strings.TrimSpace(strings.Join(end.Warnings, "\n") + "\n" + end.Fault); !strings.Contains(warnings, test.warning) || test.warning == "" && warnings != "" {
				t.Errorf("warnings %q, want %q", warnings, test.warning)
			}
			if log := r.log(id); !strings.Contains(log, test.log) {
				t.Errorf("log %q lacks %q", log, test.log)
			}
			if (end.Saved != nil) != test.saved {
				t.Errorf("saved: %+v", end.Saved)
			}
			if end.Output != nil {
				if diff := cmp.Diff(map[string]string{"result": "forty-two"}, r.content(end.Output.Key, end.Output.Digest)); diff != "" {
					t.Error(diff)
				}
			}
			if end.Elapsed <= 0 && end.Exited {
				t.Error("no time elapsed")
			}
		})
	}
}

func timeout(d time.Duration) func(*job.Assignment) {
	return func(a *job.Assignment) { a.Execution.Timeout = job.Duration(d) }
}

func killAfter(d time.Duration) func(*job.Assignment) {
	return func(a *job.Assignment) { a.Execution.KillAfter = job.Duration(d) }
}

func setup(command ...string) func(*job.Assignment) {
	return func(a *job.Assignment) { a.Execution.Setup = command }
}

func TestNothingOfAnAttemptStays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := helper("escape")
	r.assign(a)
	r.running(a.AttemptID)
	data, err := os.ReadFile(filepath.Join(r.work(a.AttemptID), "pid"))
	end := r.end(a.AttemptID)
	if err != nil {
		// It may have ended before the file was read; the warning tells.
		if len(end.Warnings) == 0 {
			t.Error("no warning")
		}
		return
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil {
		t.Fatal(err)
	}
	r.await("the death of the process left behind", func() bool {
		return syscall.Kill(pid, 0) != nil || len(living([]int{pid})) == 0
	})
	r.await("an empty folder", func() bool {
		entries, err := os.ReadDir(filepath.Join(r.home, "attempts"))
		return err == nil && len(entries) == 0
	})
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.status("the first status", func(job.Status) bool { return true })
	if !r.agent.cgroups.limits() {
		t.Skip("no memory cgroup can be written here; TestParseOOM covers the counters")
	}
	a := helper("allocate 400000000", func(a *job.Assignment) { a.Execution.MemoryLimit = 64 << 20 })
	r.assign(a)
	end := r.end(a.AttemptID)
	if end.OOMKills == 0 || end.Signal != "SIGKILL" || end.SignalSent {
		t.Errorf("end: %+v", end)
	}
	if end.Usage.MaxMemory < 50<<20 || end.Usage.MaxMemory > 70<<20 {
		t.Errorf("most memory: %d", end.Usage.MaxMemory)
	}
	b := helper("", withCommand("sh", "-c", os.Args[0]+"; exit 0"), func(b *job.Assignment) {
		b.Attempt = 2
		b.Execution.Env[helperVariable] = "allocate 400000000"
		b.Execution.MemoryLimit = 64 << 20
	})
	r.desired.Attempts = nil
	r.assign(b)
	end = r.end(b.AttemptID)
	if end.OOMKills == 0 || !end.Committed || !strings.Contains(strings.Join(end.Warnings, ""), "for want of memory") {
		t.Errorf("exit 0 with a grown counter: %+v", end)
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	small := t.TempDir()
	if err := mountSmall(small); err != nil {
		t.Skip("no small file system can be mounted here: ", err)
	}
	t.Cleanup(func() { unmount(small) })
	r := newRig(t, func(o *Options) { o.Home = filepath.Join(small, "home") })
	a := helper("fill")
	r.assign(a)
	if end := r.end(a.AttemptID); !end.DiskFull || end.AgentFull || end.ExitCode != 1 {
		t.Errorf("end: %+v", end)
	}
	// A workdir that does not fit is the task's disk, too.
	big := r.manifest("runs/"+testRun+"/workdir", map[string]string{"big": strings.Repeat("0123456789abcdef", 16<<20/16)})
	b := helper("exit 0", func(b *job.Assignment) { b.Attempt, b.Workdir = 2, &big })
	r.desired.Attempts = nil
	r.assign(b)
	if end := r.end(b.AttemptID); !end.DiskFull || end.Exited || end.AgentError != "" {
		t.Errorf("end: %+v", end)
	}
	// And there is room again for the next.
	c := helper("exit 0", func(c *job.Assignment) { c.Attempt = 3 })
	r.desired.Attempts = nil
	r.assign(c)
	if end := r.end(c.AttemptID); !end.Committed {
		t.Errorf("end: %+v", end)
	}
}
