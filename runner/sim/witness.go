package sim

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"time"

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
	opened  map[string]intent
	desired map[string][2]int64 // epoch and sequence, by instance
	beats   map[string]beat     // of the status that lies there, by instance

	// What truly happened, by index (task/index) or attempt.
	ran      map[job.AttemptID]bool
	done     map[job.AttemptID]bool
	progress map[string]int              // epochs that an index went on from, the most
	success  map[string]int              // attempts that were journalled as succeeded
	saved    map[string]checkpointing.ID // the newest checkpoint that was committed
	atEnd    map[string]checkpointing.ID // the same when the last attempt ended
	charged  map[string]int              // attempts that were journalled as charged
	reported map[job.AttemptID]report    // ends that a status in the bucket told of
}

// intent is one to rent, and when it was journalled.
type intent struct {
	plan.LaunchOpened
	at time.Time
}

// beat is where a status stands among those of one life of an agent.
type beat struct {
	boot string
	beat int64
}

// report is an attempt's end as a status told of it first.
type report struct {
	at        time.Time
	committed bool
}

func newWitness(w *World) *witness {
	return &witness{
		w: w, state: plan.New(w.spec), opened: map[string]intent{},
		desired: map[string][2]int64{}, beats: map[string]beat{},
		ran: map[job.AttemptID]bool{}, done: map[job.AttemptID]bool{}, progress: map[string]int{}, success: map[string]int{},
		saved: map[string]checkpointing.ID{}, atEnd: map[string]checkpointing.ID{},
		charged: map[string]int{}, reported: map[job.AttemptID]report{},
	}
}

// wrote sees a write to the bucket, when it has its effect.
func (v *witness) wrote(by *actor, key string, content []byte) {
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
	by.eyes.took(entry)
	for _, event := range entry.Events {
		v.w.tell("entry %d by %s: %s", entry.Seq, by.name, brief{event})
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
type brief struct{ event plan.Event }

func (b brief) String() string {
	data, err := json.Marshal(b.event)
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
		v.opened[e.LaunchOpened.Token] = intent{*e.LaunchOpened, time.Now()}
	case e.InstanceGone != nil:
		if _, gone := v.w.cloud.endOf(e.InstanceGone.Instance); !gone {
			v.w.violated("journal: it says that %s is gone, and it lives", e.InstanceGone.Instance)
		}
	case e.AttemptAssigned != nil:
		v.assigned(e.AttemptAssigned)
	case e.AttemptWithdrawn != nil:
		v.withdrawn(e.AttemptWithdrawn.AttemptID)
	case e.AttemptEnded != nil:
		v.ended(e.AttemptEnded)
	}
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
	if n := v.charged[nameOf(e.AttemptEnded.AttemptID)]; n != x.Charged {
		v.w.violated("budget: %d attempts of %s[%d] were charged, and it counts %d", n, task.Name, e.AttemptEnded.Index, x.Charged)
	}
	if x.Charged > task.Retries.Attempts || x.FreeHosts > 2 {
		v.w.violated("budget: %s[%d] has used %d of %d attempts, and %d free hosts", task.Name, e.AttemptEnded.Index, x.Charged, task.Retries.Attempts, x.FreeHosts)
	}
}

// launches sees a launch call that reached the cloud, made a while ago.
func (v *witness) launches(request providers.LaunchRequest, made time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.away {
		return
	}
	opened, ok := v.opened[request.Token]
	switch {
	case !ok:
		v.w.violated("journal: the launch %s was made before its intent was journalled", request.Token)
	case made.Sub(opened.at) >= tokenWindow:
		v.w.violated("launch: token %s is used %s after its intent was journalled, when the cloud may have forgotten it: it may rent twice", request.Token, made.Sub(opened.at))
	case opened.Count != request.Count || !reflect.DeepEqual(opened.Offers, request.Offers):
		v.w.violated("launch: the request of %s is not the one that was journalled", request.Token)
	case request.Tags[providers.TagRun] == "" || request.Tags[providers.TagBucket] == "" || request.Tags[providers.TagIntent] != request.Token:
		v.w.violated("launch: the request of %s has the tags %v", request.Token, request.Tags)
	}
}

// terminates sees a controller end instances.
func (v *witness) terminates(by *actor, ids []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.away || by.kind != controllerKind {
		return
	}
	for _, id := range ids {
		if inst := v.state.Instances[id]; inst != nil && inst.Ending == "" {
			v.w.violated("journal: %s ends %s, and no entry says so", by.name, id)
		}
	}
}
