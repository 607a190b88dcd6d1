package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// resolveRun finds the one run that a user means: its id, the beginning or the
// end of it where only one run has it, or last.
func resolveRun(ctx context.Context, b bucket.Bucket, ref string) (string, error) {
	if job.ValidRunID(ref) {
		if _, err := store.ReadSpec(ctx, b, ref); !errors.Is(err, bucket.ErrNotFound) {
			return ref, err
		}
	}
	runs, err := store.ListRuns(ctx, b)
	if err != nil {
		return "", err
	}
	return pickRun(runs, ref, b.Describe().URL)
}

func pickRun(runs []string, ref, where string) (string, error) {
	if len(runs) == 0 {
		return "", wrongCall("start one by spotrelay run FILE, or name another bucket by --bucket", "there are no runs in %s", where)
	}
	if ref == "last" {
		return runs[len(runs)-1], nil
	}
	var found []string
	for _, run := range runs {
		if lower := strings.ToLower(ref); strings.HasPrefix(run, lower) || strings.HasSuffix(run, lower) {
			found = append(found, run)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", wrongCall("spotrelay status lists the runs; last is the newest", "no run %q in %s", ref, where)
	}
	shown := found[max(0, len(found)-5):]
	return "", wrongCall("give more of it; the newest of them: "+strings.Join(shown, ", "), "%d runs match %q", len(found), ref)
}

// taskRef is TASK or TASK/INDEX as users write it; TASK[INDEX] too.
type taskRef struct {
	task  string
	index int // -1: none was given
}

func parseTaskRef(text string) (taskRef, error) {
	task, index, found := strings.Cut(text, "/")
	if !found {
		if task, index, found = strings.Cut(text, "["); found {
			index, found = strings.CutSuffix(index, "]")
			if !found {
				return taskRef{}, wrongCall("write it as train/3", "%q is not a task with an index", text)
			}
		}
	}
	if !found {
		return taskRef{task: text, index: -1}, nil
	}
	n, err := strconv.Atoi(index)
	if err != nil || n < 0 {
		return taskRef{}, wrongCall("write it as train/3", "%q is not the number of an index", index)
	}
	return taskRef{task: task, index: n}, nil
}

// findTask checks a reference against a run's specification.
func findTask(spec *job.Spec, ref taskRef) (*job.Task, error) {
	task, ok := spec.Task(ref.task)
	if !ok {
		names := make([]string, 0, len(spec.Tasks))
		for i := range spec.Tasks {
			names = append(names, spec.Tasks[i].Name)
		}
		return nil, wrongCall("its tasks: "+strings.Join(names, ", "), "run %s has no task %q", spec.Run, ref.task)
	}
	if ref.index >= task.Count {
		return nil, wrongCall(fmt.Sprintf("its indexes are 0 to %d", task.Count-1), "task %q has no index %d", task.Name, ref.index)
	}
	return task, nil
}

// one is the index of a reference that must mean a single one.
func (r taskRef) one(task *job.Task) (int, error) {
	switch {
	case r.index >= 0:
		return r.index, nil
	case task.Count == 1:
		return 0, nil
	}
	return 0, wrongCall("name one as "+task.Name+"/0", "task %q is an array of %d", task.Name, task.Count)
}

// newestFirst is runs in the order in which people look for them.
func newestFirst(runs []string) []string {
	runs = slices.Clone(runs)
	slices.Reverse(runs)
	return runs
}
