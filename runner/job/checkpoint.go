package job

import (
	"maps"
	"slices"
)

// Checkpoint says what is saved of a task.
type Checkpoint struct {
	// Name of the series; "" for Execution.Checkpoint, which a task with one
	// directory has alone.
	Name string `json:"name,omitempty"`
	// Path of the directory, below the working directory, that is saved; ""
	// with CheckpointCRIU.
	Path string `json:"path"`
	// Method is "" for the task's own files, or CheckpointCRIU.
	Method   string   `json:"method,omitempty"`
	Interval Duration `json:"interval"` // between background saves; 0: only on notice and on request
	// Keep says which checkpoints stay while the run lives; nil keeps all.
	Keep *Retention `json:"keep,omitempty"`
	// AtEnd is what becomes of them when the run is over; "" is AtEndKeep.
	AtEnd AtEnd `json:"at_end,omitempty"`
	// NoAhead: between saves nothing is sent.
	NoAhead bool `json:"no_ahead,omitempty"`
}

// CheckpointCRIU is the method for tasks that write no checkpoint: their
// processes are dumped and restored by CRIU.
const CheckpointCRIU = "criu"

// Retention says which checkpoints of a series are kept: the newest Last, and
// the newest of each period of Every, 0 for none of those.
type Retention struct {
	Last  int      `json:"last"`
	Every Duration `json:"every,omitempty"`
}

// AtEnd is what becomes of a series when its run is over.
type AtEnd string

// What may become of it.
const (
	AtEndKeepLast AtEnd = "keep-last" // the newest one of each index stays
	AtEndKeep     AtEnd = "keep"      // all that are there stay
	// AtEndRemove removes those of indexes that succeeded; of the others the
	// newest stays, since it is all there is of their work.
	AtEndRemove AtEnd = "remove"
)

// Checkpoints are all series of a task, in the order of the job file, which is
// the order in which they are saved when time is short.
func (e *Execution) Checkpoints() []Checkpoint {
	if e.Checkpoint == nil {
		return nil
	}
	return append([]Checkpoint{*e.Checkpoint}, e.Further...)
}

// CheckpointRef points at a committed checkpoint, and with Others at those of
// the task's named series.
type CheckpointRef struct {
	Key      string `json:"key"`               // "" where only Others are there
	Attempt  int    `json:"attempt"`           // that saved it
	Sequence int64  `json:"sequence"`          // of the save, rising within an attempt
	Digest   string `json:"digest"`            // of the manifest
	Content  string `json:"content,omitempty"` // digest of what was saved: equal content, equal digest; "" for nothing
	Bytes    int64  `json:"bytes"`
	// Others are those of the named series, by name; they have none themselves.
	Others map[string]CheckpointRef `json:"others,omitempty"`
}

// Of is the checkpoint of one series, without the others; false when there is
// none.
func (c *CheckpointRef) Of(name string) (CheckpointRef, bool) {
	if c == nil {
		return CheckpointRef{}, false
	}
	own := *c
	if name != "" {
		own = c.Others[name]
	}
	own.Others = nil
	return own, own.Key != ""
}

// With is c with another checkpoint of one series. c stays as it is.
func (c *CheckpointRef) With(name string, ref CheckpointRef) *CheckpointRef {
	var changed CheckpointRef
	if c != nil {
		changed = *c
	}
	others := maps.Clone(changed.Others)
	ref.Others = nil
	if name == "" {
		changed = ref
	} else {
		if others == nil {
			others = map[string]CheckpointRef{}
		}
		others[name] = ref
	}
	changed.Others = others
	return &changed
}

// Series are the names of the series that it points at, sorted.
func (c *CheckpointRef) Series() []string {
	if c == nil {
		return nil
	}
	names := slices.Sorted(maps.Keys(c.Others))
	if c.Key != "" {
		names = append([]string{""}, names...)
	}
	return names
}

// Keys are the manifests that it points at.
func (c *CheckpointRef) Keys() []string {
	var keys []string
	for _, name := range c.Series() {
		ref, _ := c.Of(name)
		keys = append(keys, ref.Key)
	}
	return keys
}

// Newest takes of each series the newer of two checkpoints: the higher
// attempt's, then the higher sequence. Either may be nil.
func Newest(a, b *CheckpointRef) *CheckpointRef {
	if a == nil {
		return b
	}
	for _, name := range b.Series() {
		theirs, _ := b.Of(name)
		ours, ok := a.Of(name)
		if !ok || theirs.Attempt > ours.Attempt || theirs.Attempt == ours.Attempt && theirs.Sequence > ours.Sequence {
			a = a.With(name, theirs)
		}
	}
	return a
}
