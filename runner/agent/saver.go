//go:build unix

package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/agent/control"
	"github.com/spotrelay/spotrelay/runner/agent/window"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// saver saves one of an attempt's checkpoint directories: one save at a time,
// numbers that rise.
type saver struct {
	t     *attempt
	spec  job.Checkpoint
	order int // among the attempt's
	dir   string
	log   *slog.Logger

	turn chan struct{} // held while saving
	// background ends when the attempt's command has ended without a last save.
	background context.Context
	cancel     context.CancelFunc

	mu     sync.Mutex
	closed bool
	// finished: the last save was made or given up.
	finished bool
	next     int64              // sequence of the next save; of a gang's node its round
	rounds   int64              // of a gang, that were before this incarnation
	base     *checkpointing.Ref // newest known checkpoint, this attempt's or the restored one
	print    footprint          // of the directory when base was saved
	pinned   string             // key of what was restored: known to be whole
	ours     *job.CheckpointRef // newest committed by this attempt
	count    int                // committed by this attempt
	busy     bool
	failed   string    // the last save's error, "" when it was committed
	at       time.Time // of the last commit, or of the start
	sent     int64     // by the last save
	extra    int64     // sent ahead since
	outlook

	pruning   sync.Mutex  // held while old checkpoints are removed
	pruneNext atomic.Bool // one waits for that
}

// saved is the outcome of a save that did not fail.
type saved struct {
	ref       job.CheckpointRef
	unchanged bool
}

func newSaver(t *attempt, spec job.Checkpoint, order int) *saver {
	s := &saver{t: t, spec: spec, order: order, dir: t.dirOf(spec), log: t.log, turn: make(chan struct{}, 1), next: 1, at: time.Now()}
	if spec.Name != "" {
		s.log = s.log.With("checkpoint", spec.Name)
	}
	s.background, s.cancel = context.WithCancel(t.agent.life)
	return s
}

// close ends a save that is under way and allows no further one. It returns
// when the directory is left alone.
func (s *saver) close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	if !closed {
		s.turn <- struct{}{} // for good
	}
}

// startFrom says what was restored: unchanged data is shared with it.
func (s *saver) startFrom(ref job.CheckpointRef) {
	base := checkpointRef(ref)
	print := look(s.dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base, s.print, s.pinned, s.at = &base, print, ref.Key, time.Now()
}

// newest is what the next save shares unchanged data with.
func (s *saver) newest() *checkpointing.Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base
}

// committed is the newest checkpoint of this attempt and how many there were.
func (s *saver) committed() (*job.CheckpointRef, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ours, s.count
}

func (s *saver) saving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy
}

func (s *saver) failure() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// acquire waits for the turn to save.
func (s *saver) acquire(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *saver) release() { <-s.turn }

// save commits the directory as it is, unless nothing has changed since the
// last checkpoint.
func (s *saver) save(ctx context.Context) (saved, error) {
	if err := s.acquire(ctx); err != nil {
		return saved{}, err
	}
	defer s.release()
	defer s.t.agent.courier.hold()()
	if s.t.transparent != nil {
		if err := s.t.transparent.refresh(ctx); err != nil {
			return saved{}, err
		}
	}
	print := look(s.dir)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return saved{}, errAttemptEnded
	}
	// A gang goes on from the same round of all nodes, so each has one.
	unchanged := s.ours != nil && s.print.same(print) && s.t.gang == nil
	if unchanged {
		ref := *s.ours
		s.mu.Unlock()
		return saved{ref: ref, unchanged: true}, nil
	}
	id := checkpointing.ID{Attempt: s.t.id.Attempt, Sequence: s.number()}
	s.busy = true
	base := s.base
	s.mu.Unlock()
	s.t.agent.changed()

	result, err := s.send(ctx, id, base)
	s.mu.Lock()
	s.busy = false
	s.failed = ""
	if err != nil {
		s.failed = err.Error()
	} else {
		ref := result.Ref
		s.base, s.print = &ref, print
		s.at, s.sent, s.extra = time.Now(), result.BytesSent, 0
		s.count++
		s.ours = store.CheckpointRef(ref)
	}
	ours := s.ours
	s.mu.Unlock()
	s.t.agent.changed()
	if err != nil {
		return saved{}, err
	}
	s.t.agent.bandwidth.saved(result)
	s.look(s.background)
	if !s.t.hurried() {
		go s.prune()
	}
	return saved{ref: *ours}, nil
}

// send lets the engine save, and tells the watchers how far it is.
func (s *saver) send(ctx context.Context, id checkpointing.ID, base *checkpointing.Ref) (checkpointing.SaveResult, error) {
	hub := s.t.agent.hub
	event := control.Event{Event: control.SaveStarted, Task: s.t.id.Task, Index: s.t.id.Index, Attempt: id.Attempt, Sequence: id.Sequence}
	hub.emit(event)
	result, err := s.t.agent.engine.Save(ctx, s.dir, checkpointing.SaveOptions{
		Key:            s.prefix() + checkpointing.ManifestName(id),
		ID:             id,
		Parent:         base,
		Base:           base,
		BytesPerSecond: s.t.agent.uploadLimit,
		Urgent:         s.t.hurried(),
		Progress: func(p checkpointing.Progress) {
			if p.BytesDone > 0 && p.Stage != checkpointing.StageCommitted {
				event.Event, event.BytesDone, event.BytesTotal = control.SaveProgress, p.BytesDone, p.BytesTotal
				hub.emit(event)
			}
		},
	})
	if err != nil {
		event.Event, event.Error = control.SaveFailed, err.Error()
		s.log.Warn("a checkpoint was not saved", "sequence", id.Sequence, "error", err)
	} else {
		event.Event, event.BytesDone, event.BytesTotal = control.SaveCommitted, result.BytesSent, result.BytesSent
		s.log.Info("saved a checkpoint", "sequence", id.Sequence, "bytes_sent", result.BytesSent, "elapsed", result.Elapsed)
	}
	hub.emit(event)
	return result, err
}

// prefix is that of the series' keys.
func (s *saver) prefix() string {
	node := 0
	if s.t.gang != nil {
		node = s.t.gang.now().Node
	}
	return store.SeriesPrefix(s.t.agent.config.Run, s.t.id.Task, s.t.id.Index, node, s.spec.Name)
}

// hurried reports whether there is a deadline for the last save.
func (t *attempt) hurried() bool {
	_, deadline := t.told()
	return !deadline.IsZero()
}

// last saves after the command has ended. Whatever may pass is tried again
// until ctx ends.
func (s *saver) last(ctx context.Context) error {
	s.toRound(job.LastRound)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 3*time.Second) {
		result, err := s.save(ctx)
		if err == nil {
			if !result.unchanged {
				s.t.output.note("saved checkpoint %s%d-%d (%s)", s.label(), result.ref.Attempt, result.ref.Sequence, window.Bytes(result.ref.Bytes))
			}
			return nil
		}
		if ctx.Err() != nil || !mayPass(err) && !errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeUnsettled}) &&
			!errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeConflict}) {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// label names the series before a checkpoint's number, where it has a name.
func (s *saver) label() string {
	if s.spec.Name == "" {
		return ""
	}
	return s.spec.Name + " "
}

// restoreNewest puts the newest checkpoint back in place.
func (s *saver) restoreNewest(ctx context.Context) (checkpointing.Ref, error) {
	if err := s.acquire(ctx); err != nil {
		return checkpointing.Ref{}, err
	}
	defer s.release()
	defer s.t.agent.courier.hold()()
	s.mu.Lock()
	ref, closed := s.base, s.closed
	s.mu.Unlock()
	if closed {
		return checkpointing.Ref{}, errAttemptEnded
	}
	if ref == nil {
		return checkpointing.Ref{}, errNoCheckpoint
	}
	if err := s.t.fetch(ctx, "checkpoint "+ref.Key, *ref, s.dir); err != nil {
		return checkpointing.Ref{}, err
	}
	print := look(s.dir)
	s.mu.Lock()
	s.print = print
	s.mu.Unlock()
	return *ref, nil
}

var (
	errNoCheckpoint = errors.New("there is no checkpoint yet")
	errAttemptEnded = errors.New("the attempt has ended")
)
