package local

import "time"

// action is what happens to an instance.
type action string

const (
	actionPreempt     action = "preempt"
	actionKill        action = "kill"
	actionCrash       action = "crash"
	actionMaintenance action = "maintenance"
	actionSilence     action = "silence"
	actionNeverBoot   action = "never-boot"
	actionRebalance   action = "rebalance"
	actionWithdraw    action = "withdraw"
	actionUser        action = "user-terminate"
	actionShutdown    action = "shutdown"
)

func actionNames() []string {
	return []string{
		string(actionPreempt), string(actionKill), string(actionCrash), string(actionMaintenance), string(actionSilence),
		string(actionNeverBoot), string(actionRebalance), string(actionWithdraw), string(actionUser), string(actionShutdown),
	}
}

// step is one event of an instance's script. At most one of After, Checkpoint
// and DuringSave is set.
type step struct {
	Action     action        `json:"action"`
	Notice     time.Duration `json:"notice,omitempty"`
	After      time.Duration `json:"after,omitempty"`
	Checkpoint int           `json:"checkpoint,omitempty"`
	DuringSave int           `json:"during_save,omitempty"`
}

// The agent's events that a script can wait for.
const (
	saveStarted   = "save-started"
	saveProgress  = "save-progress"
	saveCommitted = "save-committed"
)

// saveEvent is a line of the agent's watch stream.
type saveEvent struct {
	Event      string `json:"event"`
	BytesDone  int64  `json:"bytes_done"`
	BytesTotal int64  `json:"bytes_total"`
}

// market plays an instance's script. It has no clock: elapsed is the time
// since the instance started.
type market struct {
	script  []step
	started int // saves
	commits int
}

// neverBoots reports whether the script keeps the agent from starting.
func (m *market) neverBoots() bool {
	for _, s := range m.script {
		if s.Action == actionNeverBoot {
			return true
		}
	}
	return false
}

// watches reports whether the script waits for something that the agent does.
func (m *market) watches() bool {
	for _, s := range m.script {
		if s.Checkpoint > 0 || s.DuringSave > 0 {
			return true
		}
	}
	return false
}

// next is when the earliest timed step is due.
func (m *market) next() (time.Duration, bool) {
	var first time.Duration
	found := false
	for _, s := range m.script {
		if s.timed() && (!found || s.After < first) {
			first, found = s.After, true
		}
	}
	return first, found
}

// due takes the timed steps out of the script whose time has come.
func (m *market) due(elapsed time.Duration) []step {
	return m.take(func(s step) bool { return s.timed() && s.After <= elapsed })
}

// observe takes the steps out of the script that the agent's event sets off.
func (m *market) observe(e saveEvent) []step {
	switch e.Event {
	case saveStarted:
		m.started++
		// A save before this one that had no middle to be seen in passed its
		// step on; this one is taken at its start, so that it happens at all.
		return m.take(func(s step) bool { return s.DuringSave > 0 && m.started > s.DuringSave })
	case saveProgress:
		if e.BytesDone <= 0 || e.BytesDone >= e.BytesTotal {
			return nil
		}
		return m.take(func(s step) bool { return s.DuringSave > 0 && m.started >= s.DuringSave })
	case saveCommitted:
		m.commits++
		return m.take(func(s step) bool { return s.Checkpoint > 0 && m.commits >= s.Checkpoint })
	}
	return nil
}

func (m *market) take(chosen func(step) bool) []step {
	var taken []step
	var left []step
	for _, s := range m.script {
		if chosen(s) {
			taken = append(taken, s)
		} else {
			left = append(left, s)
		}
	}
	m.script = left
	return taken
}

func (s step) timed() bool {
	return s.Checkpoint == 0 && s.DuringSave == 0 && s.Action != actionNeverBoot
}
