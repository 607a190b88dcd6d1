package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// dice is where a world's chance comes from: a property's draws, or none.
type dice interface {
	// one reports true about once in n times; n 0 is never.
	one(n int, what string) bool
	// below is a number from 0 to n-1.
	below(n int, what string) int
}

// calm is the dice of a world in which nothing goes wrong.
type calm struct{}

func (calm) one(int, string) bool  { return false }
func (calm) below(int, string) int { return 0 }

// world is a cloud, its agents and a bucket in memory, with a controller's
// journal. It does what a State decides, late, twice or not at all.
type world struct {
	spec    *job.Spec
	state   *State
	now     Time
	dice    dice
	journal []Event
	vms     map[string]*vm
	tokens  map[string][]providers.Instance
	saved   map[string][]*job.CheckpointRef // by index
	facts   []func(*Facts)                  // on their way
	offers  []providers.Offer
	dry     map[providers.CapacityType]bool // that have no capacity now
	quota   int                             // instances that may live at once; 0: any
	has     map[string]int                  // of each capacity type, by fleet
	script  func(job.AttemptID) *job.AttemptEnd
	seen    func(job.Assignment) // is told what starts; may be nil
	fault   func(format string, values ...any)
	tenure  bool
	runs    map[string]string // index -> instance whose process runs it
	tries   map[string]int
	ready   map[string]map[int]bool // nodes that were prepared, by gang's attempt
	queues  bool                    // agents have what has no slot wait
	pruned  map[string]*ActionPrune // by task
	steps   int
	actions []Action // of the last tick
	wake    Time
	worldCache
}

// vm is an instance with its agent.
type vm struct {
	providers.Instance
	desired *ActionDesired
	status  job.Status
	fresh   bool // its status was not delivered yet
	silent  bool
	dead    bool // never boots
	cause   providers.EndCause
	doomed  int // steps until it is taken, after a notice
	alive   map[job.AttemptID]int
	slots   int
	waits   map[job.AttemptID]int  // looks without a slot
	refused map[job.AttemptID]bool // given back
	nodes   map[job.AttemptID]job.GangPart
}

func newWorld(spec *job.Spec, d dice, fault func(string, ...any)) *world {
	return &world{
		spec: spec, state: New(spec), dice: d, fault: fault, vms: map[string]*vm{}, tenure: true,
		tokens: map[string][]providers.Instance{}, saved: map[string][]*job.CheckpointRef{},
		dry: map[providers.CapacityType]bool{}, runs: map[string]string{}, tries: map[string]int{}, pruned: map[string]*ActionPrune{}, ready: map[string]map[int]bool{},
		offers: []providers.Offer{
			{Zone: "a", InstanceType: "m", Capacity: providers.Spot, Price: 1},
			{Zone: "b", InstanceType: "m", Capacity: providers.Spot, Price: 1.2},
			{Zone: "a", InstanceType: "m", Capacity: providers.OnDemand, Price: 3},
		},
	}
}

// listLag is the cloud's.
const listLag = 2 * time.Second

// tell puts a fact on its way.
func (w *world) tell(fact func(*Facts)) { w.facts = append(w.facts, fact) }

// step lets time pass, the world live, and the controller tick once.
func (w *world) step(by Time) Decision {
	w.now += by
	w.steps++
	for _, id := range sortedKeys(w.vms) {
		w.live(w.vms[id])
	}
	return w.tick()
}

// tick gives the controller what has arrived and does what it decides.
func (w *world) tick() Decision {
	w.lookAgain()
	facts := Facts{Tenure: w.tenure}
	w.tenure = false
	var late []func(*Facts)
	for _, fact := range w.facts {
		switch {
		case w.dice.one(6, "late"):
			late = append(late, fact)
			continue
		case w.dice.one(8, "twice"):
			late = append(late, fact)
		}
		fact(&facts)
	}
	w.facts = late
	for _, id := range sortedKeys(w.vms) {
		m := w.vms[id]
		if m.fresh && m.status.Beat > 0 && !w.dice.one(6, "unseen") {
			m.fresh = false
			facts.Statuses = append(facts.Statuses, cloneStatus(m.status))
		}
	}
	d := w.state.Plan(facts, w.now)
	w.journal = append(w.journal, d.Events...)
	w.actions, w.wake = d.Actions, d.Wake
	for _, a := range d.Actions {
		w.do(a)
	}
	return d
}

func cloneStatus(s job.Status) job.Status {
	s.Running, s.Ended, s.Returned = slices.Clone(s.Running), slices.Clone(s.Ended), slices.Clone(s.Returned)
	return s
}

// do takes an action.
func (w *world) do(a Action) {
	switch {
	case a.Launch != nil:
		w.launch(a.Launch)
	case a.Terminate != nil:
		if m := w.vms[a.Terminate.Instance]; m != nil {
			w.kill(m, providers.EndByUs)
		}
	case a.Desired != nil:
		if m := w.vms[a.Desired.Instance]; m != nil {
			m.desired = a.Desired
		}
	case a.Offers != nil:
		answer := OffersAnswer{Fleet: a.Offers.Fleet, Group: a.Offers.Group, Offers: slices.Clone(w.offers)}
		if w.dice.one(10, "offers fail") {
			answer.Offers, answer.Err = nil, &providers.Error{Code: providers.CodeUnavailable, Op: "offers", Message: "no route"}
		}
		w.tell(func(f *Facts) { f.Offers = append(f.Offers, answer) })
	case a.End != nil:
		w.ended(a.End)
	case a.Find != nil:
		w.find(a.Find)
	case a.List != nil:
		w.list(a.List.Fleet)
	case a.Prune != nil:
		w.prune(a.Prune)
	case a.CacheLookup != nil:
		w.cacheLookup(a.CacheLookup)
	case a.CacheStore != nil:
		w.cacheStore(a.CacheStore)
	case a.CacheRelease != nil:
		delete(w.claimed, a.CacheRelease.Key)
		delete(w.open, a.Key())
	}
}

// launch rents, as its token says, once.
func (w *world) launch(l *ActionLaunch) {
	answer := LaunchAnswer{Token: l.Token}
	refuse := func(code providers.Code) {
		answer.Err = &providers.Error{Code: code, Op: "launch", Message: string(code)}
		w.tell(func(f *Facts) { f.Launches = append(f.Launches, answer) })
	}
	if w.dice.one(12, "no call") {
		refuse(providers.CodeUnavailable)
		return
	}
	rented, known := w.tokens[l.Token]
	if !known {
		if w.dry[l.Offers[0].Capacity] || w.dice.one(8, "no capacity") {
			for _, o := range l.Offers {
				answer.Result.Failures = append(answer.Result.Failures,
					providers.Failure{Pool: o.Pool(), Code: providers.CodeCapacity, Message: "there is none"})
			}
			w.tokens[l.Token] = nil
			w.tell(func(f *Facts) { f.Launches = append(f.Launches, answer) })
			return
		}
		rented = w.rent(l)
		w.tokens[l.Token] = rented
	}
	switch {
	case w.dice.one(10, "answer lost"):
		refuse(providers.CodeUnavailable)
	case w.dice.one(20, "expired"):
		answer.Expired = true
		w.tell(func(f *Facts) { f.Launches = append(f.Launches, answer) })
	default:
		answer.Result.Instances = rented
		if len(rented) < l.Count && w.quota > 0 {
			answer.Result.Failures = []providers.Failure{{Pool: l.Offers[0].Pool(), Code: providers.CodeQuota, Message: "no more than that"}}
		}
		w.tell(func(f *Facts) { f.Launches = append(f.Launches, answer) })
	}
}

func (w *world) rent(l *ActionLaunch) []providers.Instance {
	var rented []providers.Instance
	count := l.Count
	if w.dice.one(6, "fewer") {
		count = 1 + w.dice.below(count, "how many")
	}
	if most, ok := w.has[l.Fleet]; ok {
		for _, m := range w.vms {
			if m.State != providers.StateTerminated && m.Offer.Capacity == l.Offers[0].Capacity && m.Tags[providers.TagFleet] == l.Fleet {
				most--
			}
		}
		count = min(count, max(most, 0))
	}
	if w.quota > 0 {
		count = min(count, max(w.quota-w.living(), 0))
	}
	for range count {
		inst := providers.Instance{
			ID:    fmt.Sprintf("i-%04d", len(w.vms)+1),
			Offer: l.Offers[w.dice.below(len(l.Offers), "offer")], State: providers.StateRunning,
			Tags: map[string]string{providers.TagIntent: l.Token, providers.TagFleet: l.Fleet, providers.TagRun: w.spec.Run},
		}
		w.vms[inst.ID] = &vm{
			Instance: inst, cause: providers.EndRunning, alive: map[job.AttemptID]int{}, doomed: -1,
			dead:  w.dice.one(15, "never boots"),
			slots: l.Slots, waits: map[job.AttemptID]int{}, refused: map[job.AttemptID]bool{},
			nodes: map[job.AttemptID]job.GangPart{},
		}
		rented = append(rented, inst)
	}
	return rented
}

func (w *world) living() (n int) {
	for _, m := range w.vms {
		if m.State != providers.StateTerminated {
			n++
		}
	}
	return n
}

// kill ends a VM and every process on it.
func (w *world) kill(m *vm, cause providers.EndCause) {
	if m.State == providers.StateTerminated {
		return
	}
	m.State, m.cause = providers.StateTerminated, cause
	for id := range m.alive {
		delete(w.runs, w.place(m, id))
	}
	clear(m.alive)
}

func (w *world) ended(a *ActionEnd) {
	m := w.vms[a.Instance]
	answer := EndAnswer{Instance: a.Instance, Fence: a.Fence, Evidence: providers.Evidence{ID: a.Instance, Cause: providers.EndUnknown}}
	if m != nil {
		answer.Evidence.Cause, answer.Evidence.State = m.cause, m.State
		if w.dice.one(8, "provider forgot") && m.State == providers.StateTerminated {
			answer.Evidence.Cause, answer.Evidence.State = providers.EndUnknown, ""
		}
		if m.status.Beat > 0 {
			st := cloneStatus(m.status)
			answer.Status = &st
		}
	}
	w.tell(func(f *Facts) { f.Ends = append(f.Ends, answer) })
}

func (w *world) find(a *ActionFind) {
	answer := FoundCheckpoint{Task: a.Task, Index: a.Index, Attempt: a.Attempt}
	if a.Nodes > 0 {
		w.findGang(a, &answer)
		w.tell(func(f *Facts) { f.Found = append(f.Found, answer) })
		return
	}
	all := w.saved[series(job.AttemptID{Task: a.Task, Index: a.Index})]
	for _, c := range all {
		if !slices.Contains(a.Exclude, c.Key) {
			answer.Checkpoint = job.Newest(answer.Checkpoint, c)
		}
	}
	w.tell(func(f *Facts) { f.Found = append(f.Found, answer) })
}

// prune leaves the newest of each index, and nothing where that shall be.
func (w *world) prune(a *ActionPrune) {
	for _, id := range sortedKeys(w.vms) {
		if m := w.vms[id]; m.State != providers.StateTerminated {
			w.fault("checkpoints of %s are removed while %s lives", a.Task, id)
		}
	}
	w.pruned[a.Task] = a
	w.tell(func(f *Facts) { f.Pruned = append(f.Pruned, PruneAnswer{Task: a.Task, Removed: 1}) })
}

// list answers with what is there now; the gone are forgotten now and then.
func (w *world) list(fleet string) {
	l := Listing{Fleet: fleet, Begun: w.now, Lag: listLag}
	for _, id := range sortedKeys(w.vms) {
		m := w.vms[id]
		if m.State == providers.StateTerminated && w.dice.one(2, "forgotten") {
			continue
		}
		if m.Tags[providers.TagFleet] != fleet {
			continue
		}
		l.Instances = append(l.Instances, m.Instance)
	}
	w.tell(func(f *Facts) { f.Listings = append(f.Listings, l) })
}

func series(id job.AttemptID) string { return fmt.Sprintf("%s/%d", id.Task, id.Index) }

// restart is a new controller: it knows the journal alone, and what was on its
// way to the old one is lost.
func (w *world) restart() {
	s := New(w.spec)
	for _, e := range w.journal {
		s.Apply(e)
	}
	w.state, w.tenure, w.facts = s, true, nil
	clear(w.open)
	for _, m := range w.vms {
		m.fresh = true
	}
}
