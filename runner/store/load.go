package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// Position is how far a journal has been folded.
type Position struct {
	Seq   int64 // of the last entry; 0: none
	Epoch int64 // of the last entry
	Now   plan.Time
	// Taken holds the keys of requests that were taken up and may still lie
	// in the bucket.
	Taken map[string]bool
	// Gaps are the times that the run's own time does not count.
	Gaps []Gap
	// Snapshot is the newest that is known; 0: none.
	Snapshot int64
}

// Gap is a time between two tenures, or before the first entry of one.
type Gap struct {
	At     plan.Time     `json:"at"` // when, by the run's time
	Length time.Duration `json:"length"`
}

// Age is how long ago by any clock a moment of the run's time was at most, at
// now: gaps count, which the run's time leaves out.
func (p *Position) Age(at, now plan.Time) time.Duration {
	age := now - at
	for _, gap := range p.Gaps {
		if gap.At >= at {
			age += gap.Length
		}
	}
	return age
}

// Fold applies an entry, which must be the next, to a state and the position.
func (p *Position) Fold(state *plan.State, entry Entry) {
	for _, event := range entry.Events {
		state.Apply(event)
	}
	p.Pass(entry)
}

// Pass moves the position past an entry whose events the state has already.
func (p *Position) Pass(entry Entry) {
	p.Seq, p.Epoch, p.Now = entry.Seq, entry.Epoch, max(p.Now, entry.Now)
	if entry.Gap > 0 {
		p.Gaps = append(p.Gaps, Gap{At: entry.Now, Length: entry.Gap})
	}
	for _, key := range entry.Requests {
		if p.Taken == nil {
			p.Taken = map[string]bool{}
		}
		p.Taken[key] = true
	}
}

// LoadRun folds a run's newest snapshot and the entries after it. A snapshot
// that cannot be read is passed over, since the journal holds everything.
// Errors: bucket.ErrNotFound when there is no such run, ErrVersion, ErrCorrupt
// when the journal has a gap or an entry cannot be read. May be repeated.
func LoadRun(ctx context.Context, b bucket.Bucket, run string) (*plan.State, Position, error) {
	spec, err := ReadSpec(ctx, b, run)
	if err != nil {
		return nil, Position{}, err
	}
	state, at, err := loadSnapshot(ctx, b, spec)
	if err != nil {
		return nil, Position{}, err
	}
	_, err = catchUp(ctx, b, run, state, &at)
	return state, at, err
}

// catchUp folds the entries after the position, and is how many there were.
func catchUp(ctx context.Context, b bucket.Bucket, run string, state *plan.State, at *Position) (int, error) {
	folded := 0
	for entry, err := range ReadJournal(ctx, b, run, at.Seq) {
		if err != nil {
			return folded, err
		}
		if entry.Epoch < at.Epoch {
			return folded, corrupt(JournalKey(run, entry.Seq), "it is of epoch %d, after one of epoch %d", entry.Epoch, at.Epoch)
		}
		at.Fold(state, entry)
		folded++
	}
	return folded, nil
}

// CatchUp folds what was journalled since the position into a state, and
// reports whether there was anything. Errors as of LoadRun; the state is then
// as far as the position says. May be repeated.
func CatchUp(ctx context.Context, b bucket.Bucket, run string, state *plan.State, at *Position) (bool, error) {
	folded, err := catchUp(ctx, b, run, state, at)
	return folded > 0, err
}

// Follow keeps a run's state current for a viewer: show is called with it at
// first and after each change, on the caller's goroutine, until it returns
// false or an error, or ctx ends. What the bucket answers as unavailable is
// tried again. Errors as of LoadRun, and show's.
func Follow(ctx context.Context, b bucket.Bucket, run string, poll time.Duration, show func(*plan.State, Position) (more bool, err error)) error {
	state, at, err := LoadRun(ctx, b, run)
	if err != nil {
		return err
	}
	for changed := true; ; {
		if changed {
			if more, err := show(state, at); err != nil || !more {
				return err
			}
		}
		if err := wait(ctx, poll); err != nil {
			return err
		}
		changed, err = CatchUp(ctx, b, run, state, &at)
		if err != nil && !errors.Is(err, bucket.ErrUnavailable) {
			return err
		}
	}
}

// TakenSnapshot is a snapshot as it stands in the bucket.
type TakenSnapshot struct {
	seq  int64
	data []byte
}

// TakeSnapshot folds a state into a snapshot, which shares nothing with it and
// is compressed as it is made. It does no I/O.
func TakeSnapshot(state *plan.State, at Position) (TakenSnapshot, error) {
	head, err := json.Marshal(Snapshot{
		Version: job.SpecVersion, Seq: at.Seq, Epoch: at.Epoch, Now: at.Now, Gaps: slices.Clone(at.Gaps),
		Taken: slices.Sorted(maps.Keys(at.Taken)), Written: time.Now().UTC(),
	})
	before, after, found := bytes.Cut(head, []byte(`"state":null`)) // the field: in a text its quotes would be escaped
	if err == nil && !found {
		err = errors.New("there is no place for the state")
	}
	if err != nil {
		return TakenSnapshot{}, fmt.Errorf("encoding a snapshot: %w", err)
	}
	var taken compressor
	fmt.Fprintf(&taken, `%s"state":`, before)
	if err := state.WriteSnapshot(&taken); err != nil {
		return TakenSnapshot{}, fmt.Errorf("encoding a snapshot: %w", err)
	}
	fmt.Fprintf(&taken, "%s\n", after)
	return TakenSnapshot{at.Seq, taken.bytes()}, nil
}

// WriteSnapshot keeps a snapshot, to shorten reading. One that is there already
// is left. Errors are the bucket's; none of them harms the run. May be
// repeated.
func WriteSnapshot(ctx context.Context, b bucket.Bucket, run string, snapshot TakenSnapshot) error {
	_, err := writeObject(ctx, b, SnapshotKey(run, snapshot.seq), snapshot.data, bucket.IfAbsent())
	if errors.Is(err, bucket.ErrConflict) {
		return nil
	}
	return err
}

// loadSnapshot is the state of the newest snapshot that can be read, or a new
// one.
func loadSnapshot(ctx context.Context, b bucket.Bucket, spec *job.Spec) (*plan.State, Position, error) {
	var keys []string
	for object, err := range b.List(ctx, SnapshotPrefix(spec.Run), "") {
		if err != nil {
			return nil, Position{}, err
		}
		keys = append(keys, object.Key)
	}
	for _, key := range slices.Backward(keys) {
		state, at, err := readSnapshot(ctx, b, spec, key)
		if err == nil {
			return state, at, nil
		}
		if !isCorruptOrUnknown(err) && !errors.Is(err, bucket.ErrNotFound) {
			return nil, Position{}, err
		}
	}
	return plan.New(spec), Position{}, nil
}

func readSnapshot(ctx context.Context, b bucket.Bucket, spec *job.Spec, key string) (*plan.State, Position, error) {
	data, _, err := readObject(ctx, b, key)
	if err != nil {
		return nil, Position{}, err
	}
	snapshot, err := DecodeSnapshot(key, data)
	if err != nil {
		return nil, Position{}, err
	}
	name := strings.TrimPrefix(key, SnapshotPrefix(spec.Run))
	if seq, err := strconv.ParseInt(name, 10, 64); err != nil || seq != snapshot.Seq {
		return nil, Position{}, corrupt(key, "it says that it is of entry %d", snapshot.Seq)
	}
	state, err := plan.Load(spec, snapshot.State)
	if err != nil {
		return nil, Position{}, corrupt(key, "%w", err)
	}
	at := Position{Seq: snapshot.Seq, Epoch: snapshot.Epoch, Now: snapshot.Now, Gaps: snapshot.Gaps, Snapshot: snapshot.Seq}
	for _, taken := range snapshot.Taken {
		if at.Taken == nil {
			at.Taken = map[string]bool{}
		}
		at.Taken[taken] = true
	}
	return state, at, nil
}
