package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// live is one step in the life of a VM and its agent.
func (w *world) live(m *vm) {
	if m.State != providers.StateRunning {
		return
	}
	w.misfortune(m)
	if m.State != providers.StateRunning || m.dead || m.silent {
		return
	}
	st := &m.status
	if st.Beat == 0 {
		*st = job.Status{Run: w.spec.Run, Instance: m.ID, Boot: "boot-" + m.ID, Phase: job.PhaseReady}
		if w.queues {
			st.Slots = m.slots
		}
	}
	if m.desired != nil {
		w.reconcile(m, true)
	}
	for _, a := range slices.Clone(st.Running) {
		w.run(m, a.AttemptID)
	}
	for ended := -1; w.queues && w.script != nil && m.desired != nil && len(st.Ended) > ended; {
		if slices.ContainsFunc(st.Ended, func(e job.AttemptEnd) bool { return !e.Committed }) {
			break // first the controller hears of it
		}
		ended = len(st.Ended) // they are short: more than one fits into a step
		w.reconcile(m, false)
		for _, a := range slices.Clone(st.Running) {
			w.run(m, a.AttemptID)
		}
	}
	if m.desired != nil && m.desired.Leave && len(st.Running) == 0 {
		st.Phase = job.PhaseLeaving
	}
	st.Beat++
	m.fresh = true
}

// misfortune is what may befall a VM.
func (w *world) misfortune(m *vm) {
	spot := m.Offer.Capacity == providers.Spot
	switch {
	case m.doomed == 0:
		w.kill(m, providers.EndReclaimed)
	case m.doomed > 0:
		m.doomed--
	case spot && w.dice.one(12, "notice"):
		m.doomed = 2
		if m.status.Beat > 0 && !m.silent && !m.dead {
			m.status.Notice = &job.Notice{Kind: job.NoticeInterruption, Action: "terminate", Lead: job.Duration(2 * time.Minute)}
			m.status.Phase = job.PhaseDraining
		}
	case spot && w.dice.one(15, "reclaim"):
		w.kill(m, providers.EndReclaimed)
	case w.dice.one(25, "host error"):
		w.kill(m, providers.EndHostEvent)
	case w.dice.one(25, "silence"):
		m.silent = true
	case w.dice.one(25, "rebirth") && m.status.Beat > 0:
		m.status.Boot += "+"
		for _, a := range slices.Clone(m.status.Running) {
			w.stop(m, job.AttemptEnd{AttemptID: a.AttemptID, AgentError: "the agent ended and was started again"})
		}
	}
}

// reconcile is an agent with its desired document, which it looks at anew or
// goes on with.
func (w *world) reconcile(m *vm, looks bool) {
	st := &m.status
	st.Ended = slices.DeleteFunc(st.Ended, func(e job.AttemptEnd) bool {
		return slices.Contains(m.desired.Acknowledged, e.AttemptID)
	})
	wanted := map[job.AttemptID]job.Assignment{}
	for _, a := range m.desired.Attempts {
		wanted[a.AttemptID] = a
		known := slices.ContainsFunc(st.Running, func(r job.AttemptStatus) bool { return r.AttemptID == a.AttemptID }) ||
			slices.ContainsFunc(st.Ended, func(e job.AttemptEnd) bool { return e.AttemptID == a.AttemptID })
		switch {
		case known || st.Phase != job.PhaseReady || m.refused[a.AttemptID]:
		case w.queues && m.desired.Return, w.queues && looks && len(st.Running) >= m.slots && w.waitsTooLong(m, a.AttemptID):
			m.refused[a.AttemptID] = true
			st.Returned = append(st.Returned, a.AttemptID)
		case w.queues && len(st.Running) >= m.slots:
		case a.Gang != nil:
			w.prepareNode(m, a)
		default:
			w.start(m, a)
		}
		if a.Gang != nil {
			w.startNode(m, a)
		}
	}
	st.Returned = slices.DeleteFunc(st.Returned, func(id job.AttemptID) bool { _, ok := wanted[id]; return !ok })
	for _, r := range slices.Clone(st.Running) {
		if a, ok := wanted[r.AttemptID]; !ok || a.Cancel {
			w.saveLast(m, r.AttemptID)
			w.stop(m, job.AttemptEnd{AttemptID: r.AttemptID, Exited: true, ExitCode: 143, SignalSent: true, Cancelled: true, Saved: r.Checkpoint})
		}
	}
}

// waitsTooLong counts the looks at which an attempt had no slot.
func (w *world) waitsTooLong(m *vm, id job.AttemptID) bool {
	m.waits[id]++
	return m.waits[id] > 3
}

// start begins an attempt, and holds the promise that no other one of its
// index runs anywhere.
func (w *world) start(m *vm, a job.Assignment) {
	s := series(a.AttemptID)
	if other, runs := w.runs[s]; runs && other != m.ID {
		w.fault("attempt %d of %s starts on %s while one runs on %s", a.Attempt, s, m.ID, other)
	}
	if rec := w.record(a.AttemptID); rec != nil && rec.Final && m.Offer.Capacity != providers.OnDemand {
		w.fault("final attempt %d of %s starts on spot", a.Attempt, s)
	}
	w.goesOnFrom(a)
	if w.seen != nil {
		w.seen(a)
	}
	w.runs[s] = m.ID
	m.alive[a.AttemptID] = 0
	m.status.Running = append(m.status.Running, job.AttemptStatus{AttemptID: a.AttemptID})
}

// goesOnFrom holds the promise that an attempt goes on from the newest
// checkpoint that could not be shown to be bad.
func (w *world) goesOnFrom(a job.Assignment) {
	var want *job.CheckpointRef
	bad := w.state.Index(a.Task, a.Index).Bad
	for _, c := range w.saved[series(a.AttemptID)] {
		if c.Attempt < a.Attempt && !slices.Contains(bad, c.Key) {
			want = job.Newest(want, c)
		}
	}
	switch {
	case want == nil && a.Restore == nil:
	case want == nil || a.Restore == nil || want.Key != a.Restore.Key:
		w.fault("attempt %d of %s goes on from %v, and the newest is %v", a.Attempt, series(a.AttemptID), a.Restore, want)
	}
}

func (w *world) record(id job.AttemptID) *AttemptRecord {
	x := w.state.Index(id.Task, id.Index)
	for i := range x.Attempts {
		if x.Attempts[i].Attempt == id.Attempt {
			return &x.Attempts[i]
		}
	}
	return nil
}

// run is one step of an attempt: it may save, and may end.
func (w *world) run(m *vm, id job.AttemptID) {
	if _, ok := m.alive[id]; !ok {
		return
	}
	m.alive[id]++
	if w.script != nil {
		if end := w.script(id); end != nil {
			end.AttemptID = id
			w.stop(m, *end)
		}
		return
	}
	i := slices.IndexFunc(m.status.Running, func(a job.AttemptStatus) bool { return a.AttemptID == id })
	task, _ := w.spec.Task(id.Task)
	if task.Execution.Checkpoint != nil {
		w.save(m, i, id)
	}
	end := job.AttemptEnd{AttemptID: id, Elapsed: job.Duration(time.Minute), Saved: m.status.Running[i].Checkpoint, Exited: true}
	switch {
	case m.doomed >= 0:
		end.Notice, end.SignalSent, end.ExitCode = m.status.Notice, true, 143
		w.saveLast(m, id)
		end.Saved = m.status.Running[i].Checkpoint
	case w.dice.one(8, "fails"):
		end.ExitCode = []int{1, 2, 75, 137}[w.dice.below(4, "code")]
		if w.dice.one(2, "at once") {
			end.Elapsed = job.Duration(time.Second)
		}
	case w.dice.one(30, "cannot restore"):
		end.Exited, end.RestoreError = false, "a chunk is corrupt"
	case w.dice.one(30, "os stops"):
		end.OSStopping, end.ExitCode = true, 143
		m.status.Phase = job.PhaseLeaving
		w.stop(m, end)
		w.kill(m, providers.EndFromInside)
		return
	case m.alive[id] >= 3:
		end.Committed = true
		if task.Execution.Output != nil {
			end.Output = &job.Manifest{Key: fmt.Sprintf("out/%s/%d", series(id), id.Attempt)}
		}
	default:
		return
	}
	w.stop(m, end)
}

func (w *world) save(m *vm, i int, id job.AttemptID) {
	if n, ok := m.nodes[id]; ok {
		w.saveNode(m, i, id, n, int64(m.alive[id]))
		return
	}
	s := series(id)
	c := &job.CheckpointRef{Attempt: id.Attempt, Sequence: int64(m.alive[id])}
	c.Key = fmt.Sprintf("ckpt/%s/%d-%d", s, c.Attempt, c.Sequence)
	c.Digest, c.Content = c.Key, c.Key
	w.saved[s] = append(w.saved[s], c)
	m.status.Running[i].Checkpoint = c
}

// stop ends an attempt's process and reports it.
func (w *world) stop(m *vm, end job.AttemptEnd) {
	delete(m.alive, end.AttemptID)
	if at := w.place(m, end.AttemptID); w.runs[at] == m.ID {
		delete(w.runs, at)
	}
	m.status.Running = slices.DeleteFunc(m.status.Running, func(a job.AttemptStatus) bool { return a.AttemptID == end.AttemptID })
	m.status.Ended = append(m.status.Ended, end)
}
