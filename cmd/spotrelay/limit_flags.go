package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/job"
)

// limitFlags are the limits that a run may get anew when it is recovered.
type limitFlags struct {
	maxCost    []string
	runTimeout time.Duration
	timeout    []string
	attempts   []string
}

func (f *limitFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.maxCost, "max-cost", nil, "what the run may cost, in `[TASK=]DOLLARS`, or each index of a task")
	cmd.Flags().DurationVar(&f.runTimeout, "run-timeout", 0, "how long the run may take, as in 12h")
	cmd.Flags().StringArrayVar(&f.timeout, "timeout", nil, "how long an attempt may take: `[TASK=]DURATION`, of all tasks or one")
	cmd.Flags().StringArrayVar(&f.attempts, "attempts", nil, "how many attempts an index has: `[TASK=]N`, of all tasks or one")
}

// apply sets the limits in a specification.
func (f *limitFlags) apply(spec *job.Spec) error {
	if f.runTimeout < 0 {
		return wrongCall("as in --run-timeout 12h", "--run-timeout is more than 0")
	}
	if f.runTimeout > 0 {
		spec.Timeout = job.Duration(f.runTimeout)
	}
	for _, text := range f.maxCost {
		if err := setMaxCost(spec, text); err != nil {
			return err
		}
	}
	for _, text := range f.timeout {
		tasks, value, err := limitOf(spec, "--timeout", text)
		if err != nil {
			return err
		}
		timeout, err := time.ParseDuration(value)
		if err != nil || timeout <= 0 {
			return wrongCall("as in --timeout train=6h", "--timeout %s is no time above 0", text)
		}
		for _, task := range tasks {
			task.Execution.Timeout = job.Duration(timeout)
		}
	}
	for _, text := range f.attempts {
		if err := setAttempts(spec, text); err != nil {
			return err
		}
	}
	return nil
}

func setMaxCost(spec *job.Spec, text string) error {
	tasks, value, err := limitOf(spec, "--max-cost", text)
	if err != nil {
		return err
	}
	cost, err := strconv.ParseFloat(value, 64)
	if err != nil || !(cost > 0) || cost > 1e12 {
		return wrongCall("as in --max-cost 80, or --max-cost train=40 for each index of a task", "--max-cost %s is no amount of dollars above 0", text)
	}
	if !strings.Contains(text, "=") {
		spec.MaxCost = cost
		return nil
	}
	for _, task := range tasks {
		task.MaxCost = cost
	}
	return nil
}

func setAttempts(spec *job.Spec, text string) error {
	tasks, value, err := limitOf(spec, "--attempts", text)
	if err != nil {
		return err
	}
	attempts, err := strconv.Atoi(value)
	if err != nil || attempts < 1 || attempts > 1_000_000 {
		return wrongCall("as in --attempts train=8", "--attempts %s is no number from 1", text)
	}
	for _, task := range tasks {
		task.Retries.Attempts = attempts
		task.Retries.OnDemandAttempts = min(task.Retries.OnDemandAttempts, attempts)
	}
	return nil
}

// limitOf reads [TASK=]VALUE: the tasks that are meant, and the value.
func limitOf(spec *job.Spec, flag, text string) ([]*job.Task, string, error) {
	name, value, one := strings.Cut(text, "=")
	if !one {
		tasks := make([]*job.Task, len(spec.Tasks))
		for i := range spec.Tasks {
			tasks[i] = &spec.Tasks[i]
		}
		return tasks, text, nil
	}
	task, ok := spec.Task(name)
	if !ok {
		return nil, "", wrongCall("the tasks of job "+spec.Job+" are "+taskNames(spec), "%s %s: there is no task %q", flag, text, name)
	}
	return []*job.Task{task}, value, nil
}

func taskNames(spec *job.Spec) string {
	names := make([]string, len(spec.Tasks))
	for i := range spec.Tasks {
		names[i] = spec.Tasks[i].Name
	}
	return strings.Join(names, ", ")
}
