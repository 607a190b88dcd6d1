package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// TestLaunchDisplay: the times are the journal's, and what went wrong is told.
func TestLaunchDisplay(t *testing.T) {
	at := func(seconds int, e plan.Event) plan.Event {
		e.At = plan.Time(time.Duration(seconds) * time.Second)
		return e
	}
	opened := at(1, plan.Event{LaunchOpened: &plan.LaunchOpened{}})
	answered := at(3, plan.Event{LaunchAnswered: &plan.LaunchAnswered{Instances: []providers.Instance{{ID: "i-1", Offer: providers.Offer{Zone: "a", InstanceType: "m", Capacity: providers.Spot}}}}})
	ready := at(33, plan.Event{InstanceReady: &plan.InstanceReady{Instance: "i-1"}})
	ended := func(class job.Class) plan.Event {
		e := plan.AttemptEnded{}
		e.Class = class
		return at(34, plan.Event{AttemptEnded: &e})
	}
	ending := func(reason plan.EndingReason) plan.Event {
		return at(35, plan.Event{InstanceEnding: &plan.InstanceEnding{Instance: "i-1", Reason: reason}})
	}
	gone := at(40, plan.Event{InstanceGone: &plan.InstanceGone{Instance: "i-1"}})
	for name, c := range map[string]struct {
		events  []plan.Event
		outcome plan.Outcome
		cancels bool
		result  providers.CheckResult
		says    []string
	}{
		"well": {
			[]plan.Event{opened, answered, ready, ended(job.Succeeded), ending(plan.EndingRunOver), gone}, plan.OutcomeSucceeded, false,
			providers.CheckOK, []string{"i-1, a m spot", "request 2s", "first status 30s", "task 1s", "end 5s"},
		},
		"no room": {
			[]plan.Event{opened, at(2, plan.Event{LaunchAnswered: &plan.LaunchAnswered{Failures: []providers.Failure{{Code: providers.CodeCapacity, Message: "none left"}}}})}, plan.OutcomeFailed, false,
			providers.CheckFailed, []string{"capacity: none left"},
		},
		"refused": {
			[]plan.Event{opened, at(2, plan.Event{LaunchAnswered: &plan.LaunchAnswered{Error: &plan.LaunchError{Code: providers.CodeDenied, Message: "not you"}}})}, plan.OutcomeFailed, false,
			providers.CheckFailed, []string{"not you"},
		},
		"silent": {
			[]plan.Event{opened, answered, ending(plan.EndingBoot), gone}, plan.OutcomeCancelled, true,
			providers.CheckFailed, []string{"did not report", "request 2s", "end 5s"},
		},
		"failed": {
			[]plan.Event{opened, answered, ready, ended(job.Preempted), ending(plan.EndingRunOver), gone}, plan.OutcomeFailed, false,
			providers.CheckFailed, []string{"did not succeed: preempted"},
		},
	} {
		d := &launchDisplay{out: io.Discard, wanted: make(chan choice, 1)}
		for _, e := range c.events {
			if err := d.happened(watch.Happening{Event: e}); err != nil {
				t.Fatal(err)
			}
		}
		check := d.check(&plan.State{Outcome: c.outcome})
		if check.Result != c.result || (check.Advice == "") != (c.result == providers.CheckOK) {
			t.Errorf("%s: %+v", name, check)
		}
		for _, words := range c.says {
			if !strings.Contains(check.Detail, words) {
				t.Errorf("%s: %q does not say %q", name, check.Detail, words)
			}
		}
		if cancelled := len(d.wanted) > 0; cancelled != c.cancels {
			t.Errorf("%s: cancelled: %t", name, cancelled)
		}
	}
}
