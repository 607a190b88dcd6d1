package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/jobspec"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// fleetLaunchJSON is the test launch in fleet check --json: its run, and how
// long each part took by the run's journal; a part that was not come to is
// absent.
type fleetLaunchJSON struct {
	Run      string           `json:"run"`
	Instance string           `json:"instance,omitempty"`
	Offer    *providers.Offer `json:"offer,omitempty"`
	Request  *float64         `json:"request_seconds,omitempty"` // the call that rents
	Boot     *float64         `json:"boot_seconds,omitempty"`    // from its answer to the agent's first status
	Task     *float64         `json:"task_seconds,omitempty"`    // from there to the end of a task that does nothing
	End      *float64         `json:"end_seconds,omitempty"`     // from the decision to end it until it is gone
	Cost     float64          `json:"cost_dollars"`

	interrupted bool
}

// testLaunch rents one spot instance by a run of its own, and sees the run to
// its end. An error is for a run that is not over, or never began.
func (a *app) testLaunch(ctx context.Context, f *chosenFleet, manager *plugins.Manager) (providers.Check, *fleetLaunchJSON, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := interrupted(ctx)
	file, diagnostics := jobspec.Load(jobspec.Options{Files: []string{"-"}, Stdin: launchJob(f.Name, "provider", f.Provider)})
	if diagnostics.HasErrors() {
		return providers.Check{}, nil, errors.Join(a.printDiagnostics(diagnostics), errors.New("the job of the test launch cannot be read"))
	}
	file.Spec.Fleets = []job.Fleet{f.Fleet}
	agents, err := agentPrograms()
	if err != nil {
		return providers.Check{}, nil, err
	}
	b, err := openAddress(ctx, f.bucket)
	if err != nil {
		return providers.Check{}, nil, err
	}
	defer b.Close()
	run, err := a.submitTo(ctx, b, file, agents, manager)
	if err != nil {
		return providers.Check{}, nil, err
	}
	return a.seeLaunch(ctx, b, run, manager, signals)
}

func (a *app) seeLaunch(ctx context.Context, b bucket.Bucket, run string, manager *plugins.Manager, signals <-chan struct{}) (providers.Check, *fleetLaunchJSON, error) {
	w, err := watch.FromStart(ctx, b, run)
	if err != nil {
		return providers.Check{}, nil, err
	}
	show := &launchDisplay{out: a.stderr, wanted: make(chan choice, 1), launch: fleetLaunchJSON{Run: run}}
	stopped, stop := context.WithCancel(ctx)
	heard := make(chan bool, 1)
	go func() {
		select {
		case <-signals:
			fmt.Fprintln(a.stderr, "interrupted: the instance is ended")
			show.cancel()
			heard <- true
		case <-stopped.Done():
			heard <- false
		}
	}()
	c := &carrier{app: a, bucket: b, run: run, providers: manager, watcher: w, show: show, log: a.logger()}
	err = c.carry(ctx, nil)
	stop()
	show.launch.interrupted = <-heard
	if err != nil {
		fmt.Fprintf(a.stderr, "the test launch, run %s, is not over: end it by %s\n", run, a.again("attach", run, b))
		return providers.Check{}, nil, err
	}
	show.launch.Cost = w.State.Cost
	return show.check(w.State), &show.launch, nil
}

// launchDisplay follows a test launch: it keeps the times of its events.
type launchDisplay struct {
	out    io.Writer
	wanted chan choice
	launch fleetLaunchJSON

	opened, answered, ready, ending plan.Time
	failure                         string // why nothing was rented, or what was is of no use
}

func (d *launchDisplay) cancel() {
	select {
	case d.wanted <- choiceCancel:
	default: // asked already
	}
}

func (d *launchDisplay) happened(h watch.Happening) error {
	if h.Line.Text != "" {
		fmt.Fprintf(d.out, "%s %s\n", time.Now().Format(time.TimeOnly), h.Line.Text)
	}
	at := h.Event.At
	switch e := h.Event; {
	case e.LaunchOpened != nil:
		d.opened = at
	case e.LaunchAnswered != nil:
		d.rented(at, e.LaunchAnswered)
	case e.InstanceFound != nil:
		d.took(at, e.InstanceFound.Instance)
	case e.InstanceReady != nil:
		d.ready, d.launch.Boot = at, secondsBetween(d.answered, at)
	case e.AttemptEnded != nil:
		if d.launch.Task = secondsBetween(d.ready, at); e.AttemptEnded.Class != job.Succeeded {
			d.failure = fmt.Sprintf("the task on it did not succeed: %s", e.AttemptEnded.Class)
		}
	case e.IndexEnded != nil:
		d.failure = e.IndexEnded.Reason
	case e.InstanceEnding != nil:
		if d.ending = at; e.InstanceEnding.Reason == plan.EndingBoot {
			d.failure = "its agent did not report within the boot timeout"
			d.cancel() // or another one would be rented
		}
	case e.InstanceGone != nil:
		d.launch.End = secondsBetween(d.ending, at)
	}
	return nil
}

func (d *launchDisplay) rented(at plan.Time, answer *plan.LaunchAnswered) {
	if len(answer.Instances) > 0 {
		d.took(at, answer.Instances[0])
		return
	}
	if answer.Error != nil {
		d.failure = answer.Error.Message
	}
	for _, failure := range answer.Failures {
		d.failure = fmt.Sprintf("%s: %s", failure.Code, failure.Message)
	}
}

func (d *launchDisplay) took(at plan.Time, instance providers.Instance) {
	d.failure, d.answered = "", at
	d.launch.Instance, d.launch.Offer, d.launch.Request = instance.ID, &instance.Offer, secondsBetween(d.opened, at)
}

func secondsBetween(from, to plan.Time) *float64 {
	seconds := to.Seconds() - from.Seconds()
	return &seconds
}

func (d *launchDisplay) warned(text string) error {
	fmt.Fprintln(d.out, text)
	return nil
}

func (d *launchDisplay) tick(context.Context, *watch.Watcher) error { return nil }
func (d *launchDisplay) choices() <-chan choice                     { return d.wanted }
func (d *launchDisplay) close()                                     {}

// check is how the launch came out.
func (d *launchDisplay) check(state *plan.State) providers.Check {
	check := providers.Check{Name: "test launch", Result: providers.CheckOK}
	if d.launch.Offer != nil {
		check.Detail = fmt.Sprintf("%s, %s", d.launch.Instance, narrate.Offer(*d.launch.Offer))
		for _, part := range []struct {
			name    string
			seconds *float64
		}{{"request", d.launch.Request}, {"boot to the agent's first status", d.launch.Boot}, {"task", d.launch.Task}, {"end", d.launch.End}} {
			if part.seconds != nil {
				check.Detail += fmt.Sprintf("; %s %s", part.name, narrate.Span(time.Duration(*part.seconds*float64(time.Second))))
			}
		}
		check.Detail += "; cost " + narrate.Money(state.Cost)
	}
	switch {
	case state.Outcome == plan.OutcomeSucceeded:
		return check
	case d.launch.interrupted:
		check.Result, check.Detail, check.Advice = providers.CheckWarning, "interrupted; the instance is gone", "Check again to see the launch to its end."
		return check
	}
	check.Result = providers.CheckFailed
	if check.Detail != "" {
		check.Detail += "; "
	}
	if d.failure == "" {
		d.failure = "the run " + string(state.Run())
	}
	check.Detail += d.failure
	check.Advice = "See spotrelay attempts " + d.launch.Run + "; where the agent never reported, see that instances reach the bucket and may read it."
	return check
}
