package sim

import (
	"strconv"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// nameOf is an attempt's index.
func nameOf(id job.AttemptID) string { return id.Task + "/" + strconv.Itoa(id.Index) }

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
	if last := v.atEnd[nameOf(a.AttemptID)]; from.Less(last) && len(x.Bad) == 0 && len(a.Damaged) == 0 {
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
	name := nameOf(a.AttemptID)
	v.atEnd[name] = v.saved[name]
	if a.Charge != job.ChargeNothing {
		v.charged[name]++
	}
	if a.Class != job.Succeeded {
		v.notHeard(a.AttemptID, x.Attempts[len(x.Attempts)-1].Instance, string(a.Class), a.Evidence.End != nil)
		return
	}
	v.success[name]++
	if task.Execution.Output != nil && (a.Output == nil || !v.exists(a.Output.Key)) {
		v.w.violated("result: %v is journalled as succeeded, and its output is not in the bucket", a.AttemptID)
	}
	if v.success[name] > 1 {
		v.w.violated("once: %s was committed %d times", name, v.success[name])
	}
	if !v.done[a.AttemptID] {
		v.w.violated("journal: it says that %v succeeded, and it did not run to its end", a.AttemptID)
	}
}

// withdrawn sees an assignment taken back.
func (v *witness) withdrawn(id job.AttemptID) {
	x, _ := v.index(id)
	if x == nil || len(x.Attempts) == 0 || x.Attempts[len(x.Attempts)-1].Attempt != id.Attempt {
		v.w.violated("journal: it takes %v back, which is not assigned", id)
		return
	}
	if v.reported[id].committed {
		v.notHeard(id, x.Attempts[len(x.Attempts)-1].Instance, "withdrawn", false)
	}
}

// notHeard sees an attempt end as something else than succeeded. What its
// agent's status told of it before the instance ended must have been heard;
// what came later is nobody's word any more.
func (v *witness) notHeard(id job.AttemptID, instance, as string, heard bool) {
	told, ok := v.reported[id]
	if !ok {
		return
	}
	if at, gone := v.w.cloud.endOf(instance); gone && told.at.After(at) {
		return
	}
	switch {
	case told.committed:
		v.w.violated("result: %v is journalled as %s, and its status said that it is committed", id, as)
	case !heard:
		v.w.violated("verdict: %v is journalled as %s without its agent's report, which was there", id, as)
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
	for _, assigned := range desired.Attempts {
		if x, _ := v.index(assigned.AttemptID); x == nil || x.Next < assigned.Attempt {
			v.w.violated("journal: %s is to run %v, which no entry assigned", instance, assigned.AttemptID)
		}
	}
}

// toldBy sees a status document.
func (v *witness) toldBy(key string, content []byte) {
	status, err := store.DecodeStatus(key, content)
	if err != nil {
		v.w.violated("status: %s cannot be read: %v", key, err)
		return
	}
	if before := v.beats[status.Instance]; before.boot == status.Boot && status.Beat < before.beat {
		v.w.violated("status: that of %s went back from beat %d to %d", status.Instance, before.beat, status.Beat)
	}
	v.beats[status.Instance] = beat{status.Boot, status.Beat}
	for _, end := range status.Ended {
		told, ok := v.reported[end.AttemptID]
		if !ok {
			told.at = time.Now()
		}
		told.committed = told.committed || end.Committed
		v.reported[end.AttemptID] = told
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
