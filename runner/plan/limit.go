package plan

import (
	"fmt"
	"math"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// warnAt is the part of a max_cost at which a warning is journalled, once.
const warnAt = 0.8

// An attempt is begun only when what is left of a max_cost pays for something:
// for leastWork on the instance that the last one had, or until its first
// checkpoint where that comes later. More than leastShare of the cap is always
// enough.
const (
	leastWork  = time.Minute
	leastShare = 0.05
)

// CostWarned: most of a max_cost is spent. With no task it is the job's.
type CostWarned struct {
	Task  string  `json:"task,omitempty"`
	Index int     `json:"index,omitempty"`
	Spent float64 `json:"spent"` // dollars
	Limit float64 `json:"limit"`
}

// IndexStopped: an index has reached a limit. Its attempt is cancelled with its
// checkpoint saved, and is its last.
type IndexStopped struct {
	Task  string    `json:"task"`
	Index int       `json:"index"`
	Cause job.Cause `json:"cause"`
	Spent float64   `json:"spent"` // dollars
	Limit float64   `json:"limit"`
}

// RunStopped: the run has reached a limit. All that runs is cancelled with its
// checkpoint saved, and nothing more is begun.
type RunStopped struct {
	Cause  job.Cause `json:"cause"`
	Reason string    `json:"reason"` // with the figures, and how to go on
}

// Stopping is the limit that a run has reached.
type Stopping struct {
	Cause  job.Cause `json:"cause"`
	Reason string    `json:"reason"`
}

func (s *State) applyLimit(e Event) bool {
	switch {
	case e.CostWarned != nil && e.CostWarned.Task == "":
		s.Warned = e.CostWarned.Spent
	case e.CostWarned != nil:
		if r, ok := s.locate(e.CostWarned.Task, e.CostWarned.Index); ok {
			s.at(r).Warned = e.CostWarned.Spent
		}
	case e.IndexStopped != nil:
		if r, ok := s.locate(e.IndexStopped.Task, e.IndexStopped.Index); ok {
			s.stopAttempt(r, e.IndexStopped.Cause)
		}
	case e.RunStopped != nil:
		s.Stop = &Stopping{Cause: e.RunStopped.Cause, Reason: e.RunStopped.Reason}
		s.stopAttempts(e.RunStopped.Cause)
	default:
		return false
	}
	return true
}

// stopAttempt has the attempt that an index has now cancelled on its instance.
// The first reason stays.
func (s *State) stopAttempt(r ref, cause job.Cause) {
	rec := s.at(r).current()
	if rec == nil || rec.Stopped != "" {
		return
	}
	rec.Stopped = cause
	s.work.dirty[rec.Instance] = struct{}{}
	for n := range rec.Nodes {
		s.work.dirty[rec.Nodes[n].Instance] = struct{}{}
	}
}

func (s *State) stopAttempts(cause job.Cause) {
	for id, inst := range s.Instances {
		for _, a := range inst.Attempts {
			if rec, r := s.live(a, id); rec != nil {
				s.stopAttempt(r, cause)
			}
		}
	}
}

// limits stops what has reached a limit, and has the next tick come when the
// next one will be reached.
func (t *tick) limits() {
	t.indexCosts()
	if t.over() {
		return
	}
	t.runCost()
	t.runTimeout()
}

// watchCost sets the time at which an attempt's cost is looked at: when it will
// have reached the warning or the cap.
func (s *State) watchCost(r ref) {
	limit := s.Spec.Tasks[r.task].MaxCost
	rec := s.at(r).current()
	if limit <= 0 || rec == nil || rec.Accepted == 0 || rec.Stopped != "" {
		return
	}
	hourly := s.hourly(rec)
	if hourly <= 0 {
		return
	}
	next := limit
	if s.at(r).Warned == 0 {
		next *= warnAt
	}
	if at, ok := reachedAt(s.work.now, s.spentBy(r), next, hourly); ok {
		s.work.limits.put(timer{at: at, index: r})
	}
}

// reachedAt is when a cost is reached that grows by so many dollars an hour;
// false: never, or not within the time that can be counted.
func reachedAt(now Time, spent, limit, hourly float64) (Time, bool) {
	if hourly <= 0 {
		return 0, false
	}
	left := math.Ceil(max(limit-spent, 0) / hourly * float64(time.Hour/time.Millisecond))
	if left > float64(math.MaxInt64/4/time.Millisecond) {
		return 0, false
	}
	return now + Time(left)*time.Millisecond, true
}

// spentBy is what an index has cost until now: its ended attempts, and the one
// that runs.
func (s *State) spentBy(r ref) float64 {
	x := s.at(r)
	spent := x.Spent
	rec := x.current()
	if rec == nil || rec.Accepted == 0 {
		return spent
	}
	if inst := s.Instances[rec.Instance]; inst != nil && !rec.IsGang() {
		spent += shareOf(inst, s.heldFor(rec, nil))
	}
	for i := range rec.Nodes {
		node := &rec.Nodes[i]
		spent += node.Cost
		for _, lost := range node.Lost {
			spent += lost.Cost
		}
		if inst := s.Instances[node.Instance]; inst != nil && node.Ended == 0 {
			spent += shareOf(inst, s.work.now-node.Assigned+node.Unattended)
		}
	}
	return spent
}

// hourly is what an attempt costs now, in dollars an hour: its share of its
// instance, or of those of all its nodes.
func (s *State) hourly(rec *AttemptRecord) float64 {
	if !rec.IsGang() {
		if inst := s.Instances[rec.Instance]; inst != nil {
			return shareOf(inst, time.Hour)
		}
		return 0
	}
	var hourly float64
	for i := range rec.Nodes {
		if inst := s.Instances[rec.Nodes[i].Instance]; inst != nil && rec.Nodes[i].Ended == 0 {
			hourly += shareOf(inst, time.Hour)
		}
	}
	return hourly
}

// watchCosts sets the times of all that runs, at the first tick of a tenure.
func (t *tick) watchCosts() {
	t.work.limits = t.work.limits[:0]
	for _, id := range sortedKeys(t.Instances) {
		for _, a := range t.Instances[id].Attempts {
			if rec, r := t.live(a, id); rec != nil {
				t.watchCost(r)
			}
		}
	}
}

// indexCosts looks at the attempts whose cost may have reached something.
func (t *tick) indexCosts() {
	for {
		due, ok := t.work.limits.due(t.now)
		if !ok {
			return
		}
		r := due.index
		x, task := t.at(r), &t.Spec.Tasks[r.task]
		rec := x.current()
		if rec == nil || rec.Accepted == 0 || rec.Stopped != "" || t.over() {
			continue
		}
		spent := t.spentBy(r)
		switch {
		case spent >= task.MaxCost:
			t.emit(Event{IndexStopped: &IndexStopped{Task: task.Name, Index: int(r.index),
				Cause: job.CauseMaxCost, Spent: spent, Limit: task.MaxCost}})
			continue
		case spent >= warnAt*task.MaxCost && x.Warned == 0:
			t.emit(Event{CostWarned: &CostWarned{Task: task.Name, Index: int(r.index), Spent: spent, Limit: task.MaxCost}})
		}
		t.watchCost(r) // later than now: what was reached is dealt with
	}
}

// limited says which limit allows an index no further attempt after this one,
// which cost so much; "" when none does.
func (t *tick) limited(r ref, rec *AttemptRecord, inst *Instance, cost float64) (job.Cause, string) {
	task, spent := &t.Spec.Tasks[r.task], t.at(r).Spent+cost
	switch {
	case t.cancelled(r.task) || t.Fault != "":
		return "", ""
	case t.Stop != nil:
		return t.Stop.Cause, t.Stop.Reason
	case rec.Stopped == job.CauseMaxCost:
		return job.CauseMaxCost, fmt.Sprintf("it cost %s, and its max_cost is %s: %s",
			dollars(spent), dollars(task.MaxCost), t.goOn(task.Name+"=", task.MaxCost))
	case task.MaxCost > 0 && task.MaxCost-spent < t.leastFor(task, inst):
		return job.CauseMaxCost, fmt.Sprintf("it cost %s, and what its max_cost of %s leaves does not pay for another attempt: %s",
			dollars(spent), dollars(task.MaxCost), t.goOn(task.Name+"=", task.MaxCost))
	}
	return "", ""
}

// leastFor is what must be left of a task's max_cost for another attempt.
func (t *tick) leastFor(task *job.Task, inst *Instance) float64 {
	work := leastWork
	for _, c := range task.Execution.Checkpoints() {
		work = max(work, c.Interval.D())
	}
	return min(shareOf(inst, work), leastShare*task.MaxCost)
}

// goOn says how a run goes on that a max_cost has stopped.
func (t *tick) goOn(of string, limit float64) string {
	return fmt.Sprintf("spotrelay recover %s --max-cost %s%.4g goes on from what was saved", t.Spec.Run, of, 2*limit)
}

// runCost stops the run when its instances have cost what they may.
func (t *tick) runCost() {
	limit := t.Spec.MaxCost
	if limit <= 0 || t.over() {
		return
	}
	spent, hourly := t.spending()
	next := limit
	switch {
	case spent >= limit:
		t.stopRun(job.CauseMaxCost, fmt.Sprintf("the run cost %s, and its max_cost is %s: %s",
			dollars(spent), dollars(limit), t.goOn("", limit)))
		return
	case t.Warned > 0:
	case spent >= warnAt*limit:
		t.emit(Event{CostWarned: &CostWarned{Spent: spent, Limit: limit}})
	default:
		next = warnAt * limit
	}
	if at, ok := reachedAt(t.now, spent, next, hourly); ok {
		t.wakeAt(at)
	}
}

// spending is what the run's instances have cost, and what they cost an hour.
func (s *State) spending() (spent, hourly float64) {
	spent = s.Cost
	for _, id := range sortedKeys(s.Instances) {
		inst := s.Instances[id]
		spent += inst.cost(s.work.now)
		hourly += inst.Offer.Price
	}
	return spent, hourly
}

// nearCap reports whether the run will have cost what it may so soon that
// nothing more is begun.
func (t *tick) nearCap() bool {
	limit := t.Spec.MaxCost
	if limit <= 0 {
		return false
	}
	spent, hourly := t.spending()
	return limit-spent < min(leastShare*limit, hourly*leastWork.Hours())
}

// runTimeout stops the run when its time is over.
func (t *tick) runTimeout() {
	limit := t.Spec.Timeout.D()
	if limit <= 0 || t.over() || t.Paused {
		return
	}
	if at := limit + t.PausedFor; t.now < at {
		t.wakeAt(at)
		return
	}
	t.stopRun(job.CauseRunTimeout, fmt.Sprintf("its run_timeout of %s is over: spotrelay recover %s --run-timeout %s goes on from what was saved",
		waitText(limit), t.Spec.Run, waitText(2*limit)))
}

// stopRun stops the run since it has reached a limit.
func (t *tick) stopRun(cause job.Cause, reason string) {
	t.emit(Event{RunStopped: &RunStopped{Cause: cause, Reason: reason}})
	t.endAllUnassigned(reason)
}

// NearCosts is what has spent most of a max_cost and goes on: the run, with no
// task named, then indexes in order. Spent is up to the state's time.
func (s *State) NearCosts() []CostWarned {
	var near []CostWarned
	if s.Warned > 0 && s.Outcome == "" {
		near = append(near, CostWarned{Spent: s.Spent(), Limit: s.Spec.MaxCost})
	}
	for i := range s.Tasks {
		task := &s.Spec.Tasks[i]
		for j := range s.Tasks[i].Indexes {
			if x := &s.Tasks[i].Indexes[j]; x.Warned > 0 && !x.Phase.ended() {
				near = append(near, CostWarned{Task: task.Name, Index: j, Spent: s.spentBy(ref{int32(i), int32(j)}), Limit: task.MaxCost})
			}
		}
	}
	return near
}

// dollars is an amount for people: cents, and what is smaller by two digits.
func dollars(amount float64) string {
	if amount >= 0.1 || amount == 0 {
		return fmt.Sprintf("$%.2f", amount)
	}
	return fmt.Sprintf("$%.2g", amount)
}
