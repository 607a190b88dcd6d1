package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// countingTask counts in its memory, and writes each number down once. It ends well
// when there is a file "enough".
const countingTask = `
echo started
i=0
test ! -f count || i=$(($(wc -l < count)))
while test ! -e enough; do i=$((i+1)); echo $i >> count; touch ready; sleep 0.02; done
cp count out/result
echo enough at $i
`

func init() { helpers["criu"] = func([]string) { actAsCRIU(os.Args[1], os.Args[2:]) } }

// actAsCRIU stands in for CRIU where the test program is called so: it takes
// the same command lines, stops processes as CRIU does, and "restores" a
// program by starting it anew as a child of whoever called it.
func actAsCRIU(action string, args []string) {
	self := filepath.Dir(os.Getenv("FAKE_CRIU"))
	line, err := os.OpenFile(filepath.Join(self, "called"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	must(err)
	fmt.Fprintln(line, action, strings.Join(args, " "))
	line.Close()
	value := func(name string) string {
		i := slices.Index(args, name)
		if i < 0 {
			return ""
		}
		return args[i+1]
	}
	if present(filepath.Join(self, action+" fails")) {
		must(os.MkdirAll(filepath.Dir(value("--log-file")), 0o755))
		text := "(00.1) Error (criu/util.c:1): Can't setup RLIMIT_NOFILE for self\n(00.2) Error (criu/some.c:17): the moon is full\n"
		if log := value("--log-file"); log != "" {
			write(log, text)
		} else {
			fmt.Print(text)
		}
		os.Exit(1)
	}
	image := filepath.Join(value("--images-dir"), "core.img")
	switch action {
	case "dump":
		pid := whole(value("--tree"))
		must(syscall.Kill(pid, syscall.SIGSTOP))
		var saved [3]string
		for i, name := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
			must(err)
			saved[i] = string(data)
		}
		saved[2], err = os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		must(err)
		data, err := json.Marshal(saved)
		must(err)
		write(image, string(data))
	case "restore":
		data, err := os.ReadFile(image)
		must(err)
		var saved [3]string
		must(json.Unmarshal(data, &saved))
		argv := strings.Split(strings.TrimSuffix(saved[0], "\x00"), "\x00")
		path, err := exec.LookPath(argv[0])
		must(err)
		pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
			Dir: saved[2], Env: strings.Split(strings.TrimSuffix(saved[1], "\x00"), "\x00"),
			Files: []uintptr{0, firstInherited, firstInherited},
			Sys:   &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT, Setsid: true},
		})
		must(err)
		write(value("--pidfile"), strconv.Itoa(pid))
	}
}

// fakeCRIU puts the stand-in into a folder of its own.
func fakeCRIU(t *testing.T) (dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nFAKE_CRIU=$0 %s=criu exec %s \"$@\"\n", helperVariable, self)
	if err := os.WriteFile(filepath.Join(dir, "criu"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// calls are CRIU's command lines so far that begin with action.
func calls(t *testing.T, dir, action string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "called"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, action+" ") })
}

// withPath gives the agent another PATH and a folder of its own for dumped tasks.
func withPath(fixed, path string) func(*Options) {
	return func(o *Options) {
		o.FixedHome = fixed
		o.Environ = append(slices.DeleteFunc(slices.Clone(o.Environ), func(v string) bool { return strings.HasPrefix(v, "PATH=") }), "PATH="+path)
	}
}

func transparentTask(attempt int, interval time.Duration) job.Assignment {
	return job.Assignment{
		AttemptID: job.AttemptID{Task: "task", Attempt: attempt}, Count: 1,
		Execution: job.Execution{
			Command: []string{"sh", "-c", countingTask}, Signal: "SIGTERM", KillAfter: job.Duration(20 * time.Second),
			Checkpoint: &job.Checkpoint{Method: job.CheckpointCRIU, Interval: job.Duration(interval)},
			Output:     &job.Output{Path: "out"},
		},
	}
}

func (r *rig) counted(fixed string) {
	r.Helper()
	work := filepath.Join(fixedDir(fixed, testRun, job.AttemptID{Task: "task"}), "work")
	before, _ := os.ReadFile(filepath.Join(work, "count"))
	r.await("the task to count on", func() bool {
		now, err := os.ReadFile(filepath.Join(work, "count"))
		return err == nil && len(now) > len(before)+10
	})
}

func TestTransparentWithStandIn(t *testing.T) {
	t.Parallel()
	dir := fakeCRIU(t)
	transparentCheckpoint(t, dir, false)
	dump := calls(t, dir, "dump")
	if len(dump) < 2 || !strings.Contains(dump[0], "--leave-stopped") || !strings.Contains(dump[0], "--tree ") || !strings.Contains(dump[0], "--manage-cgroups=ignore") {
		t.Errorf("dumps: %q", dump)
	}
	restore := calls(t, dir, "restore")
	if len(restore) != 1 || !strings.Contains(restore[0], "--restore-detached --restore-sibling --pidfile ") || !strings.Contains(restore[0], "--inherit-fd fd[3]:pipe:[") {
		t.Errorf("restores: %q", restore)
	}
}

// With the real CRIU, where it works.
func TestTransparent(t *testing.T) {
	path, err := exec.LookPath("criu")
	if err != nil {
		t.Skipf("NOT TESTED with the real CRIU: %v", err)
	}
	if out, err := exec.Command(path, "check").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED with the real CRIU: criu check: %v\n%s", err, out)
	}
	transparentCheckpoint(t, filepath.Dir(path), true)
}

// transparentCheckpoint lets a task count, be saved as it runs, be dumped on a
// notice and go on elsewhere: no number is missing or written twice.
func transparentCheckpoint(t *testing.T, criuDir string, inMemory bool) {
	t.Helper()
	fixed := t.TempDir()
	path := criuDir + ":" + os.Getenv("PATH")
	say, option := metadata(t, job.NoticeInterruption)
	r := newRig(t, option, withPath(fixed, path))
	first := transparentTask(1, time.Second)
	r.assign(first)
	r.status("a save while it runs", func(s job.Status) bool { return len(s.Running) == 1 && s.Running[0].Saves > 0 })
	r.counted(fixed) // it goes on
	say(noticeIn(30 * time.Second))
	end := r.end(first.AttemptID)
	if end.Signal != "SIGKILL" || !end.SignalSent || end.Notice == nil || end.Saved == nil || end.Saves < 2 || slices.ContainsFunc(end.Warnings, func(w string) bool { return !strings.Contains(w, "cgroup") }) {
		t.Fatalf("end: %+v\n%s", end, r.log(first.AttemptID))
	}
	r.leaves()
	files := r.content(end.Saved.Key, end.Saved.Digest)
	if files["task.json"] == "" || files["files/count"] == "" {
		t.Fatalf("saved: %v", slices.Sorted(keys(files)))
	}

	again := newRigOn(t, r.bucket, withPath(fixed, path))
	again.desired.Epoch = 2
	second := transparentTask(2, 0)
	second.Restore = end.Saved
	again.assign(second)
	again.status("the restored task", func(s job.Status) bool { return len(s.Running) == 1 && s.Running[0].Step == job.StepRunning })
	again.counted(fixed)
	work := filepath.Join(fixedDir(fixed, testRun, second.AttemptID), "work")
	if err := os.WriteFile(filepath.Join(work, "enough"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	end = again.end(second.AttemptID)
	log := again.log(second.AttemptID)
	if !end.Committed || end.Output == nil {
		t.Fatalf("end: %+v\n%s", end, log)
	}
	if inMemory && strings.Contains(log, "started") {
		t.Errorf("it was started anew:\n%s", log)
	}
	if !strings.Contains(log, "enough at ") {
		t.Errorf("what it writes after its restore is not in the log:\n%s", log)
	}
	counts := again.content(end.Output.Key, end.Output.Digest)["result"]
	for i, line := range strings.Split(strings.TrimSpace(counts), "\n") {
		if line != strconv.Itoa(i+1) {
			t.Fatalf("line %d is %s", i+1, line)
		}
	}
	if present(fixedDir(fixed, testRun, second.AttemptID)) {
		t.Error("its folder stays")
	}
}

func keys(files map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range files {
			if !yield(name) {
				return
			}
		}
	}
}

func TestTransparentCannotWork(t *testing.T) {
	t.Parallel()
	none := t.TempDir()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sh, filepath.Join(none, "sh")); err != nil {
		t.Fatal(err)
	}
	broken := fakeCRIU(t)
	if err := os.WriteFile(filepath.Join(broken, "check fails"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(none, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, where := range map[string][2]string{
		"there is none in PATH on this instance":              {t.TempDir(), none},
		"criu check ended with exit code 1: the moon is full": {t.TempDir(), broken + ":" + os.Getenv("PATH")},
		"which cannot be made":                                {file, os.Getenv("PATH")},
	} {
		r := newRig(t, withPath(where[0], where[1]))
		a := transparentTask(1, 0)
		r.assign(a)
		end := r.end(a.AttemptID)
		if !end.StartFailed || end.Exited || !strings.Contains(end.Fault, want) || !strings.Contains(end.Fault, "checkpoint path that it writes itself") {
			t.Errorf("end: %+v", end)
		}
	}
}

func TestTransparentRestoreFails(t *testing.T) {
	t.Parallel()
	dir := fakeCRIU(t)
	if err := os.WriteFile(filepath.Join(dir, "restore fails"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, withPath(t.TempDir(), dir+":"+os.Getenv("PATH")))
	a := transparentTask(2, 0)
	m := r.manifest("runs/"+testRun+"/checkpoints/task/0/0/1-1", map[string]string{
		"task.json": `{"version":1,"ids":[29000],"output":"pipe:[1]"}`, "files/count": "1\n", "images/core.img": "x",
	})
	a.Restore = &job.CheckpointRef{Key: m.Key, Digest: m.Digest, Attempt: 1, Sequence: 1}
	r.assign(a)
	end := r.end(a.AttemptID)
	if !strings.Contains(end.RestoreError, "the moon is full") || !strings.Contains(end.RestoreError, "the same programs and libraries") || end.Exited {
		t.Errorf("end: %+v", end)
	}
	if n := len(calls(t, dir, "restore")); n != 1 {
		t.Errorf("tried %d times", n)
	}
}

// A dump that fails on a notice: the task is told as others are, and the
// checkpoint before stays the newest.
func TestTransparentDumpFails(t *testing.T) {
	t.Parallel()
	dir := fakeCRIU(t)
	say, option := metadata(t, job.NoticeInterruption)
	fixed := t.TempDir()
	r := newRig(t, option, withPath(fixed, dir+":"+os.Getenv("PATH")))
	a := transparentTask(1, 0)
	r.assign(a)
	r.counted(fixed)
	if err := os.WriteFile(filepath.Join(dir, "dump fails"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	say(noticeIn(30 * time.Second))
	end := r.end(a.AttemptID)
	if end.Signal != "SIGTERM" || end.Saved != nil || len(end.Warnings) == 0 || !strings.Contains(end.Warnings[0], "the moon is full") {
		t.Errorf("end: %+v", end)
	}
	r.leaves()
}

func TestClaimOfAChildThatEndedFirst(t *testing.T) {
	t.Parallel()
	ps := newProcesses(true)
	claim, done := ps.expect()
	ps.mu.Lock()
	ps.unclaimed = map[int]collected{7: {status: 3 << 8}}
	ps.mu.Unlock()
	p := claim(7)
	select {
	case <-p.done:
	default:
		t.Fatal("it has ended")
	}
	if p.status.ExitStatus() != 3 {
		t.Errorf("status %v", p.status)
	}
	done()
	if ps.unclaimed != nil || ps.expected != 0 {
		t.Error("not forgotten")
	}
}

func TestAwaitFree(t *testing.T) {
	t.Parallel()
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	freed := make(chan error, 1)
	go func() { freed <- awaitFree(t.Context(), []int{child.Process.Pid}) }()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if err := <-freed; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitFree(ctx, []int{os.Getpid()}); !errors.Is(err, context.Canceled) {
		t.Errorf("an id that is taken: %v", err)
	}
}
