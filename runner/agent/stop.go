//go:build unix

package agent

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/runner/job"
)

// replan is how often the remaining seconds of a window are planned anew while
// a task is still at work.
const replan = 500 * time.Millisecond

// await waits for the process and meanwhile sees to its timeout and to the
// stops: first the signal, then, when the time for that is up, SIGKILL. It is
// whether the process was signalled while it ran.
func (t *attempt) await(p *process) (signalled bool) {
	var timeout <-chan time.Time
	if d := t.job.Execution.Timeout.D(); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		timeout = timer.C
	}
	var s *stopping
	kill := time.NewTimer(time.Hour)
	kill.Stop()
	defer kill.Stop()
	for {
		select {
		case <-p.done:
			return s != nil
		case <-timeout:
			t.tell(stop{reason: stopTimeout})
		case <-t.agent.life.Done():
			p.signal(syscall.SIGKILL)
			<-p.done
			return s != nil
		case <-t.poked:
		case <-kill.C:
			if time.Until(s.killTime(t)) <= 0 {
				t.killTask(p)
				continue // and wait for its end
			}
		}
		if stops, _ := t.told(); len(stops) > 0 {
			select {
			case <-p.done: // it ended by itself before the signal
				return s != nil
			default:
			}
			switch {
			case s != nil:
			case t.freeze(p, stops):
				s = &stopping{signalled: time.Now(), killAfter: defaultKillAfter}
			default:
				s = t.signalTask(p, stops)
			}
			kill.Reset(max(0, min(replan, time.Until(s.killTime(t)))))
		}
	}
}

// stopping is a task that was told to stop.
type stopping struct {
	signalled time.Time
	killAfter time.Duration
	looked    time.Time // when the window was planned last
	planned   time.Time // until when the task may write
}

// signalTask tells the task, by a file and by its signal.
func (t *attempt) signalTask(p *process, stops []stop) *stopping {
	now := time.Now()
	t.beginWindow(now)
	for _, s := range stops {
		if s.notice != nil {
			t.writeNotice(s, t.planWindow(true))
		}
	}
	sig := signalNumber(t.job.Execution.Signal)
	p.signal(sig)
	t.record(func(end *job.AttemptEnd) { end.SignalSent = true })
	t.setStep(job.StepStopping)
	t.log.Info("told the task to stop", "reason", stops[0].reason, "signal", unix.SignalName(sig))
	t.output.note("%s: sent %s", stopText(stops[0]), unix.SignalName(sig))
	after := t.job.Execution.KillAfter.D()
	if after <= 0 {
		after = defaultKillAfter
	}
	return &stopping{signalled: now, killAfter: after}
}

// killTime is when the task's time is up. Before a deadline it has all the time
// that the last save leaves, since work done in it is work not lost; without
// one, and when it was told to stop for another reason as well, KillAfter from
// the signal on.
func (s *stopping) killTime(t *attempt) time.Time {
	patience := s.signalled.Add(s.killAfter)
	stops, deadline := t.told()
	if deadline.IsZero() {
		return patience
	}
	if pause := max(replan, 10*t.lookTime()); s.looked.IsZero() || time.Since(s.looked) >= pause {
		plan := t.planWindow(true)
		s.looked = time.Now()
		s.planned = s.looked.Add(plan.write)
		t.renewNotice(stops, plan)
	}
	for _, other := range stops {
		if other.deadline.IsZero() && patience.Before(s.planned) {
			return patience
		}
	}
	return s.planned
}

// killTask kills the whole tree.
func (t *attempt) killTask(p *process) {
	select {
	case <-p.done:
		return
	default:
	}
	t.output.note("it did not end in time: sent SIGKILL")
	p.signal(syscall.SIGKILL)
	t.mu.Lock()
	cg := t.cgroup
	t.mu.Unlock()
	cg.kill()
}

// signalNumber is the signal by its name; a name nobody knows is SIGTERM.
func signalNumber(name string) syscall.Signal {
	if sig := unix.SignalNum(name); sig != 0 {
		return sig
	}
	return defaultSignal
}

func stopText(s stop) string {
	switch s.reason {
	case stopNotice:
		text := "interruption notice"
		if s.notice != nil && s.notice.Kind != job.NoticeInterruption {
			text = string(s.notice.Kind) + " notice"
		}
		if !s.deadline.IsZero() {
			text += fmt.Sprintf(" (%s left)", time.Until(s.deadline).Round(time.Second))
		}
		return text
	case stopTimeout:
		return "the timeout fired"
	case stopCancel:
		return "cancelled"
	case stopOS:
		return "the operating system is stopping"
	}
	return "nobody controls the run any more"
}
