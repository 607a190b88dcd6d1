package job

// Class is what an ended attempt was.
type Class string

// The seven classes.
const (
	Succeeded      Class = "succeeded"
	Preempted      Class = "preempted"
	Failed         Class = "failed"
	TimedOut       Class = "timed-out"
	OutOfMemory    Class = "out-of-memory"
	Infrastructure Class = "infrastructure"
	Cancelled      Class = "cancelled"
)

// Cause is the finer reason within a class. It is stable, for programs to
// match; Evidence has the sentence for people.
type Cause string

// The causes, each under the one class it occurs with.
const (
	CauseCompleted         Cause = "completed"            // succeeded
	CauseNotice            Cause = "notice"               // preempted: after a notice
	CauseReclaimed         Cause = "reclaimed"            // preempted: the provider says so, no notice seen
	CauseUncommitted       Cause = "uncommitted"          // preempted: exit 0, outputs not committed before the VM went
	CauseKilledInWindow    Cause = "killed-in-window"     // preempted: signal 9 after a notice
	CauseExitInWindow      Cause = "exit-in-window"       // preempted: non-zero exit after a notice, before a signal of ours
	CauseExit              Cause = "exit"                 // failed: non-zero exit
	CauseExitFatal         Cause = "exit-fatal"           // failed: an exit code that must not be retried
	CauseSavedNoProgress   Cause = "saved-no-progress"    // failed: exit 75, the checkpoint did not move on
	CauseSaved             Cause = "saved"                // failed (charged to nothing): exit 75, the checkpoint moved on
	CauseSignal            Cause = "signal"               // failed: ended by a signal that nobody here sent
	CauseGuestShutdown     Cause = "guest-shutdown"       // failed: the task shut its VM down
	CauseDiskFull          Cause = "disk-full"            // failed: ENOSPC on the task's volume
	CauseSetup             Cause = "setup"                // failed: the setup command failed
	CauseStart             Cause = "start"                // failed: the command could not be started
	CauseOutput            Cause = "output"               // failed: exit 0, the declared output is missing or unreadable
	CauseResult            Cause = "result"               // failed: a result that it needs was not written
	CauseTimeout           Cause = "timeout"              // timed-out
	CauseOOM               Cause = "oom"                  // out-of-memory
	CauseKilledUnknown     Cause = "killed-unknown"       // infrastructure: signal 9 out of nowhere
	CauseLost              Cause = "lost"                 // infrastructure: the VM is gone, nobody knows why
	CauseHostEvent         Cause = "host-event"           // infrastructure: host error, maintenance, retirement
	CauseAgentLost         Cause = "agent-lost"           // infrastructure: silent agent on a running VM
	CauseAgentDiskFull     Cause = "agent-disk-full"      // infrastructure: ENOSPC on the agent's volume
	CauseAgentError        Cause = "agent-error"          // infrastructure: the agent could not do its part
	CauseRestore           Cause = "restore"              // infrastructure: the checkpoint could not be restored
	CauseOrphaned          Cause = "orphaned"             // infrastructure, charged to nothing: nobody controlled the run
	CauseCancelled         Cause = "cancelled"            // cancelled: by the user
	CauseCancelledExternal Cause = "cancelled-externally" // cancelled: somebody else ended the VM; the run is held
	CauseUpstream          Cause = "upstream"             // cancelled: the run failed elsewhere
	CauseMaxCost           Cause = "max-cost"             // cancelled: it costs as much as it may; its checkpoint is saved
	CauseRunTimeout        Cause = "run-timeout"          // cancelled: the run took as long as it may
	CausePaused            Cause = "paused"               // cancelled, charged to nothing: the run was paused
	CauseNodeLost          Cause = "node-lost"            // cancelled, charged to nothing: another node of its gang was lost
)

// Charge is the budget that an ended attempt was counted against. Whatever is
// not ChargeNothing also counts against Retries.Attempts.
type Charge string

// The charges.
const (
	ChargeNothing        Charge = "nothing"
	ChargePreemptions    Charge = "preemptions"
	ChargeFailures       Charge = "failures"
	ChargeInfrastructure Charge = "infrastructure"
)

// ExitSaved (EX_TEMPFAIL) is how a task says: saved, run me again.
const ExitSaved = 75
