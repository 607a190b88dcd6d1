//go:build unix

package agent

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// checkpointDir is the directory of the checkpoint without a name, "" for none.
func (t *attempt) checkpointDir() string {
	if c := t.job.Execution.Checkpoint; c != nil {
		return t.dirOf(*c)
	}
	return ""
}

// dirOf is the directory of a checkpoint.
func (t *attempt) dirOf(c job.Checkpoint) string {
	if t.transparent != nil {
		return filepath.Join(t.dir, "checkpoint")
	}
	return filepath.Join(t.work, c.Path)
}

// committed is the newest checkpoint of this attempt, of each of its series,
// and how many it has committed.
func (t *attempt) committed() (newest *job.CheckpointRef, count int) {
	for _, s := range t.savers {
		ref, n := s.committed()
		count += n
		if ref != nil {
			newest = newest.With(s.spec.Name, *ref)
		}
	}
	return newest, count
}

func (t *attempt) saving() bool {
	for _, s := range t.savers {
		if s.saving() {
			return true
		}
	}
	return false
}

// saveError is the last error of a save, "" when all were committed.
func (t *attempt) saveError() string {
	for _, s := range t.savers {
		if failed := s.failure(); failed != "" {
			return s.label() + failed
		}
	}
	return ""
}

// saveAll commits every directory as it is.
func (t *attempt) saveAll(ctx context.Context) (saved, error) {
	all := saved{unchanged: true}
	var newest *job.CheckpointRef
	for _, s := range t.savers {
		one, err := s.save(ctx)
		if err != nil {
			return saved{}, err
		}
		all.unchanged = all.unchanged && one.unchanged
		newest = newest.With(s.spec.Name, one.ref)
	}
	all.ref = *newest
	return all, nil
}

// restoreAll puts the newest checkpoint back in place, of each series that has
// one.
func (t *attempt) restoreAll(ctx context.Context) (*job.CheckpointRef, error) {
	var restored *job.CheckpointRef
	for _, s := range t.savers {
		ref, err := s.restoreNewest(ctx)
		switch {
		case errors.Is(err, errNoCheckpoint):
		case err != nil:
			return nil, err
		default:
			restored = restored.With(s.spec.Name, *store.CheckpointRef(ref))
		}
	}
	if restored == nil {
		return nil, errNoCheckpoint
	}
	return restored, nil
}

// awaitSaves waits until no save is under way.
func (t *attempt) awaitSaves(ctx context.Context) error {
	for _, s := range t.savers {
		if err := s.acquire(ctx); err != nil {
			return err
		}
		s.release()
	}
	return nil
}

// tend sees to the checkpoints while the command runs: it saves at their
// intervals, copies ahead, and looks what a save would take. Stop ends that; a
// save that is under way then goes on to its end: the last save waits for it
// and has only the rest to send.
func (t *attempt) tend() (stop func()) {
	ctx, cancel := context.WithCancel(t.agent.life)
	var stops []func()
	for _, s := range t.savers {
		if s.spec.Interval > 0 {
			go s.saveNowAndThen(ctx)
		}
		if !s.spec.NoAhead && t.transparent == nil {
			stops = append(stops, t.agent.courier.add(s))
		}
		go s.lookNowAndThen(ctx)
	}
	return sync.OnceFunc(func() {
		cancel()
		for _, stop := range stops {
			stop()
		}
	})
}

// saveNowAndThen saves in the background at the checkpoint's interval.
func (s *saver) saveNowAndThen(ctx context.Context) {
	ticker, begun := time.NewTicker(s.spec.Interval.D()), time.Now()
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.toRound(int64((time.Since(begun) + s.spec.Interval.D()/2) / s.spec.Interval.D()))
			s.saveInBackground()
		case <-ctx.Done():
			return
		}
	}
}

// saveInBackground saves while the task goes on. When files don't come to rest
// the checkpoint before stays the newest one.
func (s *saver) saveInBackground() {
	if _, err := s.save(s.background); err != nil && s.background.Err() == nil {
		s.t.output.note("a background save failed, the checkpoint %sbefore stays: %v", s.label(), err)
	}
}

// saveInBackground saves all directories while the task goes on.
func (t *attempt) saveInBackground() {
	for _, s := range t.savers {
		s.saveInBackground()
	}
}

// closeSavers ends the saves that are under way and allows no further one.
func (t *attempt) closeSavers() {
	for _, s := range t.savers {
		s.close()
	}
}

// mayCopy reports whether more may be sent ahead before the next save.
func (s *saver) mayCopy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && s.extra <= max(aheadWaste*s.now.Bytes, aheadWasteMin)
}

// copied takes in what was sent ahead.
func (s *saver) copied(r checkpointing.AheadResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra += r.BytesSent
}
