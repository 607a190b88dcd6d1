package narrate_test

import (
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

var smallSpot = providers.Offer{Zone: "local-a", InstanceType: "small", Capacity: providers.Spot, Price: 0.03}

// teller is one whose state has an attempt of train, and of an array.
func teller() *narrate.Teller {
	spec := &job.Spec{Run: "r", Job: "j", Tasks: []job.Task{
		{Name: "train", Count: 1, Retries: job.Retries{Attempts: 5, OnDemandAttempts: 1}},
		{Name: "shard", Count: 3, Array: true, Retries: job.Retries{Attempts: 5}},
	}}
	return narrate.New(&plan.State{
		Spec: spec, Now: 20 * time.Second,
		Tasks: []plan.TaskState{
			{Indexes: []plan.IndexState{{Attempts: []plan.AttemptRecord{{
				Attempt: 2, Instance: "i-1", Offer: smallSpot, Accepted: 5 * time.Second, Ended: 17 * time.Second,
				Restore: &job.CheckpointRef{Attempt: 1, Sequence: 3},
			}}}}},
			{Indexes: make([]plan.IndexState, 3)},
		},
		Instances: map[string]*plan.Instance{"i-1": {ID: "i-1", Launched: time.Second, Ready: 1800 * time.Millisecond}},
	})
}

func TestTell(t *testing.T) {
	train := job.AttemptID{Task: "train", Index: 0, Attempt: 2}
	exit := plan.Evidence{Text: "notice 5s ahead"}
	for name, test := range map[string]struct {
		event  plan.Event
		want   string
		weight narrate.Weight
	}{
		"accepted": {
			event: plan.Event{AttemptAccepted: &plan.AttemptAccepted{AttemptID: train}},
			want:  "train attempt 2 started on i-1 (local-a small spot $0.03/h), from checkpoint 1-3",
		},
		"preempted": {
			event: plan.Event{AttemptEnded: &plan.AttemptEnded{
				AttemptID: train, Verdict: plan.Verdict{Class: job.Preempted, Cause: job.CauseNotice, Charge: job.ChargePreemptions},
				Evidence: exit, Retry: true, Left: plan.Left{Attempts: 3},
			}},
			want:   "train attempt 2 preempted after 12s (notice 5s ahead), charged to preemptions, 3 of 5 attempts left; next at once",
			weight: narrate.Warning,
		},
		"the next one is final": {
			event: plan.Event{AttemptEnded: &plan.AttemptEnded{
				AttemptID: train, Verdict: plan.Verdict{Class: job.Failed, Charge: job.ChargeFailures},
				Evidence: plan.Evidence{Text: "exit 3."}, Retry: true, NotBefore: 30 * time.Second, Left: plan.Left{Attempts: 1},
			}},
			want:   "train attempt 2 failed after 12s (exit 3), charged to failures, 1 of 5 attempts left; next on-demand in 10s",
			weight: narrate.Warning,
		},
		"the last one": {
			event: plan.Event{AttemptEnded: &plan.AttemptEnded{
				AttemptID: train, Verdict: plan.Verdict{Class: job.Failed, Charge: job.ChargeFailures},
			}},
			want:   "train attempt 2 failed after 12s, charged to failures, 0 of 5 attempts left",
			weight: narrate.Bad,
		},
		"succeeded": {
			event:  plan.Event{AttemptEnded: &plan.AttemptEnded{AttemptID: train, Verdict: plan.Verdict{Class: job.Succeeded}}},
			want:   "train attempt 2 succeeded after 12s",
			weight: narrate.Good,
		},
		"an array's index": {
			event:  plan.Event{IndexEnded: &plan.IndexEnded{Task: "shard", Index: 1, Class: job.Failed, Reason: "5 attempts are used up"}},
			want:   "shard[1] ended as failed: 5 attempts are used up",
			weight: narrate.Bad,
		},
		"ready":                     {event: plan.Event{InstanceReady: &plan.InstanceReady{Instance: "i-1"}}, want: "i-1 is ready after 800ms"},
		"noticed":                   {event: plan.Event{InstanceNoticed: &plan.InstanceNoticed{Instance: "i-1", Notice: job.Notice{Kind: job.NoticeInterruption, Lead: job.Duration(5 * time.Second)}}}, want: "i-1 has an interruption notice, taken in 5s", weight: narrate.Warning},
		"an idle end":               {event: plan.Event{InstanceEnding: &plan.InstanceEnding{Instance: "i-1", Reason: plan.EndingIdle}}},
		"a silent end":              {event: plan.Event{InstanceEnding: &plan.InstanceEnding{Instance: "i-1", Reason: plan.EndingSilent}}, want: "ending i-1: its agent is silent", weight: narrate.Warning},
		"reclaimed":                 {event: plan.Event{InstanceGone: &plan.InstanceGone{Instance: "i-1", Evidence: providers.Evidence{Cause: providers.EndReclaimed}}}, want: "i-1 was reclaimed", weight: narrate.Warning},
		"no capacity":               {event: plan.Event{LaunchAnswered: &plan.LaunchAnswered{Failures: []providers.Failure{{Pool: smallSpot.Pool(), Code: providers.CodeCapacity, Message: "none left"}}}}, want: "nothing in local-a small spot: capacity: none left", weight: narrate.Warning},
		"a pool cooled for a while": {event: plan.Event{PoolCooled: &plan.PoolCooled{Fleet: "f", Pool: smallSpot.Pool(), Until: time.Minute, Code: providers.CodeCapacity}}},
		"a pool left for good":      {event: plan.Event{PoolCooled: &plan.PoolCooled{Fleet: "f", Pool: smallSpot.Pool(), Until: -1, Code: providers.CodeUnsupported}}, want: "f: local-a small spot left alone for the rest of the run: unsupported", weight: narrate.Warning},
		"a quota":                   {event: plan.Event{PoolCooled: &plan.PoolCooled{Fleet: "f", Capacity: providers.Spot, Until: 50 * time.Second, Code: providers.CodeQuota}}, want: "f: all spot left alone for 30s: quota", weight: narrate.Warning},
		"several pools": {event: plan.Event{LaunchAnswered: &plan.LaunchAnswered{
			Instances: []providers.Instance{{ID: "i-9", Offer: smallSpot}},
			Failures:  []providers.Failure{{Pool: smallSpot.Pool(), Code: providers.CodeCapacity, Message: "none left"}, {}, {}},
		}}, want: "rented i-9 (local-a small spot $0.03/h); nothing in local-a small spot and 2 other pools: capacity: none left", weight: narrate.Warning},
		"cancelled":          {event: plan.Event{CancelRequested: &plan.CancelRequested{By: "ann@host"}}, want: "cancelling, as asked by ann@host", weight: narrate.Warning},
		"closed":             {event: plan.Event{RunClosed: &plan.RunClosed{Cost: 0.00123}}, want: "every instance is gone, cost $0.00123"},
		"pruned":             {event: plan.Event{CheckpointsPruned: &plan.CheckpointsPruned{Task: "train", Kept: 1, Removed: 12}}, want: "removed 12 older checkpoints of train, 1 kept"},
		"pruned all":         {event: plan.Event{CheckpointsPruned: &plan.CheckpointsPruned{Task: "train", Removed: 1}}, want: "removed the checkpoints of train"},
		"nothing to prune":   {event: plan.Event{CheckpointsPruned: &plan.CheckpointsPruned{Task: "train", Kept: 1}}},
		"not pruned":         {event: plan.Event{CheckpointsPruned: &plan.CheckpointsPruned{Task: "train", Kept: 4, Fault: "denied"}}, want: "checkpoints of train could not be removed: denied", weight: narrate.Warning},
		"of another version": {event: plan.Event{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := teller().Tell(test.event)
			if got.Text != test.want || got.Weight != test.weight {
				t.Errorf("told %q (%d)\nwant %q (%d)", got.Text, got.Weight, test.want, test.weight)
			}
		})
	}
}

// An instance that we ended goes without a word, though the state has forgotten
// it by the time its end is told.
func TestTellOurOwnEnding(t *testing.T) {
	teller := teller()
	teller.State.Instances["i-1"].Ending = plan.EndingIdle
	gone := plan.Event{InstanceGone: &plan.InstanceGone{Instance: "i-1", Evidence: providers.Evidence{Cause: providers.EndReclaimed}}}
	teller.Before(gone)
	delete(teller.State.Instances, "i-1")
	if line := teller.Tell(gone); line.Text != "" {
		t.Errorf("told %q of an instance that was ended on purpose", line.Text)
	}
}

func TestMoney(t *testing.T) {
	for dollars, want := range map[float64]string{0: "$0", 0.000012: "$0.00001", 0.03: "$0.03", 0.1: "$0.10", 0.033: "$0.033", 0.9999: "$0.9999", 0.0000001: "<$0.00001", 1.234: "$1.23", 40: "$40.00"} {
		if got := narrate.Money(dollars); got != want {
			t.Errorf("Money(%v) = %q, want %q", dollars, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for span, want := range map[time.Duration]string{
		-time.Second: "0s", 34 * time.Millisecond: "30ms", 1234 * time.Millisecond: "1.2s", 12345 * time.Millisecond: "12s",
		90 * time.Minute: "1h30m", 26 * time.Hour: "26h0m",
	} {
		if got := narrate.Span(span); got != want {
			t.Errorf("Span(%v) = %q, want %q", span, got, want)
		}
	}
}
