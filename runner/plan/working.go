package plan

import (
	"maps"
	"slices"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// working is what a State knows beside its journal: indexes into itself, kept
// up by every event, and what was observed in this tenure and is observed
// again in the next.
type working struct {
	now    Time
	task   map[string]int // by name
	tasks  []taskWork
	groups []*group
	of     []*group // by task
	// tiers are the groups of a task's raised memory, by bytes.
	tiers []map[int64]*group
	byKey map[string]*group
	// byRank is the tasks in order of priority; ranked: they have different
	// ones; bounded: there is a max_parallel.
	byRank  []int32
	ranked  bool
	bounded bool
	holds   bool  // a task has hold_on_failure
	busy    int   // attempts that are assigned
	open    int   // indexes that have not ended
	main    int   // of these the ones of tasks that do not run finally
	finals  []int // tasks that wait for all others to end

	timers  timerHeap
	limits  timerHeap // when the cost of an index is looked at
	watches map[string]*watch
	pools   map[poolKey]int // instances that are not gone; with an empty pool those of the fleet
	// finds are the indexes whose next attempt waits to hear of its checkpoint.
	finds    map[ref]*find
	newFinds []ref
	// gates are the tasks whose start waits for a decision.
	gates map[int]struct{}
	// looks are the indexes that wait to hear whether the cache has their result,
	// or have heard that it has not; keeping are those whose result is on its way
	// into the cache.
	looks    map[ref]*look
	newLooks []ref
	keeping  map[ref]struct{}
	claimed  map[ref]struct{} // whose key this run has claimed
	// gangs are the indexes whose gang has not ended.
	gangs map[ref]struct{}
	// pruning tasks wait for the answer to their ActionPrune.
	pruning map[int]bool
	// dirty instances need their desired document written.
	dirty map[string]struct{}
	// touched instances may have become idle, or be done.
	touched map[string]struct{}
	// settling intents are no longer called; a listing begun after that time,
	// and the lag, shows what they rented.
	settling map[string]Time
	// notBefore is what a cloud asked for beyond the usual pause, and called
	// is the try after which an intent was called again, both by token.
	notBefore map[string]Time
	called    map[string]int
	// early statuses are of instances that no answer has named yet.
	early map[string]job.Status
}

// taskWork is a task's part of working.
type taskWork struct {
	counts     [len(phases)]int
	ready      [2]int // indexes that wait for an instance, by side
	upstream   int    // tasks it depends on that have not succeeded
	dependents []int
	cut        bool // they were ended since this one failed
	inputs     []job.Input
	hasInputs  bool
	// usesResults: its command, setup or env refers to results of others.
	usesResults bool
}

// poolKey is a pool of a fleet.
type poolKey struct {
	fleet string
	pool  providers.Pool
}

func (k poolKey) String() string {
	return k.fleet + " " + k.pool.Zone + " " + k.pool.InstanceType + " " + string(k.pool.Capacity)
}

// find is the question for an index's newest checkpoint.
type find struct {
	attempt    int // that ended last
	answered   bool
	checkpoint *job.CheckpointRef
	nodes      []job.CheckpointRef // of a gang
	damaged    []string
}

// phases in the order they are passed, for counting.
var phases = [...]IndexPhase{IndexBlocked, IndexReady, IndexWaiting, IndexAssigned, IndexRunning,
	IndexSucceeded, IndexFailed, IndexCancelled, IndexSkipped}

func phaseNumber(p IndexPhase) int {
	for i, q := range phases {
		if p == q {
			return i
		}
	}
	return 0
}

func (p IndexPhase) ended() bool {
	return p == IndexSucceeded || p == IndexFailed || p == IndexCancelled || p == IndexSkipped
}

// busy is 1 in a phase that has an attempt assigned.
func (p IndexPhase) busy() int {
	if p == IndexAssigned || p == IndexRunning {
		return 1
	}
	return 0
}

func newState(spec *job.Spec) *State {
	s := &State{Spec: spec, Tasks: make([]TaskState, len(spec.Tasks))}
	for i := range spec.Tasks {
		s.Tasks[i].Indexes = make([]IndexState, spec.Tasks[i].Count)
	}
	s.takeOver()
	s.prepare()
	for i := range s.Tasks {
		phase := IndexReady
		if s.work.tasks[i].upstream > 0 || s.gated(i) {
			phase = IndexBlocked
		}
		for j := range s.Tasks[i].Indexes {
			if x := &s.Tasks[i].Indexes[j]; !x.Phase.ended() {
				x.Phase = phase
			}
		}
	}
	s.recount()
	return s
}

// prepare makes what depends on the spec alone, and on which tasks are done.
func (s *State) prepare() {
	w := working{
		now: s.Now, task: map[string]int{}, tasks: make([]taskWork, len(s.Spec.Tasks)),
		byKey: map[string]*group{}, watches: map[string]*watch{}, pools: map[poolKey]int{},
		finds: map[ref]*find{}, dirty: map[string]struct{}{}, touched: map[string]struct{}{},
		settling: map[string]Time{}, notBefore: map[string]Time{}, called: map[string]int{},
		early: map[string]job.Status{}, pruning: map[int]bool{}, gates: map[int]struct{}{}, gangs: map[ref]struct{}{},
		looks: map[ref]*look{}, keeping: map[ref]struct{}{}, claimed: map[ref]struct{}{},
	}
	w.groups, w.of, w.tiers = groupTasks(s.Spec)
	for _, g := range w.groups {
		w.byKey[g.key] = g
	}
	w.rankTasks(s.Spec)
	for i := range s.Spec.Tasks {
		w.task[s.Spec.Tasks[i].Name] = i
		w.tasks[i].usesResults = len(s.Spec.Tasks[i].DependsOn) > 0 && usesResults(&s.Spec.Tasks[i])
	}
	s.work = w
	for i := range s.Spec.Tasks {
		for _, name := range s.Spec.Tasks[i].DependsOn {
			up, ok := w.task[name]
			if !ok || !waitsFor(&s.Spec.Tasks[i], &s.Spec.Tasks[up]) {
				continue
			}
			w.tasks[up].dependents = append(w.tasks[up].dependents, i)
			// An empty task is done when what it depends on is.
			empty := len(s.Tasks[up].Indexes) == 0
			if !s.taskSettled(up) || empty && w.tasks[up].upstream > 0 {
				w.tasks[i].upstream++
			}
		}
	}
	s.prepareFinally()
}

// taskSettled is settled without the counts; for preparing only.
func (s *State) taskSettled(task int) bool {
	for j := range s.Tasks[task].Indexes {
		if !satisfies(&s.Spec.Tasks[task], s.Tasks[task].Indexes[j].Phase) {
			return false
		}
	}
	return true
}

// recount makes the rest of working from the state as it is.
func (s *State) recount() {
	for _, g := range s.work.groups {
		g.open = 0
	}
	for i := range s.Tasks {
		for j := range s.Tasks[i].Indexes {
			x := &s.Tasks[i].Indexes[j]
			s.work.tasks[i].counts[phaseNumber(x.Phase)]++
			s.work.busy += x.Phase.busy()
			if !x.Phase.ended() {
				s.work.open++
				if !s.Spec.Tasks[i].Finally {
					s.work.main++
				}
				s.groupOf(ref{int32(i), int32(j)}).open++
			}
			if rec := x.current(); rec != nil && rec.IsGang() {
				s.work.gangs[ref{int32(i), int32(j)}] = struct{}{}
			}
			s.arrive(ref{int32(i), int32(j)})
		}
		if s.work.tasks[i].upstream == 0 && s.work.tasks[i].counts[phaseNumber(IndexBlocked)] > 0 {
			s.work.gates[i] = struct{}{}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Instances)) {
		inst := s.Instances[id]
		s.countIn(inst, 1)
		s.meet(inst)
		s.refile(inst)
	}
}

// at is an index's state.
func (s *State) at(r ref) *IndexState { return &s.Tasks[r.task].Indexes[r.index] }

// locate is the index of a name and number, and whether there is one.
func (s *State) locate(task string, index int) (ref, bool) {
	t, ok := s.work.task[task]
	if !ok || index < 0 || index >= len(s.Tasks[t].Indexes) {
		return ref{}, false
	}
	return ref{int32(t), int32(index)}, true
}

// live is the record of an attempt that is assigned to the instance and has
// not ended; nil for any other, however late or repeated its report is.
func (s *State) live(id job.AttemptID, instance string) (*AttemptRecord, ref) {
	r, ok := s.locate(id.Task, id.Index)
	if !ok {
		return nil, r
	}
	rec := s.at(r).current()
	if rec == nil || rec.Attempt != id.Attempt || instance != "" && !rec.on(instance) {
		return nil, r
	}
	return rec, r
}

// current is the attempt that has not ended, nil when there is none.
func (x *IndexState) current() *AttemptRecord {
	if x.Phase != IndexAssigned && x.Phase != IndexRunning || len(x.Attempts) == 0 {
		return nil
	}
	last := &x.Attempts[len(x.Attempts)-1]
	if last.Ended != 0 {
		return nil
	}
	return last
}

// setPhase moves an index to a phase and keeps every count.
func (s *State) setPhase(r ref, phase IndexPhase) {
	x := s.at(r)
	w := &s.work.tasks[r.task]
	g := s.groupOf(r)
	s.unqueue(r)
	w.counts[phaseNumber(x.Phase)]--
	w.counts[phaseNumber(phase)]++
	s.work.busy += phase.busy() - x.Phase.busy()
	if phase != IndexReady && phase != IndexWaiting {
		delete(s.work.looks, r)
	}
	if !phase.ended() && x.Phase.ended() { // it is retried
		s.work.open++
		g.open++
		if !s.Spec.Tasks[r.task].Finally {
			s.work.main++
		}
	}
	ended := phase.ended() && !x.Phase.ended()
	x.Phase = phase
	if ended {
		s.work.open--
		g.open--
		delete(s.work.finds, r)
		s.indexDone(int(r.task))
	}
	s.arrive(r)
}

// indexDone lets go on what waited for an index of a task to end.
func (s *State) indexDone(task int) {
	if s.settled(task) {
		s.unblock(task)
	}
	if !s.Spec.Tasks[task].Finally {
		if s.work.main--; s.work.main == 0 {
			s.mainEnded()
		}
	}
}

// unblock readies what depended on nothing but the task, by now done.
func (s *State) unblock(task int) {
	for _, d := range s.work.tasks[task].dependents {
		s.work.tasks[d].upstream--
		if s.work.tasks[d].upstream == 0 {
			s.admit(d)
		}
	}
}

// arrive queues an index that is ready, or sets the timer of one that waits.
func (s *State) arrive(r ref) {
	x := s.at(r)
	switch {
	case x.Phase == IndexWaiting && x.NotBefore > s.work.now:
		s.work.timers.put(timer{at: x.NotBefore, index: r})
		s.wantFind(r)
	case x.Phase == IndexReady || x.Phase == IndexWaiting:
		s.enqueue(r)
	}
}

// enqueue counts an index as ready and, unless its checkpoint is still looked
// for, puts it into the queue of its side.
func (s *State) enqueue(r ref) {
	x := s.at(r)
	if x.queued != notQueued || s.wantLook(r) {
		return
	}
	g := s.groupOf(r)
	at := s.sideFor(r)
	x.queued = int8(queuedSide + at)
	g.sides[at].ready++
	s.work.tasks[r.task].ready[at]++
	if !s.wantFind(r) {
		g.sides[at].queue.put(r)
	}
}

func (s *State) unqueue(r ref) {
	x := s.at(r)
	if x.queued == notQueued {
		return
	}
	s.groupOf(r).sides[x.queued-queuedSide].ready--
	s.work.tasks[r.task].ready[x.queued-queuedSide]--
	x.queued = notQueued
}

// wantFind reports whether the index's next attempt must wait to hear which
// checkpoint it goes on from, and notes the question.
func (s *State) wantFind(r ref) bool {
	x := s.at(r)
	if s.Spec.Tasks[r.task].Execution.Checkpoint == nil || len(x.Attempts) == 0 && x.Checkpoint == nil {
		return false
	}
	if f := s.work.finds[r]; f != nil {
		return !f.answered
	}
	last := 0 // what was taken over is of attempt 0
	if n := len(x.Attempts); n > 0 {
		last = x.Attempts[n-1].Attempt
	}
	s.work.finds[r] = &find{attempt: last}
	s.work.newFinds = append(s.work.newFinds, r)
	return true
}

// phaseOf is an index's phase now: one whose wait is over is ready.
func (s *State) phaseOf(x *IndexState) IndexPhase {
	if x.Phase == IndexWaiting && x.NotBefore <= s.work.now && x.Waits == nil {
		return IndexReady
	}
	return x.Phase
}
