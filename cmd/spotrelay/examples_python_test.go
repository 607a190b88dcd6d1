package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// needPython skips where there is no python3, and only there.
func needPython(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("NOT TESTED: there is no python3 on PATH, so the Python module and its example did not run: %v", err)
	}
	return python
}

// The tests of the module and of the example, which need no spotrelay.
func TestPythonModule(t *testing.T) {
	for _, folder := range []string{"python", "train-python"} {
		t.Run(folder, func(t *testing.T) { pythonTests(t, folder) })
	}
}

func pythonTests(t *testing.T, folder string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, needPython(t), "-W", "error", "-B", "-m", "unittest", "discover", example(folder))
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nOK") {
		t.Fatalf("%v\n%s", err, tail(string(out)))
	}
}

// The Python training is preempted with and without a notice, and ends with
// the metric of one that nothing interrupted and spotrelay did not run.
func TestExampleTrainPython(t *testing.T) {
	python := needPython(t)
	p := newPlace(t)
	p.env = append(p.env, "PYTHONDONTWRITEBYTECODE=1")
	alone := exec.Command(python, example("train-python/train.py"))
	alone.Dir, alone.Env = p.dir, append(p.env, "PYTHONPATH="+example("python"))
	if out, err := alone.CombinedOutput(); err != nil {
		t.Fatalf("without spotrelay: %v\n%s", err, out)
	}

	p.spotrelay(exitSucceeded, "run", example("train-python/train.hcl"))
	var list attemptsJSON
	if err := json.Unmarshal([]byte(p.spotrelay(exitSucceeded, "attempts", "last", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Attempts) != 3 {
		t.Fatalf("%d attempts, not 3: %+v", len(list.Attempts), list.Attempts)
	}
	want := []job.Class{job.Preempted, job.Preempted, job.Succeeded}
	for i, a := range list.Attempts {
		if a.Class != want[i] {
			t.Errorf("attempt %d is %s, not %s", a.Attempt, a.Class, want[i])
		}
	}
	first := list.Attempts[0].Evidence.End
	if first == nil || first.ExitCode != job.ExitSaved || first.Notice == nil {
		t.Errorf("the program did not save and exit with 75 on its notice: %+v", first)
	}
	log := p.spotrelay(exitSucceeded, "logs", "last", "train")
	if strings.Count(log, "begins at epoch 1, step 0") != 1 {
		t.Errorf("only the first attempt begins at the beginning:\n%s", tail(log))
	}

	to := filepath.Join(p.dir, "got")
	p.spotrelay(exitSucceeded, "outputs", "last", "train", "--to", to)
	got, plain := p.read(filepath.Join(to, "metric.json")), p.read(filepath.Join(p.dir, "out", "metric.json"))
	if got != plain {
		t.Errorf("the metric differs from that of an uninterrupted training:\n%s", firstDifference(got, plain))
	}
}
