package plan

import (
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// An answer to an earlier question does not choose an older checkpoint.
func TestLateAnswerAboutACheckpointIsPassedOver(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 5}))
	w.kill(w.untilRuns(t, 1), providers.EndReclaimed)
	m := w.untilRuns(t, 2)
	newer := w.saves(m, 2)
	w.kill(m, providers.EndReclaimed)
	w.until(t, "attempt 2 ended", func() bool { return len(w.state.Running()) == 0 })
	for i, fact := range w.facts { // the right answer is late, and an old one comes again
		w.facts[i] = func(f *Facts) { fact(f); f.Found = nil }
	}
	w.tell(func(f *Facts) { f.Found = append(f.Found, FoundCheckpoint{Task: "train", Attempt: 1}) })
	w.tick()
	w.find(&ActionFind{Task: "train", Attempt: 2})
	w.untilRuns(t, 3)
	if got := w.record(job.AttemptID{Task: "train", Attempt: 3}).Restore; got == nil || got.Key != newer.Key {
		t.Errorf("attempt 3 goes on from %+v, want %s", got, newer.Key)
	}
}

// That a listing lacks an instance which was just launched says nothing.
func TestAbsenceSoonAfterALaunchProvesNothing(t *testing.T) {
	w := play(t, one(spotOnly))
	l := w.asked(t)
	w.bare(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{
		Instances: []providers.Instance{rentedBy(l, "i-1")}}}}})
	isEnd := func(a Action) bool { return a.End != nil }
	w.bare(time.Second, listed(w.now))
	if w.action(isEnd) != nil {
		t.Error("an instance that the listing may not show yet is taken for gone")
	}
	w.bare(time.Minute, listed(w.now+30*time.Second))
	if w.action(isEnd) == nil {
		t.Error("an instance that is missing long after its launch is not asked about")
	}
}

// An assignment that a leaving agent never accepted costs nothing, and the
// index goes elsewhere.
func TestLeavingAgentGivesBackWhatItNeverAccepted(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 1}))
	l := w.asked(t)
	w.bare(time.Second, Facts{Launches: []LaunchAnswer{{Token: l.Token, Result: providers.LaunchResult{
		Instances: []providers.Instance{rentedBy(l, "i-1")}}}}})
	st := job.Status{Instance: "i-1", Boot: "b", Beat: 1, Phase: job.PhaseReady}
	w.bare(time.Second, Facts{Statuses: []job.Status{st}})
	st.Beat, st.Phase = 2, job.PhaseLeaving
	w.bare(time.Second, Facts{Statuses: []job.Status{st}})
	x := w.state.Index("train", 0)
	if x.Phase != IndexReady || x.Charged != 0 || x.Next != 1 {
		t.Errorf("the index is %s with %d charges after number %d, want ready, 0 and 1", x.Phase, x.Charged, x.Next)
	}
	if got := w.state.Instances["i-1"].Ending; got != EndingLeaving {
		t.Errorf("the instance is ended for %q, want leaving", got)
	}
}

// An exit code of fail_exit_codes ends the task, whatever is left.
func TestFatalExitCode(t *testing.T) {
	w := play(t, one(job.Retries{Attempts: 5, FailExitCodes: []int{2}}))
	w.ends(w.untilRuns(t, 1), 1, job.AttemptEnd{Exited: true, ExitCode: 2, Elapsed: job.Duration(time.Minute)})
	w.untilFinished(t, OutcomeFailed)
	if n := w.state.Index("train", 0).Next; n != 1 {
		t.Errorf("%d attempts were made, want 1", n)
	}
}

// A task waits for all indexes of all tasks that it depends on.
func TestDependsOnAllOfEverything(t *testing.T) {
	spec := one(spotOnly)
	spec.Tasks[0].Count, spec.Tasks[0].Array = 2, true
	spec.Tasks = append(spec.Tasks,
		job.Task{Name: "other", Count: 1, Fleets: []string{"aws"}, Retries: spotOnly},
		job.Task{Name: "last", Count: 1, DependsOn: []string{"train", "other"}, Fleets: []string{"aws"}, Retries: spotOnly})
	s := New(spec)
	done := []job.AttemptID{{Task: "train", Attempt: 1}, {Task: "train", Index: 1, Attempt: 1}, {Task: "other", Attempt: 1}}
	for i, id := range done {
		if got := s.Index("last", 0).Phase; got != IndexBlocked {
			t.Fatalf("with %d of 3 done, last is %s", i, got)
		}
		s.Apply(Event{AttemptAssigned: &AttemptAssigned{AttemptID: id, Instance: "i"}})
		s.Apply(Event{AttemptAccepted: &AttemptAccepted{AttemptID: id}})
		s.Apply(Event{AttemptEnded: &AttemptEnded{AttemptID: id, Verdict: nothing(job.Succeeded, job.CauseCompleted)}})
	}
	if got := s.Index("last", 0).Phase; got != IndexReady {
		t.Errorf("with all done, last is %s", got)
	}
	s.Apply(Event{})
	if s.Unknown != 1 {
		t.Errorf("%d events were unknown, want 1", s.Unknown)
	}
}
