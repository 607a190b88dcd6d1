package plan

import (
	"maps"
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// worldCache is a cache that several worlds may share.
type worldCache struct {
	cache      map[string]CacheHit
	claimed    map[string]string             // key -> index of this run that has it
	open       map[string]*ActionCacheLookup // that have no last answer yet
	lookedUp   []string                      // keys
	heldBy     *job.CacheClaim               // all that is claimed is another's
	damaged    bool                          // every entry is
	loseStores bool                          // what is to be kept is not
	stores     int
	overwrites bool
}

func (w *world) cacheLookup(a *ActionCacheLookup) {
	w.lookedUp = append(w.lookedUp, a.Key)
	if w.open == nil {
		w.open, w.claimed = map[string]*ActionCacheLookup{}, map[string]string{}
	}
	w.open[Action{CacheLookup: a}.Key()] = a
}

// lookAgain answers the lookups that are open, now or another time.
func (w *world) lookAgain() {
	for _, name := range slices.Sorted(maps.Keys(w.open)) {
		if w.dice.one(3, "cache is slow") {
			continue
		}
		a := w.open[name]
		answer := CacheAnswer{Task: a.Task, Index: a.Index, Key: a.Key}
		hit, found := w.cache[a.Key]
		switch {
		case found && !w.damaged:
			answer.Hit = &hit
		case a.Claim && w.heldBy != nil:
			answer.Held = w.heldBy
		case w.damaged || w.dice.one(10, "cache fails"):
			answer.Missed = &job.CacheMiss{Key: a.Key, Reason: "the entry is damaged", Damaged: w.damaged}
			fallthrough
		default:
			if a.Claim {
				w.claimed[a.Key] = name
			}
		}
		if answer.Held == nil {
			delete(w.open, name)
		}
		w.tell(func(f *Facts) { f.Cache = append(f.Cache, answer) })
	}
}

func (w *world) cacheStore(a *ActionCacheStore) {
	w.stores++
	w.overwrites = w.overwrites || a.Overwrite
	if w.loseStores {
		return
	}
	if w.cache == nil {
		w.cache = map[string]CacheHit{}
	}
	if _, there := w.cache[a.Key]; !there || a.Overwrite {
		w.cache[a.Key] = CacheHit{From: a.From, Output: a.Output, Result: a.Result}
	}
	if a.Claimed {
		delete(w.claimed, a.Key)
	}
	stored := CacheStored{Task: a.From.Task, Index: a.From.Index}
	if w.dice.one(8, "cache refuses") {
		stored.Fault = "no permission"
	}
	w.tell(func(f *Facts) { f.Stored = append(f.Stored, stored) })
}

// computed puts what is asked for into the cache, as another run would.
func (w *world) computed() {
	w.cache = map[string]CacheHit{}
	for _, key := range w.lookedUp {
		w.cache[key] = CacheHit{From: job.CachedFrom{Key: key, Run: "01kother", Attempt: 1}, Output: &job.Manifest{Content: key}}
	}
}
