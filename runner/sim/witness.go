package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// witness sees everything that happens in a world and holds it against the
// promises. Each check names the invariant of docs/invariants.md that it is.
type witness struct {
	w *World
	// away: it does not look, since what it would keep is as large as the run.
	away bool

	mu      sync.Mutex
	state   *plan.State // the journal, folded as it is written
	last    store.Entry
	opened  map[string]plan.LaunchOpened
	desired map[string][2]int64 // epoch and sequence, by instance

	// What truly happened, by attempt.
	ran      map[string]bool
	done     map[string]bool
	progress map[string]int              // epochs that an index went on from, the most
	success  map[string]int              // attempts that were journalled as succeeded, by index
	saved    map[string]checkpointing.ID // the newest checkpoint that was committed, by index
	atEnd    map[string]checkpointing.ID // the same when the last attempt ended
	charged  map[string]int              // attempts that were journalled as charged, by index
	reported map[job.AttemptID]bool      // committed, as a status in the bucket says
}

func newWitness(w *World) *witness {
	return &witness{
		w: w, state: plan.New(w.spec), opened: map[string]plan.LaunchOpened{}, desired: map[string][2]int64{},
		ran: map[string]bool{}, done: map[string]bool{}, progress: map[string]int{}, success: map[string]int{},
		saved: map[string]checkpointing.ID{}, atEnd: map[string]checkpointing.ID{},
		charged: map[string]int{}, reported: map[job.AttemptID]bool{},
	}
}

// wrote sees a write to the bucket, when it has its effect.
func (v *witness) wrote(by *actor, key string, content []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	run := v.w.spec.Run
	switch {
	case strings.HasPrefix(key, store.JournalPrefix(run)):
		v.journalled(by, key, content)
	case strings.HasSuffix(key, "/"+store.DesiredName):
		v.wantedOf(key, content)
	case strings.HasSuffix(key, "/"+store.StatusName):
		v.toldBy(key, content)
	case strings.HasPrefix(key, store.RunPrefix(run)+"checkpoints/"):
		v.committed(key)
	}
	return nil
}

func (v *witness) journalled(by *actor, key string, content []byte) {
	entry, err := store.DecodeEntry(key, content)
	if err != nil {
		v.w.violated("journal: %s wrote %s, which cannot be read: %v", by.name, key, err)
		return
	}
	if entry.Seq != v.last.Seq+1 {
		v.w.violated("journal: entry %d follows entry %d", entry.Seq, v.last.Seq)
	}
	if entry.Epoch < v.last.Epoch {
		v.w.violated("lease: an entry of epoch %d follows one of epoch %d", entry.Epoch, v.last.Epoch)
	}
	if entry.Now < v.last.Now {
		v.w.violated("journal: the run's time went back from %s to %s", v.last.Now, entry.Now)
	}
	v.last = entry
	for _, event := range entry.Events {
		v.w.tell("entry %d by %s: %s", entry.Seq, by.name, brief(event))
		v.before(event)
		v.state.Apply(event)
		v.after(event)
	}
}

// held is why the run is held, "" when it is not.
func (v *witness) held() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.state.Held
}

// brief is an event on a line.
func brief(event plan.Event) string {
	data, err := json.Marshal(event)
	if err != nil {
		return err.Error()
	}
	const most = 300
	return string(data[:min(len(data), most)])
}

// before checks an event against the state that it changes.
func (v *witness) before(e plan.Event) {
	switch {
	case e.LaunchOpened != nil:
		if _, again := v.opened[e.LaunchOpened.Token]; again {
			v.w.violated("launch: the intent %s was opened twice", e.LaunchOpened.Token)
		}
		v.opened[e.LaunchOpened.Token] = *e.LaunchOpened
	case e.InstanceGone != nil:
		if !v.w.cloud.gone(e.InstanceGone.Instance) {
			v.w.violated("journal: it says that %s is gone, and it lives", e.InstanceGone.Instance)
		}
	case e.AttemptAssigned != nil:
		v.assigned(e.AttemptAssigned)
	case e.AttemptEnded != nil:
		v.ended(e.AttemptEnded)
	}
}

func (v *witness) index(id job.AttemptID) (*plan.IndexState, *job.Task) {
	for i := range v.w.spec.Tasks {
		if task := &v.w.spec.Tasks[i]; task.Name == id.Task && id.Index < len(v.state.Tasks[i].Indexes) {
			return &v.state.Tasks[i].Indexes[id.Index], task
		}
	}
	return nil, nil
}

func (v *witness) assigned(a *plan.AttemptAssigned) {
	x, task := v.index(a.AttemptID)
	if x == nil {
		v.w.violated("journal: it assigns %v, which there is not", a.AttemptID)
		return
	}
	if x.Phase == plan.IndexSucceeded {
		v.w.violated("once: %v was assigned though its index has succeeded", a.AttemptID)
	}
	if a.Attempt <= x.Next {
		v.w.violated("fence: attempt %d of %s[%d] was assigned after attempt %d", a.Attempt, a.Task, a.Index, x.Next)
	}
	inst := v.state.Instances[a.Instance]
	switch left := task.Retries.Attempts - x.Charged; {
	case inst == nil:
		v.w.violated("journal: %v was assigned to %s, which there is not", a.AttemptID, a.Instance)
	case left <= 0:
		v.w.violated("budget: %v was assigned with no attempt left", a.AttemptID)
	case left <= task.Retries.OnDemandAttempts && inst.Offer.Capacity != providers.OnDemand:
		v.w.violated("final: %v, with %d attempts left, was assigned to %s", a.AttemptID, left, inst.Offer.Capacity)
	}
	var from checkpointing.ID
	if a.Restore != nil {
		from = checkpointing.ID{Attempt: a.Restore.Attempt, Sequence: a.Restore.Sequence}
	}
	if last := v.atEnd[fmt.Sprint(a.Task, "/", a.Index)]; from.Less(last) && len(x.Bad) == 0 && len(a.Damaged) == 0 {
		v.w.violated("checkpoint: %v goes on from %v, and %v was there when the attempt before it ended", a.AttemptID, from, last)
	}
	if a.Restore != nil && a.Restore.Attempt >= a.Attempt {
		v.w.violated("fence: %v restores what attempt %d saved", a.AttemptID, a.Restore.Attempt)
	}
}

func (v *witness) ended(a *plan.AttemptEnded) {
	x, task := v.index(a.AttemptID)
	if x == nil || len(x.Attempts) == 0 || x.Attempts[len(x.Attempts)-1].Attempt != a.Attempt {
		v.w.violated("journal: it ends %v, which does not run", a.AttemptID)
		return
	}
	if a.Class == "" || a.Charge == "" || a.Evidence.Text == "" {
		v.w.violated("verdict: %v ended as %q, charged to %q, because %q", a.AttemptID, a.Class, a.Charge, a.Evidence.Text)
	}
	name := fmt.Sprint(a.Task, "/", a.Index)
	v.atEnd[name] = v.saved[name]
	if a.Charge != job.ChargeNothing {
		v.charged[name]++
	}
	if a.Class != job.Succeeded {
		if v.reported[a.AttemptID] {
			v.w.violated("result: %v is journalled as %s, and its status says that it is committed", a.AttemptID, a.Class)
		}
		return
	}
	v.success[name]++
	if task.Execution.Output != nil && (a.Output == nil || !v.exists(a.Output.Key)) {
		v.w.violated("result: %v is journalled as succeeded, and its output is not in the bucket", a.AttemptID)
	}
	if v.success[name] > 1 {
		v.w.violated("once: %s was committed %d times", name, v.success[name])
	}
	if !v.done[fmt.Sprint(name, "/", a.Attempt)] {
		v.w.violated("journal: it says that %v succeeded, and it did not run to its end", a.AttemptID)
	}
}

// exists reports whether an object is in the bucket.
func (v *witness) exists(key string) bool {
	body, _, err := v.w.bucket.Get(v.w.ctx, key, 0, 0)
	if err != nil {
		return v.w.ctx.Err() != nil
	}
	return body.Close() == nil
}

// after checks the state that an event made.
func (v *witness) after(e plan.Event) {
	if e.AttemptEnded == nil {
		return
	}
	x, task := v.index(e.AttemptEnded.AttemptID)
	if x == nil {
		return
	}
	if n := v.charged[fmt.Sprint(task.Name, "/", e.AttemptEnded.Index)]; n != x.Charged {
		v.w.violated("budget: %d attempts of %s[%d] were charged, and it counts %d", n, task.Name, e.AttemptEnded.Index, x.Charged)
	}
	if x.Charged > task.Retries.Attempts || x.FreeHosts > 2 {
		v.w.violated("budget: %s[%d] has used %d of %d attempts, and %d free hosts", task.Name, e.AttemptEnded.Index, x.Charged, task.Retries.Attempts, x.FreeHosts)
	}
}

// wantedOf sees a desired document.
func (v *witness) wantedOf(key string, content []byte) {
	instance, _, _ := store.InstanceOf(v.w.spec.Run, key)
	desired, err := store.DecodeDesired(key, content)
	if err != nil {
		v.w.violated("desired: %s cannot be read: %v", key, err)
		return
	}
	at, before := [2]int64{desired.Epoch, desired.Sequence}, v.desired[instance]
	if at[0] < before[0] || at[0] == before[0] && at[1] <= before[1] {
		v.w.violated("lease: the desired document of %s went from epoch %d, entry %d to %d, %d", instance, before[0], before[1], at[0], at[1])
	}
	v.desired[instance] = at
	if at[1] > v.last.Seq {
		v.w.violated("journal: the desired document of %s tells of entry %d before it was written", instance, at[1])
	}
}

// toldBy sees a status document.
func (v *witness) toldBy(key string, content []byte) {
	status, err := store.DecodeStatus(key, content)
	if err != nil {
		v.w.violated("status: %s cannot be read: %v", key, err)
		return
	}
	for _, end := range status.Ended {
		if end.Committed {
			v.reported[end.AttemptID] = true
		}
	}
}

// committed sees a checkpoint's manifest, runs/<run>/checkpoints/<task>/<index>/...
func (v *witness) committed(key string) {
	parts := strings.Split(strings.TrimPrefix(key, store.RunPrefix(v.w.spec.Run)), "/")
	id, ok := checkpointing.ParseManifestName(parts[len(parts)-1])
	if !ok || len(parts) < 4 {
		v.w.violated("checkpoint: %s is no name of a manifest", key)
		return
	}
	if name := parts[1] + "/" + parts[2]; v.saved[name].Less(id) {
		v.saved[name] = id
	}
}

// launches sees a launch call that reached the cloud.
func (v *witness) launches(request providers.LaunchRequest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.away {
		return
	}
	opened, ok := v.opened[request.Token]
	switch {
	case !ok:
		v.w.violated("journal: the launch %s was made before its intent was journalled", request.Token)
	case opened.Count != request.Count || !reflect.DeepEqual(opened.Offers, request.Offers):
		v.w.violated("launch: the request of %s is not the one that was journalled", request.Token)
	case request.Tags[providers.TagRun] == "" || request.Tags[providers.TagBucket] == "" || request.Tags[providers.TagIntent] != request.Token:
		v.w.violated("launch: the request of %s has the tags %v", request.Token, request.Tags)
	}
}

// started sees a task begin, whatever any document says.
func (v *witness) started(id string, m *machine) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ran[id] {
		v.w.violated("once: attempt %s began twice", id)
	}
	v.ran[id] = true
	// What an agent starts was journalled as assigned to its machine.
	var task string
	var index, attempt int
	if _, err := fmt.Sscanf(strings.ReplaceAll(id, "/", " "), "%s %d %d", &task, &index, &attempt); err != nil {
		v.w.violated("a task began as %q", id)
		return
	}
	x, _ := v.index(job.AttemptID{Task: task, Index: index})
	if x == nil || x.Next < attempt {
		v.w.violated("lease: %s began on %s, which no journal assigned", id, m.ID)
	}
	if v.success[fmt.Sprint(task, "/", index)] > 0 {
		v.w.tell("%s begins though its index has succeeded; its end will not count", id)
	}
}

// resumed sees what a task went on from: never less than an attempt before it
// went on from.
func (v *witness) resumed(id string, epochs int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	index := id[:strings.LastIndexByte(id, '/')]
	if epochs < v.progress[index] && len(v.bad(index)) == 0 {
		v.w.violated("checkpoint: %s went on from epoch %d, and one before it from epoch %d", id, epochs, v.progress[index])
	}
	v.progress[index] = max(v.progress[index], epochs)
}

// bad are the checkpoints of an index that could not be restored.
func (v *witness) bad(index string) []string {
	for i := range v.w.spec.Tasks {
		for j := range v.state.Tasks[i].Indexes {
			if fmt.Sprint(v.w.spec.Tasks[i].Name, "/", j) == index {
				return v.state.Tasks[i].Indexes[j].Bad
			}
		}
	}
	return nil
}

// finished sees a task reach its end.
func (v *witness) finished(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done[id] = true
}

// finally looks at a run that is closed, by what lies in the bucket.
func (v *witness) finally() {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.w
	state, at, err := store.LoadRun(w.ctx, w.bucket, w.spec.Run)
	if err != nil {
		w.violated("journal: %v", err)
		return
	}
	if !state.Closed || at.Seq != v.last.Seq {
		w.violated("journal: the run is read as closed %t at entry %d of %d", state.Closed, at.Seq, v.last.Seq)
	}
	failed := 0
	for i := range state.Tasks {
		for j := range state.Tasks[i].Indexes {
			x := &state.Tasks[i].Indexes[j]
			name := fmt.Sprint(w.spec.Tasks[i].Name, "/", j)
			switch {
			case x.Phase == plan.IndexSucceeded && v.success[name] == 1:
			case x.Phase == plan.IndexSucceeded:
				w.violated("once: %s succeeded, and was committed %d times", name, v.success[name])
			case x.Reason == "":
				w.violated("verdict: %s ended as %s for no reason", name, x.Phase)
			default:
				failed++
			}
		}
	}
	if failed == 0 && state.Outcome != plan.OutcomeSucceeded {
		w.violated("the run ended as %s, and every index succeeded", state.Outcome)
	}
	v.verify()
}

// verify: every checkpoint and output that was committed is whole.
func (v *witness) verify() {
	w := v.w
	engine := checkpointing.Open(w.bucket)
	for key, err := range store.Roots(w.ctx, w.bucket) {
		if err != nil {
			w.violated("checkpoint: %v", err)
			return
		}
		result, err := engine.Verify(w.ctx, checkpointing.Ref{Key: key}, checkpointing.VerifyOptions{})
		if err = errors.Join(err, errors.Join(result.Damaged...)); err != nil {
			w.violated("checkpoint: %s is not whole: %v", key, err)
		}
	}
}
