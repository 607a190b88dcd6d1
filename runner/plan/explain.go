package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Explain says evidence in one sentence for people, in the order in which
// things happened: "notice 2m0s ahead (terminate), signal sent, exit 143,
// checkpoint 2-7 saved".
func Explain(e Evidence) string {
	var parts []string
	add := func(format string, values ...any) { parts = append(parts, fmt.Sprintf(format, values...)) }
	for _, key := range e.Damaged {
		add("checkpoint %s was damaged and passed over", lastPart(key))
	}
	notice := e.Notice
	if e.End != nil {
		notice = e.End.Notice
	}
	if notice != nil {
		add("%s", noticeText(notice))
	}
	if e.End != nil {
		parts = append(parts, endParts(e.End)...)
	}
	if e.CancelRequested {
		add("cancel was asked for")
	}
	if e.RunFailed {
		add("the run had failed")
	}
	if text := stoppedText[e.Stopped]; text != "" {
		add("%s", text)
	}
	if e.Silent {
		add("the agent fell silent while its instance ran")
	}
	if e.SameExitBefore {
		add("the same exit as the attempt before")
	}
	if e.Provider != nil {
		add("%s", providerText(e.Provider, e.Ending))
	}
	if e.End == nil && e.Provider == nil && !e.Silent {
		add("the instance is gone and nobody says why")
	}
	if len(parts) == 0 {
		return "its agent ended it and does not say why"
	}
	return strings.Join(parts, ", ")
}

// stoppedText says why an attempt was told to end.
var stoppedText = map[job.Cause]string{
	job.CauseMaxCost:    "it had cost as much as it may",
	job.CauseRunTimeout: "the run had taken as long as it may",
	job.CausePaused:     "the run was paused",
}

func noticeText(n *job.Notice) string {
	text := "notice"
	if n.Kind != job.NoticeInterruption && n.Kind != "" {
		text = string(n.Kind) + " notice"
	}
	if n.Lead > 0 {
		text += " " + n.Lead.D().Round(100*time.Millisecond).String() + " ahead"
	}
	if n.Action != "" {
		text += " (" + n.Action + ")"
	}
	return text
}

func endParts(end *job.AttemptEnd) []string {
	var parts []string
	say := func(is bool, text string) {
		if is {
			parts = append(parts, text)
		}
	}
	say(end.OSStopping, "the OS was stopping")
	say(end.TimedOut, "timeout, over after "+end.Elapsed.D().Round(100*time.Millisecond).String())
	say(end.SignalSent, "signal sent")
	say(end.Orphaned, "nobody controlled the run")
	say(end.RestoreError != "", "restore failed: "+end.RestoreError)
	say(end.SetupFailed, orFault("the setup command failed", end.Fault))
	say(end.StartFailed, orFault("the command could not be started", end.Fault))
	switch {
	case end.Exited && end.Signal != "":
		say(true, "ended by "+end.Signal)
	case end.Exited:
		say(true, fmt.Sprintf("exit %d", end.ExitCode))
	case end.Step != "" && !end.Committed:
		say(true, "ended while "+string(end.Step))
	}
	say(end.OOMKills > 0, fmt.Sprintf("%d killed for want of memory", end.OOMKills))
	say(end.DiskFull, "the task's disk was full")
	say(end.AgentFull, "the agent's disk was full")
	say(end.OutputError != "", "output: "+end.OutputError)
	say(end.AgentError != "", "agent: "+end.AgentError)
	say(end.SaveError != "", "last save: "+end.SaveError)
	if end.Saved != nil {
		say(true, "checkpoint "+checkpointText(end.Saved)+" saved")
	}
	say(end.Committed && end.Output != nil, "output committed")
	say(end.Exited && end.Signal == "" && end.ExitCode == 0 && !end.Committed && end.OutputError == "",
		"not committed")
	return parts
}

// orFault is the agent's own sentence, shortened, and text where it has none.
func orFault(text, fault string) string {
	const most = 200
	fault, _, _ = strings.Cut(fault, "\n")
	if fault == "" {
		return text
	}
	if runes := []rune(fault); len(runes) > most {
		fault = string(runes[:most]) + "..."
	}
	return fault
}

func providerText(p *providers.Evidence, ending EndingReason) string {
	var text string
	switch p.Cause {
	case providers.EndReclaimed, providers.EndNoticed:
		text = "the provider took the instance back"
	case providers.EndHostEvent:
		text = "the provider names a host event"
	case providers.EndByUs:
		text = "we ended the instance"
		if ending != "" {
			text += " (" + string(ending) + ")"
		}
	case providers.EndByUser:
		text = "somebody else ended the instance"
	case providers.EndFromInside:
		text = "the instance was shut down from inside"
	case providers.EndMaxLife:
		text = "the instance reached its longest life"
	case providers.EndConfiguration:
		text = "the instance could not start by its configuration"
	case providers.EndCapacity:
		text = "the instance could not start for want of capacity"
	case providers.EndRunning:
		text = "the provider says that the instance runs"
	default:
		text = "the provider says nothing of the instance"
	}
	if p.Code != "" {
		text += " (" + p.Code + ")"
	}
	return text
}

// checkpointText is a checkpoint as its manifest is named: attempt-sequence.
func checkpointText(c *job.CheckpointRef) string {
	if names := c.Series(); c.Key == "" && len(names) > 0 {
		other, _ := c.Of(names[0])
		return fmt.Sprintf("%s %d-%d", names[0], other.Attempt, other.Sequence)
	}
	return fmt.Sprintf("%d-%d", c.Attempt, c.Sequence)
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
