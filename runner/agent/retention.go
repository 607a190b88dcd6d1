//go:build unix

package agent

import (
	"slices"

	"github.com/spotrelay/spotrelay/checkpointing"
)

// prune removes the checkpoints of the series that the job file does not keep.
// It stands back as soon as a later attempt has saved: then this one has been
// given up, and what is old to it may be what the later one goes on from. What
// this attempt restored stays while it runs, since it is known to be whole, and
// so does the base of the next save.
func (s *saver) prune() {
	keep := s.spec.Keep
	if keep == nil || !s.pruneNext.CompareAndSwap(false, true) {
		return // one that has not begun yet does it
	}
	s.pruning.Lock()
	defer s.pruning.Unlock()
	s.pruneNext.Store(false)
	opts := checkpointing.PruneOptions{
		Prefix: s.prefix(), Keep: checkpointing.Retention{Last: keep.Last, Every: keep.Every.D()}, DryRun: true,
	}
	s.mu.Lock()
	opts.Pinned = []string{s.pinned}
	if s.base != nil {
		opts.Pinned = append(opts.Pinned, s.base.Key)
	}
	s.mu.Unlock()
	engine := s.t.agent.engine
	kept, err := s.keptForGang(s.background)
	if err != nil {
		s.log.Warn("old checkpoints were not removed; they will be after the next save", "error", err)
		return
	}
	opts.Pinned = append(opts.Pinned, kept...)
	would, err := engine.Prune(s.background, opts)
	if err == nil && len(would.Removed) > 0 && !s.overtaken(would) {
		opts.DryRun = false
		_, err = engine.Prune(s.background, opts)
	}
	if err != nil && s.background.Err() == nil {
		s.log.Warn("old checkpoints were not removed; they will be after the next save", "error", err)
	}
}

// overtaken reports whether this attempt is no longer the one that counts.
func (s *saver) overtaken(r checkpointing.PruneResult) bool {
	if stops, _ := s.t.told(); len(stops) > 0 {
		return true
	}
	return slices.ContainsFunc(slices.Concat(r.Kept, r.Removed), func(ref checkpointing.Ref) bool {
		return ref.ID.Attempt > s.t.id.Attempt
	})
}
