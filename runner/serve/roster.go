package serve

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	// missedBeats is after how many a controller counts as dead. Taking it for
	// dead too early does no harm: its leases still stand.
	missedBeats = 2.5
	// litterAfter is how many beats a dead controller's document is left.
	litterAfter = 1200
)

// sighting is what is known of a controller.
type sighting struct {
	id      string
	version string
	moved   time.Time // when its document was last seen to change, by our clock
	member  store.Member
}

func (s sighting) hasRoom() bool { return s.member.Most == 0 || s.member.Runs < s.member.Most }

// roster knows the controllers of a bucket by the beat of their documents. It
// compares no clocks: a document that changes is of one that lives.
type roster struct {
	b    bucket.Bucket
	self string
	beat time.Duration
	log  *slog.Logger

	mu   sync.Mutex
	seen map[string]sighting
	time time.Time // the store's, when our own document was last written
}

func newRoster(b bucket.Bucket, self string, beat time.Duration, log *slog.Logger) *roster {
	return &roster{b: b, self: self, beat: beat, log: log, seen: map[string]sighting{}}
}

// look lists the documents and reads those that changed. One at a time.
func (r *roster) look(ctx context.Context) error {
	objects, err := store.ListMembers(ctx, r.b)
	if err != nil {
		return err
	}
	changed, litter := r.compare(objects, time.Now())
	for _, id := range litter {
		if err := store.RemoveMember(ctx, r.b, id); err != nil {
			return err
		}
	}
	for _, id := range changed {
		member, err := store.ReadMember(ctx, r.b, id)
		switch {
		case errors.Is(err, bucket.ErrNotFound):
			continue // gone since the listing
		case errors.Is(err, store.ErrVersion), errors.Is(err, store.ErrCorrupt):
			r.log.Warn("a controller's document cannot be read", "controller", id, "error", err)
		case err != nil:
			return err
		}
		r.saw(sighting{id: id, version: objects[id].Version, moved: time.Now(), member: member})
	}
	return nil
}

// compare forgets who is gone, and tells whose documents changed and which are
// left of controllers that died long ago.
func (r *roster) compare(objects map[string]bucket.Object, now time.Time) (changed, litter []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.time = objects[r.self].Modified
	for id, s := range r.seen {
		switch _, there := objects[id]; {
		case !there:
			delete(r.seen, id)
		case now.Sub(s.moved) >= litterAfter*r.beatOf(s):
			litter = append(litter, id)
		}
	}
	for id, object := range objects {
		if id != r.self && r.seen[id].version != object.Version {
			changed = append(changed, id)
		}
	}
	return changed, litter
}

func (r *roster) saw(s sighting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[s.id].id == "" {
		r.log.Info("another controller serves this bucket", "controller", s.id, "name", s.member.Name)
	}
	r.seen[s.id] = s
}

// age is how long ago something was written, by the store's clock alone.
func (r *roster) age(written time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.time.Sub(written)
}

func (r *roster) beatOf(s sighting) time.Duration {
	if d := s.member.Beat.D(); d > 0 {
		return d
	}
	return r.beat
}

// living is the other controllers whose documents move, ordered by id.
func (r *roster) living(now time.Time) []sighting {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []sighting
	for _, s := range r.seen {
		if r.lives(s, now) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b sighting) int { return strings.Compare(a.id, b.id) })
	return found
}

func (r *roster) lives(s sighting, now time.Time) bool {
	return now.Sub(s.moved).Seconds() < missedBeats*r.beatOf(s).Seconds()
}

// knows reports whether a controller lives, by its id.
func (r *roster) knows(id string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.seen[id]
	return ok && r.lives(s, now)
}
