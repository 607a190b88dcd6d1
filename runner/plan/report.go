package plan

import (
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// atOnce is how soon after its start a failure speaks against the instance.
const atOnce = 10 * time.Second

// status takes a status document in. The same one again changes nothing.
func (t *tick) status(st *job.Status) {
	inst := t.Instances[st.Instance]
	if inst == nil {
		if len(t.Launches) > 0 {
			t.work.early[st.Instance] = *st
		}
		return
	}
	w := t.work.watches[st.Instance]
	if !t.news(inst, w, st) {
		return
	}
	t.boot(inst, w, st)
	before := w.last
	w.seen, w.last, w.leaving, w.fencing = t.now, st, st.Phase != job.PhaseReady && st.Phase != "", ""
	t.noticed(inst, st.Notice)
	for i := range st.Running {
		t.accept(st.Running[i].AttemptID, inst.ID)
		t.acceptNode(st.Running[i].AttemptID, inst.ID, st.Running[i].Address)
	}
	for i := range st.Ended {
		end := &st.Ended[i]
		if rec, _ := t.live(end.AttemptID, inst.ID); rec != nil && needsProvider(end) {
			t.accept(end.AttemptID, inst.ID)
			t.list(inst.Fleet) // the provider is asked once it is seen to be gone
			continue
		}
		t.attemptReported(inst, end, nil)
	}
	t.returned(inst, st.Returned)
	if w.leaving {
		t.withdraw(inst, "its instance takes nothing new")
	}
	if unacknowledged(before, st) {
		t.work.dirty[inst.ID] = struct{}{}
	}
	t.refile(inst)
}

// news reports whether a status is of this life of the instance, and newer
// than the last.
func (t *tick) news(inst *Instance, w *watch, st *job.Status) bool {
	if st.Run != "" && st.Run != t.Spec.Run || slices.Contains(w.former, st.Boot) {
		return false
	}
	return w.last == nil || w.last.Boot != st.Boot || st.Beat > w.last.Beat
}

// boot notes the first status of an instance, or of another life of it: what
// ran in the life before, and did not report its end, ended with it.
func (t *tick) boot(inst *Instance, w *watch, st *job.Status) {
	former := inst.Boot
	if former == st.Boot {
		return
	}
	t.emit(Event{InstanceReady: &InstanceReady{Instance: inst.ID, Boot: st.Boot}})
	t.setTimer(inst)
	if former == "" {
		return
	}
	w.former = append(w.former, former)
	for _, id := range slices.Clone(inst.Attempts) {
		rec, r := t.live(id, inst.ID)
		ended := slices.ContainsFunc(st.Ended, func(e job.AttemptEnd) bool { return e.AttemptID == id })
		if rec == nil || !rec.acceptedOn(inst.ID) || ended {
			continue
		}
		t.endAttempt(inst, rec, r, Evidence{Silent: true})
	}
}

// unacknowledged reports whether a status lists an end that the one before
// did not, so that the agent waits for an acknowledgement.
func unacknowledged(before, now *job.Status) bool {
	for i := range now.Ended {
		id := now.Ended[i].AttemptID
		if before == nil || !slices.ContainsFunc(before.Ended, func(e job.AttemptEnd) bool { return e.AttemptID == id }) {
			return true
		}
	}
	return false
}

// noticed takes in what the agent says of an interruption.
func (t *tick) noticed(inst *Instance, n *job.Notice) {
	switch {
	case n == nil && (inst.Notice != nil || inst.Rebalance):
		t.emit(Event{InstanceNoticed: &InstanceNoticed{Instance: inst.ID, Withdrawn: true}})
	case n == nil:
	case n.Kind == job.NoticeRebalance && inst.Notice == nil && !inst.Rebalance,
		n.Kind != job.NoticeRebalance && !sameNotice(inst.Notice, n):
		if n.Kind == job.NoticeInterruption {
			t.interrupted(inst.Fleet, inst.Offer.Pool())
		}
		t.emit(Event{InstanceNoticed: &InstanceNoticed{Instance: inst.ID, Notice: *n}})
		t.gangNoticed(inst, n)
	}
}

func sameNotice(a, b *job.Notice) bool {
	return a != nil && a.Kind == b.Kind && a.Action == b.Action && a.Source == b.Source && a.Deadline.Equal(b.Deadline)
}

// accept notes that an attempt appeared in its instance's status.
func (t *tick) accept(id job.AttemptID, instance string) {
	if rec, _ := t.live(id, instance); rec != nil && rec.Accepted == 0 && !rec.IsGang() {
		t.emit(Event{AttemptAccepted: &AttemptAccepted{AttemptID: id}})
	}
}

// withdraw takes back the assignments that an instance never accepted and no
// longer will.
func (t *tick) withdraw(inst *Instance, reason string) {
	w := t.work.watches[inst.ID]
	for _, id := range slices.Clone(inst.Attempts) {
		rec, _ := t.live(id, inst.ID)
		if rec == nil || rec.acceptedOn(inst.ID) || w.runs(id) != nil || w.reportsEnd(id) {
			continue
		}
		t.takeBack(inst, rec, id, reason)
	}
}

// attemptReported ends an attempt by its agent's report. One that is not
// assigned there any more is none of ours: it is acknowledged and forgotten.
func (t *tick) attemptReported(inst *Instance, end *job.AttemptEnd, provider *providers.Evidence) {
	t.accept(end.AttemptID, inst.ID)
	t.acceptNode(end.AttemptID, inst.ID, "")
	rec, r := t.live(end.AttemptID, inst.ID)
	if rec == nil {
		return
	}
	t.work.watches[inst.ID].tookOne(end.Elapsed.D())
	own := *end // else the record would keep the whole document alive
	e := Evidence{End: &own, Provider: provider}
	e.Silent = provider != nil && inst.Ending == EndingSilent
	t.endAttempt(inst, rec, r, e)
}
