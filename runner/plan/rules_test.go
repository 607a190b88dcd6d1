package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

var spotOnly = job.Retries{Attempts: 3}

func succeeded() job.AttemptEnd {
	return job.AttemptEnd{Exited: true, Committed: true, Elapsed: job.Duration(time.Minute)}
}

// action is the first of the last tick's actions that is so.
func (w *world) action(is func(Action) bool) *Action {
	for i := range w.actions {
		if is(w.actions[i]) {
			return &w.actions[i]
		}
	}
	return nil
}

func (w *world) event(is func(Event) bool) *Event {
	for i := range w.journal {
		if is(w.journal[i]) {
			return &w.journal[i]
		}
	}
	return nil
}

// bare ticks with given facts; the world does nothing by itself.
func (w *world) bare(after Time, f Facts) Decision {
	w.now += after
	d := w.state.Plan(f, w.now)
	w.journal = append(w.journal, d.Events...)
	w.actions, w.wake = d.Actions, d.Wake
	return d
}

// asked brings a bare world to its first launch.
func (w *world) asked(t *testing.T) *ActionLaunch {
	t.Helper()
	w.bare(time.Second, Facts{Tenure: true})
	offers := w.action(func(a Action) bool { return a.Offers != nil })
	if offers == nil {
		t.Fatal("no offers were asked for")
	}
	w.bare(time.Second, Facts{Offers: []OffersAnswer{{Fleet: "aws", Group: offers.Offers.Group, Offers: w.offers}}})
	launch := w.action(func(a Action) bool { return a.Launch != nil })
	if launch == nil {
		t.Fatal("nothing was launched")
	}
	return launch.Launch
}

func rentedBy(l *ActionLaunch, id string) providers.Instance {
	return providers.Instance{ID: id, Offer: l.Offers[0], State: providers.StateRunning,
		Tags: map[string]string{providers.TagIntent: l.Token, providers.TagFleet: l.Fleet}}
}

func listed(begun Time, instances ...providers.Instance) Facts {
	return Facts{Listings: []Listing{{Fleet: "aws", Begun: begun, Lag: listLag, Instances: instances}}}
}

// A launch without an answer is called again with its token; when the token may
// not be used any more, a listing shows what it rented, and only then is there
// another intent.
func TestLaunchWithoutAnswerIsSettled(t *testing.T) {
	w := play(t, one(spotOnly))
	l := w.asked(t)
	lost := &providers.Error{Code: providers.CodeUnavailable, Op: "launch", Message: "connection reset"}
	w.bare(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Err: lost}}})
	if a := w.action(func(a Action) bool { return a.Launch != nil }); a != nil {
		t.Fatal("it is called again without a pause")
	}
	w.bare(w.wake-w.now, Facts{})
	again := w.action(func(a Action) bool { return a.Launch != nil })
	if again == nil || again.Launch.Token != l.Token {
		t.Fatalf("the actions are %+v, want the launch again with its token", w.actions)
	}
	w.bare(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Expired: true}}})
	// A listing that was begun too early proves nothing.
	w.bare(time.Second, listed(w.now))
	if w.state.Launches[l.Token] == nil {
		t.Fatal("the intent is closed by a listing that may lag")
	}
	w.bare(time.Minute, listed(w.now+30*time.Second, rentedBy(l, "i-1")))
	if w.state.Instances["i-1"] == nil || w.state.Launches[l.Token] != nil {
		t.Fatal("what the launch rented was not found, or its intent is still open")
	}
}

// A repeated call names again what it rented at first. What was found by a
// listing meanwhile, and has ended, does not come to life by that.
func TestRepeatedAnswerRevivesNothing(t *testing.T) {
	w := play(t, one(spotOnly))
	l := w.asked(t)
	lost := &providers.Error{Code: providers.CodeUnavailable, Op: "launch", Message: "connection reset"}
	w.bare(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Err: lost}}})
	rented := rentedBy(l, "i-1")
	w.bare(time.Second, listed(w.now, rented))
	rented.State = providers.StateTerminated
	w.bare(time.Second, listed(w.now+1, rented))
	w.bare(time.Second, Facts{Ends: []EndAnswer{{Instance: "i-1", Evidence: providers.Evidence{ID: "i-1", Cause: providers.EndReclaimed, State: providers.StateTerminated}}}})
	if w.event(func(e Event) bool { return e.InstanceGone != nil }) == nil {
		t.Fatal("it is not gone")
	}
	w.bare(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{Instances: []providers.Instance{rented}}}}})
	if w.state.Instances["i-1"] != nil {
		t.Error("it counts again")
	}
}

// An instance of a closed intent is ended, whenever it turns up.
func TestLateInstanceIsEnded(t *testing.T) {
	w := play(t, one(spotOnly))
	l := w.asked(t)
	w.bare(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{
		Instances: []providers.Instance{rentedBy(l, "i-1")}}}}})
	w.bare(time.Second, listed(w.now, rentedBy(l, "i-1"), rentedBy(l, "i-2")))
	end := w.action(func(a Action) bool { return a.Terminate != nil })
	if end == nil || end.Terminate.Instance != "i-2" {
		t.Fatalf("the actions are %+v, want i-2 ended", w.actions)
	}
	if got := w.state.Instances["i-2"].Ending; got != EndingLate {
		t.Errorf("i-2 is ended for %s, want late", got)
	}
}

// A call that is denied fails the run with the cloud's words, its call and a
// hint; nothing is tried again.
// An instance that we ended, and that a listing lacks, may live on all the same:
// it is gone when the provider says so, or knows nothing of it.
func TestMissingInAListingIsNoProof(t *testing.T) {
	w := play(t, one(spotOnly))
	l := w.asked(t)
	rented := rentedBy(l, "i-1")
	w.bare(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{Instances: []providers.Instance{rented}}}}})
	w.bare(time.Second, Facts{Requests: []Request{{Kind: RequestCancel}}})
	if w.event(func(e Event) bool { return e.InstanceEnding != nil }) == nil {
		t.Fatal("it is not ended when the run is cancelled")
	}
	gone := func(e Event) bool { return e.InstanceGone != nil }
	for _, answer := range []providers.Evidence{
		{ID: "i-1", Cause: providers.EndByUs, State: providers.StateStopping},
		{ID: "i-1", Cause: providers.EndUnknown},
	} {
		w.now += time.Minute
		w.bare(time.Second, listed(w.now))
		asked := w.action(func(a Action) bool { return a.End != nil })
		if asked == nil || !asked.End.Whether || w.event(gone) != nil {
			t.Fatalf("it is held to be gone, and the provider was not asked")
		}
		w.bare(time.Second, Facts{Ends: []EndAnswer{{Instance: "i-1", Evidence: answer}}})
		if is, want := w.event(gone) != nil, answer.State == ""; is != want {
			t.Fatalf("after %+v it counts as gone: %t", answer, is)
		}
	}
	if e := w.event(gone).InstanceGone; e.Evidence.Cause != providers.EndByUs {
		t.Errorf("it was ended by %s", e.Evidence.Cause)
	}
	if w.event(func(e Event) bool { return e.RunClosed != nil }) == nil {
		t.Error("the run is not closed")
	}
}

func TestDeniedLaunchFailsTheRun(t *testing.T) {
	w := play(t, one(spotOnly))
	l := w.asked(t)
	w.bare(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Err: &providers.Error{
		Code: providers.CodeDenied, Op: "launch", Call: "ec2:CreateFleet", Message: "you are not authorized",
		Hint: "grant it to the role"}}}})
	if w.state.Run() != RunFailed {
		t.Fatalf("the run is %s, want failed", w.state.Run())
	}
	for _, part := range []string{"aws", "ec2:CreateFleet", "you are not authorized", "grant it to the role"} {
		if !strings.Contains(w.state.Reason, part) {
			t.Errorf("the reason %q lacks %q", w.state.Reason, part)
		}
	}
}

// A pool in which three instances did not boot is left for good, and no
// attempt is charged.
func TestBootFailuresLeaveThePool(t *testing.T) {
	spec := one(spotOnly)
	w := play(t, spec)
	w.offers = w.offers[:1]
	for range 3 {
		have := len(w.vms)
		w.until(t, "another instance", func() bool { return len(w.vms) > have })
		for _, m := range w.vms {
			m.dead = true
		}
	}
	w.untilFinished(t, OutcomeFailed)
	if n := len(w.vms); n != bootsPerPool {
		t.Errorf("%d instances were rented, want %d", n, bootsPerPool)
	}
	if x := w.state.Index("train", 0); x.Charged != 0 {
		t.Errorf("%d attempts were charged, want none", x.Charged)
	}
}

// An agent that falls silent while its instance runs is fenced: the instance is
// ended first, and the attempt when it is gone.
func TestSilentAgentIsFenced(t *testing.T) {
	w := play(t, one(spotOnly))
	m := w.untilRuns(t, 1)
	m.silent = true
	w.until(t, "the instance is ended", func() bool { return w.state.Instances[m.ID].Ending == EndingSilent })
	if w.state.Index("train", 0).Phase != IndexRunning {
		t.Error("the attempt ended before its instance")
	}
	m = w.untilRuns(t, 2)
	if v := w.state.Index("train", 0).Attempts[0].Verdict; v.Cause != job.CauseAgentLost {
		t.Errorf("the cause is %s, want agent-lost", v.Cause)
	}
	w.ends(m, 2, succeeded())
	w.untilFinished(t, OutcomeSucceeded)
}

// What the agent had reported before its instance vanished counts, though no
// tick had seen it: finished work is not repeated.
func TestLastStatusOfAVanishedInstanceCounts(t *testing.T) {
	w := play(t, one(spotOnly))
	m := w.untilRuns(t, 1)
	w.ends(m, 1, succeeded())
	m.status.Beat++
	w.kill(m, providers.EndReclaimed)
	m.fresh = false // the document was never seen to change
	w.untilFinished(t, OutcomeSucceeded)
	if n := w.state.Index("train", 0).Next; n != 1 {
		t.Errorf("%d attempts were assigned, want 1", n)
	}
}

// An instance on which two attempts failed at once gets no third.
func TestQuarantine(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 5}))
	first := w.untilRuns(t, 1)
	w.ends(first, 1, job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Second)})
	if m := w.untilRuns(t, 2); m != first {
		t.Fatal("one failure moved the task already")
	}
	w.ends(first, 2, job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Second)})
	m := w.untilRuns(t, 3)
	if m == first {
		t.Fatal("the third attempt is on the instance where two failed at once")
	}
	w.ends(m, 3, succeeded())
	w.untilFinished(t, OutcomeSucceeded)
}

// A checkpoint that could not be restored is not tried again, and the attempt
// counts as infrastructure.
func TestBadCheckpointIsPassedOver(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 5}))
	m := w.untilRuns(t, 1)
	older := w.saves(m, 1)
	newer := w.saves(m, 1)
	w.kill(m, providers.EndReclaimed)
	m = w.untilRuns(t, 2)
	if got := w.record(job.AttemptID{Task: "train", Attempt: 2}).Restore; got == nil || got.Key != newer.Key {
		t.Fatalf("attempt 2 goes on from %+v, want %s", got, newer.Key)
	}
	w.ends(m, 2, job.AttemptEnd{RestoreError: "chunk 12 is corrupt", Elapsed: job.Duration(time.Minute)})
	m = w.untilRuns(t, 3)
	if got := w.record(job.AttemptID{Task: "train", Attempt: 3}).Restore; got == nil || got.Key != older.Key {
		t.Fatalf("attempt 3 goes on from %+v, want %s", got, older.Key)
	}
	w.ends(m, 3, succeeded())
	w.untilFinished(t, OutcomeSucceeded)
}

// A cancel ends what runs with its checkpoint saved, and everything else at
// once.
func TestCancel(t *testing.T) {
	spec := one(spotOnly)
	spec.Tasks[0].Count, spec.Tasks[0].Array, spec.MaxInstances = 3, true, 1
	w := play(t, spec)
	w.untilRuns(t, 1)
	w.tell(func(f *Facts) { f.Requests = append(f.Requests, Request{Kind: RequestCancel, By: "me"}) })
	w.step(time.Second)
	desired := w.action(func(a Action) bool { return a.Desired != nil })
	if desired == nil || len(desired.Desired.Attempts) != 1 || !desired.Desired.Attempts[0].Cancel {
		t.Fatalf("the actions are %+v, want the running attempt told to end", w.actions)
	}
	w.untilFinished(t, OutcomeCancelled)
	if n := w.state.Counts()[IndexCancelled]; n != 3 {
		t.Errorf("%d indexes were cancelled, want 3", n)
	}
}

// A status of another number, or of another instance than assigned, changes
// nothing but is acknowledged.
func TestStaleReportIsOnlyAcknowledged(t *testing.T) {
	w := play(t, one(spotOnly))
	m := w.untilRuns(t, 1)
	stale := job.AttemptID{Task: "train", Attempt: 7}
	st := cloneStatus(m.status)
	st.Beat += 100
	st.Ended = append(st.Ended, job.AttemptEnd{AttemptID: stale, Exited: true, Committed: true})
	d := w.bare(time.Second, Facts{Statuses: []job.Status{st, st}})
	if len(d.Events) != 0 {
		t.Errorf("the events are %+v, want none", d.Events)
	}
	desired := w.action(func(a Action) bool { return a.Desired != nil })
	if desired == nil || len(desired.Desired.Acknowledged) != 1 || desired.Desired.Acknowledged[0] != stale {
		t.Errorf("the actions are %+v, want the stale end acknowledged", w.actions)
	}
	if d := w.bare(time.Second, Facts{Statuses: []job.Status{st}}); len(d.Events)+len(d.Actions) != 0 {
		t.Errorf("the same status again gave %+v", d)
	}
}

// Where no fleet has spot, on-demand is rented at once, saying why; where none
// has on-demand, the last attempts go on spot.
func TestFleetsWithOneCapacityType(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 3, OnDemandAttempts: 1}))
	w.offers = w.offers[2:]
	l := w.asked(t)
	if l.Offers[0].Capacity != providers.OnDemand || !strings.Contains(l.Reason, "no spot") {
		t.Errorf("the launch is on %s, saying %q", l.Offers[0].Capacity, l.Reason)
	}
	w = play(t, one(job.Retries{Attempts: 1, OnDemandAttempts: 1}))
	w.offers = w.offers[:2]
	if l := w.asked(t); l.Offers[0].Capacity != providers.Spot {
		t.Errorf("the launch is on %s, want spot", l.Offers[0].Capacity)
	}
}

// What a run waits for by time alone comes about by ticks at Wake, without any
// fact: here the pause after a failure.
func TestWakeEndsABackoff(t *testing.T) {
	w := play(t, one(spotOnly))
	m := w.untilRuns(t, 1)
	w.ends(m, 1, job.AttemptEnd{Exited: true, ExitCode: 1, Elapsed: job.Duration(time.Minute)})
	w.until(t, "the attempt ended", func() bool { return w.running(1) == nil })
	w.tick() // the answer about checkpoints arrives
	for range 10 {
		if w.event(func(e Event) bool { return e.AttemptAssigned != nil && e.AttemptAssigned.Attempt == 2 }) != nil {
			return
		}
		if w.wake == 0 {
			break
		}
		w.bare(w.wake-w.now, Facts{})
	}
	t.Fatalf("attempt 2 was never assigned; the next wake is %s", w.wake)
}

// Tasks that depend on an empty task wait for what that depends on.
func TestEmptyTaskIsDoneWithItsUpstream(t *testing.T) {
	spec := one(spotOnly)
	spec.Tasks = append(spec.Tasks,
		job.Task{Name: "none", Array: true, DependsOn: []string{"train"}, Fleets: []string{"aws"}},
		job.Task{Name: "last", Count: 1, DependsOn: []string{"none"}, Fleets: []string{"aws"}, Retries: spotOnly})
	w := play(t, spec)
	m := w.untilRuns(t, 1)
	if got := w.state.Index("last", 0).Phase; got != IndexBlocked {
		t.Fatalf("last is %s, want blocked", got)
	}
	w.ends(m, 1, succeeded())
	w.until(t, "last is ready", func() bool { return w.state.Index("last", 0).Phase != IndexBlocked })
	empty := &job.Spec{Run: spec.Run, Timing: testTiming, Tasks: []job.Task{{Name: "none", Array: true}}}
	if s := New(empty); len(s.Plan(Facts{Tenure: true}, time.Second).Events) != 2 || s.Run() != RunSucceeded {
		t.Errorf("a run of nothing is %s, want succeeded", s.Run())
	}
}

func TestLoadRefusesAnotherRunsSnapshot(t *testing.T) {
	data := snapshot(t, New(one(spotOnly)))
	other := one(spotOnly)
	other.Tasks[0].Count = 2
	if _, err := Load(other, data); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("the error is %v", err)
	}
	if _, err := Load(other, []byte("{")); err == nil {
		t.Error("half a snapshot was loaded")
	}
}

func TestBackoff(t *testing.T) {
	b := job.Backoff{Initial: job.Duration(10 * time.Second), Factor: 2, Max: job.Duration(time.Minute)}
	for n, want := range map[int]Time{1: 10 * time.Second, 2: 20 * time.Second, 3: 40 * time.Second, 4: time.Minute, 400: time.Minute} {
		if got := backoff(b, n, 1, "train", 0); got != want {
			t.Errorf("the pause after failure %d is %s, want %s", n, got, want)
		}
	}
	b.Jitter = true
	seen := map[Time]bool{}
	for index := range 50 {
		got := backoff(b, 2, 1, "train", index)
		if got < 10*time.Second || got > 20*time.Second {
			t.Errorf("the pause %s is not in the upper half of 20s", got)
		}
		if got != backoff(b, 2, 1, "train", index) {
			t.Error("the same pause is another the second time")
		}
		seen[got] = true
	}
	if len(seen) < 40 {
		t.Errorf("50 indexes have %d different pauses", len(seen))
	}
}
