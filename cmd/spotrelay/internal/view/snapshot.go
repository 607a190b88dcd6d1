// Package view draws a run in a terminal while it goes on.
package view

import (
	"slices"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// Snapshot is all that is drawn of a run at one moment. It shares nothing with
// the state that it was taken of.
type Snapshot struct {
	Run    string
	Job    string
	State  plan.RunState
	Reason string
	// Lived is the run's own time, which stands still between its events; while
	// it is not over, the time since Created is shown.
	Lived   time.Duration
	Created time.Time
	Over    bool
	Cost    float64
	Tasks   []Task
	// Attempts that run now, those in danger first; More is how many others.
	Attempts []Attempt
	More     int
}

// Task is how far a task is.
type Task struct {
	Name                                        string
	Total, Succeeded, Running, Waiting, Blocked int
	Failed                                      int // and cancelled
}

// Attempt is a running attempt.
type Attempt struct {
	ID         job.AttemptID
	Name       string
	Instance   string
	Offer      string
	Final      bool
	Step       job.Step
	Elapsed    time.Duration
	Checkpoint string
	Saving     bool
	Notice     string
	Deadline   time.Time // of the notice; zero: none, or not known
	LogBytes   int64
	LastLine   string
}

// Take makes a snapshot of a state and the status documents of its instances,
// with at most so many attempts.
func Take(state *plan.State, lived time.Duration, statuses map[string]job.Status, most int) Snapshot {
	s := Snapshot{
		Run: state.Spec.Run, Job: state.Spec.Job, State: state.Run(), Reason: state.Reason, Lived: lived, Cost: state.Cost,
		Created: state.Spec.Created, Over: state.Closed,
	}
	if state.Held != "" {
		s.Reason = state.Held
	}
	for t := range state.Tasks {
		s.Tasks = append(s.Tasks, taskOf(state, t))
	}
	for id, instance := range state.Instances {
		status, known := statuses[id]
		for _, attempt := range instance.Attempts {
			s.Attempts = append(s.Attempts, attemptOf(state, instance, attempt, status, known))
		}
	}
	slices.SortFunc(s.Attempts, compareAttempts)
	if len(s.Attempts) > most {
		s.More = len(s.Attempts) - most
		s.Attempts = s.Attempts[:most]
	}
	return s
}

// compareAttempts puts those with a notice first.
func compareAttempts(a, b Attempt) int {
	switch {
	case a.Notice != "" && b.Notice == "":
		return -1
	case a.Notice == "" && b.Notice != "":
		return 1
	case a.ID.Task != b.ID.Task:
		return strings.Compare(a.ID.Task, b.ID.Task)
	}
	return a.ID.Index - b.ID.Index
}

func taskOf(state *plan.State, t int) Task {
	task := Task{Name: state.Spec.Tasks[t].Name}
	for i := range state.Tasks[t].Indexes {
		task.Total++
		switch state.Tasks[t].Indexes[i].Phase {
		case plan.IndexBlocked:
			task.Blocked++
		case plan.IndexReady, plan.IndexWaiting:
			task.Waiting++
		case plan.IndexAssigned, plan.IndexRunning:
			task.Running++
		case plan.IndexSucceeded:
			task.Succeeded++
		case plan.IndexFailed, plan.IndexCancelled:
			task.Failed++
		}
	}
	return task
}

func attemptOf(state *plan.State, instance *plan.Instance, id job.AttemptID, status job.Status, known bool) Attempt {
	a := Attempt{
		ID: id, Name: narrate.Name(state.Spec, id.Task, id.Index), Instance: instance.ID, Offer: narrate.Offer(instance.Offer),
	}
	if !known {
		return a
	}
	if status.Notice != nil {
		a.Notice, a.Deadline = string(status.Notice.Kind), status.Notice.Deadline
	}
	for _, running := range status.Running {
		if running.AttemptID != id {
			continue
		}
		a.Step, a.Elapsed, a.Saving, a.LogBytes = running.Step, running.Elapsed.D(), running.Saving, running.LogBytes
		if running.Checkpoint != nil {
			a.Checkpoint = narrate.Checkpoint(running.Checkpoint)
		}
	}
	return a
}
