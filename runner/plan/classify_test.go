package plan

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

var interruption = &job.Notice{Kind: job.NoticeInterruption, Action: "terminate", Lead: job.Duration(2 * time.Minute)}

func exit(code int) *job.AttemptEnd { return &job.AttemptEnd{Exited: true, ExitCode: code} }

func with(end *job.AttemptEnd, change func(*job.AttemptEnd)) *job.AttemptEnd {
	change(end)
	return end
}

func provider(cause providers.EndCause) *providers.Evidence { return &providers.Evidence{Cause: cause} }

func notice(e *job.AttemptEnd)     { e.Notice = interruption }
func signalled(e *job.AttemptEnd)  { e.Notice, e.SignalSent = interruption, true }
func killed(e *job.AttemptEnd)     { e.Exited, e.Signal = true, "SIGKILL" }
func osStopping(e *job.AttemptEnd) { e.OSStopping = true }

// rowTests has evidence for every row of the table, by the row's name.
var rowTests = []struct {
	row      string
	evidence Evidence
	want     Verdict
}{
	{"exit 0 and outputs durably committed, notice or not",
		Evidence{End: with(exit(0), func(e *job.AttemptEnd) { e.Committed = true }), CancelRequested: true},
		Verdict{job.Succeeded, job.CauseCompleted, job.ChargeNothing, false, false}},
	{"exit 0 and outputs durably committed, notice or not",
		Evidence{End: with(with(exit(0), signalled), func(e *job.AttemptEnd) { e.Committed = true })},
		Verdict{job.Succeeded, job.CauseCompleted, job.ChargeNothing, false, false}},
	{"cancelled by the user", Evidence{End: with(exit(143), signalled), CancelRequested: true},
		Verdict{job.Cancelled, job.CauseCancelled, job.ChargeNothing, false, false}},
	{"cancelled by the user", Evidence{CancelRequested: true},
		Verdict{job.Cancelled, job.CauseCancelled, job.ChargeNothing, false, false}},
	{"cancelled since the run failed elsewhere", Evidence{End: exit(143), RunFailed: true},
		Verdict{job.Cancelled, job.CauseUpstream, job.ChargeNothing, false, false}},
	{"told to end, since it cost as much as it may", Evidence{End: with(exit(143), signalled), Stopped: job.CauseMaxCost},
		Verdict{job.Cancelled, job.CauseMaxCost, job.ChargeNothing, false, false}},
	{"told to end, since the run took as long as it may", Evidence{End: with(exit(1), signalled), Stopped: job.CauseRunTimeout},
		Verdict{job.Cancelled, job.CauseRunTimeout, job.ChargeNothing, false, false}},
	{"told to end, since the run was paused", Evidence{Stopped: job.CausePaused},
		Verdict{job.Cancelled, job.CausePaused, job.ChargeNothing, false, false}},
	{"nobody controlled the run", Evidence{End: with(exit(143), func(e *job.AttemptEnd) { e.Orphaned = true })},
		Verdict{job.Infrastructure, job.CauseOrphaned, job.ChargeNothing, false, false}},
	{"the attempt's timeout fired",
		Evidence{End: with(with(exit(143), signalled), func(e *job.AttemptEnd) { e.TimedOut = true })},
		Verdict{job.TimedOut, job.CauseTimeout, job.ChargeFailures, false, false}},
	{"signal 9 or 137, OOM counter grew, window or not",
		Evidence{End: with(with(&job.AttemptEnd{OOMKills: 1}, killed), notice)},
		Verdict{job.OutOfMemory, job.CauseOOM, job.ChargeFailures, false, false}},
	{"signal 9 or 137, OOM counter grew, window or not",
		Evidence{End: with(exit(137), func(e *job.AttemptEnd) { e.OOMKills = 2 })},
		Verdict{job.OutOfMemory, job.CauseOOM, job.ChargeFailures, false, false}},
	{"notice, exit 0, commit not finished", Evidence{End: with(exit(0), notice)},
		Verdict{job.Preempted, job.CauseUncommitted, job.ChargePreemptions, false, false}},
	{"notice, then our signal or the OS stopping, then any other end", Evidence{End: with(exit(143), signalled)},
		Verdict{job.Preempted, job.CauseNotice, job.ChargePreemptions, false, false}},
	{"notice, then our signal or the OS stopping, then any other end", Evidence{End: with(with(exit(2), osStopping), notice)},
		Verdict{job.Preempted, job.CauseNotice, job.ChargePreemptions, false, false}},
	{"signal 9 or exit 137 within the window, no OOM", Evidence{End: with(exit(137), notice)},
		Verdict{job.Preempted, job.CauseKilledInWindow, job.ChargePreemptions, false, false}},
	{"notice, non-zero exit before any signal of ours, the first time", Evidence{End: with(exit(1), notice)},
		Verdict{job.Preempted, job.CauseExitInWindow, job.ChargePreemptions, false, false}},
	{"non-zero exit", Evidence{End: with(exit(1), notice), SameExitBefore: true},
		Verdict{job.Failed, job.CauseExit, job.ChargeFailures, false, false}},
	{"notice, ended before the command did, nothing else wrong", Evidence{End: with(&job.AttemptEnd{}, notice)},
		Verdict{job.Preempted, job.CauseNotice, job.ChargePreemptions, false, false}},
	{"notice, then the VM was gone", Evidence{Notice: interruption, Provider: provider(providers.EndUnknown)},
		Verdict{job.Preempted, job.CauseNotice, job.ChargePreemptions, false, false}},
	{"VM gone without a notice, provider says reclaimed", Evidence{Provider: provider(providers.EndReclaimed)},
		Verdict{job.Preempted, job.CauseReclaimed, job.ChargePreemptions, false, false}},
	{"VM gone without a notice, provider says reclaimed",
		Evidence{End: with(exit(143), osStopping), Provider: provider(providers.EndReclaimed)},
		Verdict{job.Preempted, job.CauseReclaimed, job.ChargePreemptions, false, false}},
	{"stopped or deleted by another user, no intent of ours", Evidence{Provider: provider(providers.EndByUser)},
		Verdict{job.Cancelled, job.CauseCancelledExternal, job.ChargeNothing, false, true}},
	{"host error, maintenance, retirement", Evidence{Provider: provider(providers.EndHostEvent)},
		Verdict{job.Infrastructure, job.CauseHostEvent, job.ChargeInfrastructure, false, false}},
	{"host error, maintenance, retirement", Evidence{Provider: provider(providers.EndMaxLife)},
		Verdict{job.Infrastructure, job.CauseHostEvent, job.ChargeInfrastructure, false, false}},
	{"maintenance announced, then the VM or the attempt ended by it",
		Evidence{End: with(exit(143), func(e *job.AttemptEnd) {
			e.Notice, e.SignalSent = &job.Notice{Kind: job.NoticeMaintenance}, true
		})},
		Verdict{job.Infrastructure, job.CauseHostEvent, job.ChargeInfrastructure, false, false}},
	{"agent silent, VM running", Evidence{Silent: true, Ending: EndingSilent, Provider: provider(providers.EndByUs)},
		Verdict{job.Infrastructure, job.CauseAgentLost, job.ChargeInfrastructure, false, false}},
	{"shut down from inside, no result, no notice", Evidence{Provider: provider(providers.EndFromInside)},
		Verdict{job.Failed, job.CauseGuestShutdown, job.ChargeFailures, false, false}},
	{"the OS was stopping, no notice, nobody says why",
		Evidence{End: with(exit(143), osStopping), Provider: provider(providers.EndUnknown)},
		Verdict{job.Infrastructure, job.CauseLost, job.ChargeInfrastructure, false, false}},
	{"the checkpoint could not be restored", Evidence{End: &job.AttemptEnd{RestoreError: "chunk ab12 is corrupt"}},
		Verdict{job.Infrastructure, job.CauseRestore, job.ChargeInfrastructure, false, false}},
	{"ENOSPC on the agent's volume", Evidence{End: &job.AttemptEnd{AgentFull: true}},
		Verdict{job.Infrastructure, job.CauseAgentDiskFull, job.ChargeInfrastructure, false, false}},
	{"ENOSPC on the task's volume", Evidence{End: with(exit(1), func(e *job.AttemptEnd) { e.DiskFull = true })},
		Verdict{job.Failed, job.CauseDiskFull, job.ChargeFailures, false, false}},
	{"the setup command failed", Evidence{End: &job.AttemptEnd{SetupFailed: true}},
		Verdict{job.Failed, job.CauseSetup, job.ChargeFailures, false, false}},
	{"the command could not be started", Evidence{End: &job.AttemptEnd{StartFailed: true}},
		Verdict{job.Failed, job.CauseStart, job.ChargeFailures, false, false}},
	{"exit 0, the declared output is missing or unreadable",
		Evidence{End: with(exit(0), func(e *job.AttemptEnd) { e.OutputError = "out: no such folder" })},
		Verdict{job.Failed, job.CauseOutput, job.ChargeFailures, false, false}},
	{"an exit code that must not be retried", Evidence{End: exit(2)},
		Verdict{job.Failed, job.CauseExitFatal, job.ChargeFailures, true, false}},
	{"exit 75, the checkpoint moved on", Evidence{End: exit(75), Progress: true},
		Verdict{job.Failed, job.CauseSaved, job.ChargeNothing, false, false}},
	{"exit 75, the checkpoint did not move on", Evidence{End: exit(75)},
		Verdict{job.Failed, job.CauseSavedNoProgress, job.ChargeFailures, false, false}},
	{"an exit code that the job file wants retried", Evidence{End: exit(101)},
		Verdict{job.Failed, job.CauseExit, job.ChargeFailures, false, false}},
	{"137, no window, no OOM", Evidence{End: exit(137)},
		Verdict{job.Infrastructure, job.CauseKilledUnknown, job.ChargeInfrastructure, false, false}},
	{"137, no window, no OOM", Evidence{End: with(&job.AttemptEnd{}, killed), Notice: interruption},
		Verdict{job.Infrastructure, job.CauseKilledUnknown, job.ChargeInfrastructure, false, false}},
	{"a signal that nobody here sent", Evidence{End: &job.AttemptEnd{Exited: true, Signal: "SIGSEGV"}},
		Verdict{job.Failed, job.CauseSignal, job.ChargeFailures, false, false}},
	{"non-zero exit", Evidence{End: exit(1)},
		Verdict{job.Failed, job.CauseExit, job.ChargeFailures, false, false}},
	{"the agent could not do its part", Evidence{End: &job.AttemptEnd{AgentError: "workdir: connection refused"}},
		Verdict{job.Infrastructure, job.CauseAgentError, job.ChargeInfrastructure, false, false}},
	{"VM gone, nothing after bounded re-reads", Evidence{Provider: provider(providers.EndUnknown)},
		Verdict{job.Infrastructure, job.CauseLost, job.ChargeInfrastructure, false, false}},
}

var testRetries = job.Retries{Attempts: 5, FailExitCodes: []int{2}, RetryExitCodes: []int{101}}

func TestClassifyRows(t *testing.T) {
	reached := map[string]bool{}
	for _, test := range rowTests {
		t.Run(test.row, func(t *testing.T) {
			if got := rowFor(test.evidence, testRetries).name; got != test.row {
				t.Errorf("the row is %q, want %q", got, test.row)
			}
			if got := Classify(test.evidence, testRetries); got != test.want {
				t.Errorf("the verdict is %+v, want %+v", got, test.want)
			}
			if Explain(test.evidence) == "" {
				t.Error("there is no sentence for people")
			}
		})
		reached[test.row] = true
	}
	for _, row := range table {
		if !reached[row.name] {
			t.Errorf("row %q has no test", row.name)
		}
	}
}

// The order of the table is the design's precedence: evidence of two kinds is
// judged by the one named first.
func TestClassifyPrecedence(t *testing.T) {
	everything := Evidence{
		End: &job.AttemptEnd{Exited: true, ExitCode: 137, Committed: true, TimedOut: true, OOMKills: 1,
			Notice: interruption, SignalSent: true},
		Provider: provider(providers.EndHostEvent), CancelRequested: true,
	}
	steps := []struct {
		cause job.Cause
		take  func(*Evidence)
	}{
		{job.CauseCompleted, func(e *Evidence) { e.End.Committed = false }},
		{job.CauseCancelled, func(e *Evidence) { e.CancelRequested = false }},
		{job.CauseTimeout, func(e *Evidence) { e.End.TimedOut = false }},
		{job.CauseOOM, func(e *Evidence) { e.End.OOMKills = 0 }},
		{job.CauseNotice, func(e *Evidence) { e.End.Notice, e.End.SignalSent = nil, false }},
		{job.CauseHostEvent, func(e *Evidence) { e.Provider = nil }},
		{job.CauseKilledUnknown, func(e *Evidence) { e.End = nil }},
		{job.CauseLost, func(*Evidence) {}},
	}
	for _, step := range steps {
		if got := Classify(everything, testRetries).Cause; got != step.cause {
			t.Fatalf("the cause is %s, want %s", got, step.cause)
		}
		step.take(&everything)
	}
}

func TestExplain(t *testing.T) {
	end := exit(143)
	signalled(end)
	end.Saved = &job.CheckpointRef{Attempt: 2, Sequence: 7}
	got := Explain(Evidence{End: end})
	if want := "notice 2m0s ahead (terminate), signal sent, exit 143, checkpoint 2-7 saved"; got != want {
		t.Errorf("the sentence is %q, want %q", got, want)
	}
	got = Explain(Evidence{Provider: &providers.Evidence{Cause: providers.EndReclaimed, Code: "Server.SpotInstanceTermination"}})
	if want := "the provider took the instance back (Server.SpotInstanceTermination)"; got != want {
		t.Errorf("the sentence is %q, want %q", got, want)
	}
}

// Any evidence gets exactly one verdict, the same each time; an attempt has
// succeeded if and only if its result is durable; each cause has one class.
func TestClassifyIsTotal(t *testing.T) {
	classOf := map[job.Cause]job.Class{}
	rapid.Check(t, func(t *rapid.T) {
		e, retries := anyEvidence(t), testRetries
		v := Classify(e, retries)
		if v != Classify(e, retries) {
			t.Fatal("a second look gave another verdict")
		}
		if v.Class == "" || v.Cause == "" || v.Charge == "" {
			t.Fatalf("the verdict %+v is not whole", v)
		}
		if committed := e.End != nil && e.End.Committed; (v.Class == job.Succeeded) != committed {
			t.Fatalf("committed is %t and the class %s", committed, v.Class)
		}
		if class, seen := classOf[v.Cause]; seen && class != v.Class {
			t.Fatalf("cause %s is of class %s and of %s", v.Cause, class, v.Class)
		}
		classOf[v.Cause] = v.Class
		if v.Hold && v.Charge != job.ChargeNothing {
			t.Fatal("what somebody else did was charged")
		}
		if Explain(e) == "" {
			t.Fatal("there is no sentence for people")
		}
	})
}

func anyNotice(t *rapid.T, name string) *job.Notice {
	kinds := []job.NoticeKind{"", job.NoticeInterruption, job.NoticeMaintenance, job.NoticeRebalance}
	kind := rapid.SampledFrom(kinds).Draw(t, name)
	if kind == "" {
		return nil
	}
	return &job.Notice{Kind: kind}
}

func anyEvidence(t *rapid.T) Evidence {
	yes := func(name string) bool { return rapid.IntRange(0, 4).Draw(t, name) == 0 }
	text := func(name string) string {
		if yes(name) {
			return name
		}
		return ""
	}
	e := Evidence{
		Notice: anyNotice(t, "instance's notice"), Silent: yes("silent"), CancelRequested: yes("cancel"),
		Stopped:   rapid.SampledFrom([]job.Cause{"", "", "", job.CauseMaxCost, job.CauseRunTimeout, job.CausePaused}).Draw(t, "stopped"),
		RunFailed: yes("run failed"), SameExitBefore: yes("same exit"), Progress: yes("progress"),
	}
	if yes("ending") {
		e.Ending = EndingSilent
	}
	if rapid.Bool().Draw(t, "asked") {
		e.Provider = provider(rapid.SampledFrom([]providers.EndCause{
			providers.EndUnknown, providers.EndRunning, providers.EndReclaimed, providers.EndNoticed,
			providers.EndHostEvent, providers.EndByUs, providers.EndByUser, providers.EndFromInside,
			providers.EndMaxLife, providers.EndConfiguration, providers.EndCapacity}).Draw(t, "cause"))
	}
	if rapid.Bool().Draw(t, "reported") {
		e.End = &job.AttemptEnd{
			Exited: !yes("not exited"), ExitCode: rapid.SampledFrom([]int{0, 1, 2, 75, 101, 137, 143}).Draw(t, "code"),
			Signal:   rapid.SampledFrom([]string{"", "", "SIGKILL", "SIGTERM", "SIGSEGV"}).Draw(t, "signal"),
			OOMKills: int64(rapid.IntRange(0, 1).Draw(t, "oom")), Committed: yes("committed"),
			Notice: anyNotice(t, "notice"), SignalSent: yes("signal sent"), OSStopping: yes("os"),
			TimedOut: yes("timed out"), Orphaned: yes("orphaned"), DiskFull: yes("disk"), AgentFull: yes("agent disk"),
			SetupFailed: yes("setup"), StartFailed: yes("start"), RestoreError: text("restore"),
			OutputError: text("output"), AgentError: text("agent"), Cancelled: yes("cancelled"),
		}
	}
	return e
}
