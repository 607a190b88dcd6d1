package plan

import (
	"slices"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Classify gives an ended attempt its one verdict: that of the first row of
// the table whose evidence is there. It is total and depends on nothing else.
func Classify(e Evidence, retries job.Retries) Verdict {
	return rowFor(e, retries).verdict
}

// row is a line of the table "From evidence to class to budget".
type row struct {
	name    string // the evidence, in the design's words
	when    func(signs) bool
	verdict Verdict
}

// rowFor is the first row that fits.
func rowFor(e Evidence, retries job.Retries) row {
	s := readSigns(e, retries)
	for _, r := range table {
		if r.when(s) {
			return r
		}
	}
	return table[len(table)-1] // fits always
}

func nothing(class job.Class, cause job.Cause) Verdict {
	return Verdict{Class: class, Cause: cause, Charge: job.ChargeNothing}
}

func preempted(cause job.Cause) Verdict {
	return Verdict{Class: job.Preempted, Cause: cause, Charge: job.ChargePreemptions}
}

func failed(cause job.Cause) Verdict {
	return Verdict{Class: job.Failed, Cause: cause, Charge: job.ChargeFailures}
}

func infrastructure(cause job.Cause) Verdict {
	return Verdict{Class: job.Infrastructure, Cause: cause, Charge: job.ChargeInfrastructure}
}

// table is read from the top; the first row that fits decides. The order is
// the precedence: a durable result, a recorded cancel, the agent's recorded
// timeout, the OOM counter, reclaim evidence, a host event, the exit code, lost.
var table = []row{
	// A durable result.
	{"exit 0 and outputs durably committed, notice or not",
		func(s signs) bool { return s.committed },
		nothing(job.Succeeded, job.CauseCompleted)},

	// A recorded cancel.
	{"cancelled by the user",
		func(s signs) bool { return s.CancelRequested },
		nothing(job.Cancelled, job.CauseCancelled)},
	{"cancelled since the run failed elsewhere",
		func(s signs) bool { return s.RunFailed },
		nothing(job.Cancelled, job.CauseUpstream)},
	{"told to end, since it cost as much as it may",
		func(s signs) bool { return s.Stopped == job.CauseMaxCost },
		nothing(job.Cancelled, job.CauseMaxCost)},
	{"told to end, since the run took as long as it may",
		func(s signs) bool { return s.Stopped == job.CauseRunTimeout },
		nothing(job.Cancelled, job.CauseRunTimeout)},
	{"told to end, since the run was paused",
		func(s signs) bool { return s.Stopped == job.CausePaused },
		nothing(job.Cancelled, job.CausePaused)},
	{"nobody controlled the run",
		func(s signs) bool { return s.end.Orphaned },
		nothing(job.Infrastructure, job.CauseOrphaned)},

	// The agent's recorded timeout.
	{"the attempt's timeout fired",
		func(s signs) bool { return s.end.TimedOut },
		Verdict{Class: job.TimedOut, Cause: job.CauseTimeout, Charge: job.ChargeFailures}},

	// The OOM counter.
	{"signal 9 or 137, OOM counter grew, window or not",
		func(s signs) bool { return s.killed && s.end.OOMKills > 0 },
		Verdict{Class: job.OutOfMemory, Cause: job.CauseOOM, Charge: job.ChargeFailures}},

	// Reclaim evidence.
	{"notice, exit 0, commit not finished",
		func(s signs) bool { return s.window && s.exitZero },
		preempted(job.CauseUncommitted)},
	{"notice, then our signal or the OS stopping, then any other end",
		func(s signs) bool { return s.window && s.reported && s.told },
		preempted(job.CauseNotice)},
	{"signal 9 or exit 137 within the window, no OOM",
		func(s signs) bool { return s.window && s.killed },
		preempted(job.CauseKilledInWindow)},
	{"notice, non-zero exit before any signal of ours, the first time",
		func(s signs) bool { return s.window && s.exitBad && !s.SameExitBefore },
		preempted(job.CauseExitInWindow)},
	{"notice, ended before the command did, nothing else wrong",
		func(s signs) bool { return s.window && s.reported && !s.end.Exited && !s.faulty },
		preempted(job.CauseNotice)},
	{"notice, then the VM was gone",
		func(s signs) bool { return s.window && !s.reported },
		preempted(job.CauseNotice)},
	{"VM gone without a notice, provider says reclaimed",
		func(s signs) bool {
			return s.gone && (s.cause == providers.EndReclaimed || s.cause == providers.EndNoticed)
		},
		preempted(job.CauseReclaimed)},
	{"stopped or deleted by another user, no intent of ours",
		func(s signs) bool { return s.gone && s.cause == providers.EndByUser && s.Ending == "" },
		Verdict{Class: job.Cancelled, Cause: job.CauseCancelledExternal, Charge: job.ChargeNothing, Hold: true}},

	// A host event.
	{"host error, maintenance, retirement",
		func(s signs) bool {
			return s.gone && (s.cause == providers.EndHostEvent || s.cause == providers.EndMaxLife)
		},
		infrastructure(job.CauseHostEvent)},
	{"maintenance announced, then the VM or the attempt ended by it",
		func(s signs) bool { return s.maintenance && (s.gone || s.told || s.exitZero) },
		infrastructure(job.CauseHostEvent)},
	{"agent silent, VM running",
		func(s signs) bool { return s.gone && s.Silent },
		infrastructure(job.CauseAgentLost)},
	{"shut down from inside, no result, no notice",
		func(s signs) bool { return s.gone && s.cause == providers.EndFromInside && s.Ending == "" },
		failed(job.CauseGuestShutdown)},

	// The exit code, and what the agent says instead of one.
	{"the OS was stopping, no notice, nobody says why",
		func(s signs) bool { return s.end.OSStopping && !s.faulty },
		infrastructure(job.CauseLost)},
	{"the checkpoint could not be restored",
		func(s signs) bool { return s.end.RestoreError != "" },
		infrastructure(job.CauseRestore)},
	{"ENOSPC on the agent's volume",
		func(s signs) bool { return s.end.AgentFull },
		infrastructure(job.CauseAgentDiskFull)},
	{"ENOSPC on the task's volume",
		func(s signs) bool { return s.end.DiskFull },
		failed(job.CauseDiskFull)},
	{"the setup command failed",
		func(s signs) bool { return s.end.SetupFailed },
		failed(job.CauseSetup)},
	{"the command could not be started",
		func(s signs) bool { return s.end.StartFailed },
		failed(job.CauseStart)},
	{"exit 0, the declared output is missing or unreadable",
		func(s signs) bool { return s.end.OutputError != "" },
		failed(job.CauseOutput)},
	{"an exit code that must not be retried",
		func(s signs) bool { return s.exitFatal },
		Verdict{Class: job.Failed, Cause: job.CauseExitFatal, Charge: job.ChargeFailures, Fatal: true}},
	{"exit 75, the checkpoint moved on",
		func(s signs) bool { return s.exitBad && s.end.ExitCode == job.ExitSaved && s.Progress },
		nothing(job.Failed, job.CauseSaved)},
	{"exit 75, the checkpoint did not move on",
		func(s signs) bool { return s.exitBad && s.end.ExitCode == job.ExitSaved },
		failed(job.CauseSavedNoProgress)},
	{"an exit code that the job file wants retried",
		func(s signs) bool { return s.exitRetry },
		failed(job.CauseExit)},
	{"137, no window, no OOM",
		func(s signs) bool { return s.killed },
		infrastructure(job.CauseKilledUnknown)},
	{"a signal that nobody here sent",
		func(s signs) bool { return s.end.Exited && s.end.Signal != "" },
		failed(job.CauseSignal)},
	{"non-zero exit",
		func(s signs) bool { return s.exitBad },
		failed(job.CauseExit)},
	{"the agent could not do its part",
		func(s signs) bool { return s.reported },
		infrastructure(job.CauseAgentError)},

	// Lost.
	{"VM gone, nothing after bounded re-reads",
		func(signs) bool { return true },
		infrastructure(job.CauseLost)},
}

// signs is evidence with the questions that the rows ask already answered.
type signs struct {
	Evidence
	end   job.AttemptEnd // zero when there is none
	cause providers.EndCause

	reported    bool // the agent reported the end
	committed   bool
	window      bool // an interruption notice was seen before it ended
	maintenance bool // a notice of maintenance was
	told        bool // our signal, or the OS stopping, came before it ended
	killed      bool // by signal 9, or by its shell's word for it
	exitZero    bool
	exitBad     bool // ended by itself with another code
	exitFatal   bool
	exitRetry   bool
	faulty      bool // the agent names a fault that has a row of its own
	gone        bool // what the agent reports, if anything, may come from the VM's end
}

func readSigns(e Evidence, retries job.Retries) signs {
	s := signs{Evidence: e}
	notice := e.Notice
	if e.End != nil {
		s.end, s.reported = *e.End, true
		// Its report says what it had seen by then; a later notice is another
		// matter.
		notice = e.End.Notice
	}
	if notice != nil {
		s.window = notice.Kind == job.NoticeInterruption
		s.maintenance = notice.Kind == job.NoticeMaintenance
	}
	if e.Provider != nil {
		s.cause = e.Provider.Cause
	}
	end := &s.end
	byItself := end.Exited && end.Signal == ""
	s.committed = end.Committed
	s.told = end.SignalSent || end.OSStopping
	s.exitZero = byItself && end.ExitCode == 0
	s.exitBad = byItself && end.ExitCode != 0
	s.killed = end.Exited && end.Signal == "SIGKILL" || s.exitBad && end.ExitCode == 137
	s.exitFatal = s.exitBad && slices.Contains(retries.FailExitCodes, end.ExitCode)
	s.exitRetry = s.exitBad && slices.Contains(retries.RetryExitCodes, end.ExitCode)
	s.faulty = end.RestoreError != "" || end.AgentFull || end.DiskFull || end.SetupFailed ||
		end.StartFailed || end.OutputError != "" || end.AgentError != ""
	s.gone = !s.reported || end.OSStopping || s.killed
	return s
}

// needsProvider reports whether an agent's report alone does not tell a
// reclaim from the task's own doing: the OS was stopping and no notice says
// why. The verdict waits until the provider was asked.
func needsProvider(end *job.AttemptEnd) bool {
	return end.OSStopping && end.Notice == nil && !end.Committed && !end.TimedOut && !end.Orphaned
}
