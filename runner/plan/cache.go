package plan

import (
	"cmp"
	"slices"

	"github.com/spotrelay/spotrelay/runner/job"
)

// IndexCached says that an index succeeded without an attempt: somebody had
// computed the same. The output is the run's own copy of its manifest.
type IndexCached struct {
	Task   string            `json:"task"`
	Index  int               `json:"index"`
	From   job.CachedFrom    `json:"from"`
	Output *job.Manifest     `json:"output,omitempty"`
	Result map[string]string `json:"result,omitempty"`
}

// IndexAwaits says that an index waits for another one, of whatever run, which
// computes the same; nil: it waits no more, and is computed here.
type IndexAwaits struct {
	Task  string          `json:"task"`
	Index int             `json:"index"`
	By    *job.CacheClaim `json:"by,omitempty"`
}

// CacheMissed says that an index is computed though there may be an entry of
// its key. That there is none is no event.
type CacheMissed struct {
	Task  string `json:"task"`
	Index int    `json:"index"`
	job.CacheMiss
}

// CacheKept says which results are in the cache by now.
type CacheKept struct {
	Kept []KeptResult `json:"kept"`
}

// KeptResult is a result that is in the cache, or, with a Fault, never will be.
type KeptResult struct {
	Task  string `json:"task"`
	Index int    `json:"index"`
	Fault string `json:"fault,omitempty"`
}

// ActionCacheLookup looks for the entry of a key. With Claim, where there is
// none, the key is claimed for this index, or whoever has claimed it is waited
// for. Superseded by ActionCacheRelease. Answer: CacheAnswer, in the end with a
// hit or a miss; before that any number that say for whom it waits.
type ActionCacheLookup struct {
	Task  string
	Index int
	Key   string
	Claim bool
}

// ActionCacheStore keeps a result under its key, and gives the claim up. It may
// be repeated. Answer: CacheStored.
type ActionCacheStore struct {
	Key    string
	Parts  []job.CachePart
	From   job.CachedFrom
	Output *job.Manifest
	Result map[string]string
	// Elapsed is how long the attempt took.
	Elapsed job.Duration
	// Overwrite whatever entry is there; otherwise it stays.
	Overwrite bool
	Claimed   bool
}

// ActionCacheRelease gives up the claim of an index that was not computed, and
// ends its lookup. It may be repeated.
type ActionCacheRelease struct {
	Task  string
	Index int
	Key   string
}

// CacheAnswer answers an ActionCacheLookup. Without Hit and Held it is a miss.
type CacheAnswer struct {
	Task  string
	Index int
	Key   string
	Hit   *CacheHit
	// Held by an index that computes the same; another answer follows.
	Held *job.CacheClaim
	// Missed says why, where there may be an entry all the same.
	Missed *job.CacheMiss
}

// CacheHit is what an entry holds.
type CacheHit struct {
	From   job.CachedFrom
	Output *job.Manifest // the run's own copy
	Result map[string]string
}

// CacheStored answers an ActionCacheStore.
type CacheStored struct {
	Task  string
	Index int
	// Fault is why it could not be kept, where trying again does not help.
	Fault string
}

// look is the question whether a result is there already.
type look struct {
	key      string // once it was asked
	answered bool   // with a miss
}

// looks reports whether a task's results are looked for.
func looks(cache *job.Cache) bool { return cache != nil && !cache.Skip && !cache.Overwrite }

// claims reports whether one that computes keeps the others waiting.
func claims(cache *job.Cache) bool { return looks(cache) && cache.Serialize }

// wantLook reports whether an index must wait to hear whether its result is
// there already, and notes the question. Once it has had an attempt it does not
// ask again.
func (s *State) wantLook(r ref) bool {
	if !looks(s.Spec.Tasks[r.task].Cache) || s.at(r).Next > 0 {
		return false
	}
	if l := s.work.looks[r]; l != nil {
		return !l.answered
	}
	s.work.looks[r] = &look{}
	s.work.newLooks = append(s.work.newLooks, r)
	return true
}

func (s *State) applyCache(e Event) bool {
	switch {
	case e.IndexCached != nil:
		s.indexCached(e.IndexCached)
	case e.IndexAwaits != nil:
		s.indexAwaits(e.IndexAwaits)
	case e.CacheMissed != nil:
		if r, ok := s.locate(e.CacheMissed.Task, e.CacheMissed.Index); ok {
			missed := e.CacheMissed.CacheMiss
			s.at(r).Missed = &missed
		}
	case e.CacheKept != nil:
		for _, kept := range e.CacheKept.Kept {
			if r, ok := s.locate(kept.Task, kept.Index); ok {
				s.at(r).Kept = true
				delete(s.work.keeping, r)
			}
		}
	default:
		return false
	}
	return true
}

func (s *State) indexCached(e *IndexCached) {
	r, ok := s.locate(e.Task, e.Index)
	if !ok || s.at(r).Phase.ended() {
		return
	}
	x, from := s.at(r), e.From
	x.Output, x.Result, x.Cached, x.Waits, x.NotBefore = e.Output, e.Result, &from, nil, 0
	s.setPhase(r, IndexSucceeded)
}

func (s *State) indexAwaits(e *IndexAwaits) {
	r, ok := s.locate(e.Task, e.Index)
	if !ok || s.at(r).Phase != IndexReady && s.at(r).Phase != IndexWaiting {
		return
	}
	s.at(r).Waits = e.By
	if e.By != nil {
		s.setPhase(r, IndexWaiting)
	} else {
		s.setPhase(r, IndexReady)
	}
}

// CacheParts is all that the result of an index depends on; false when its task
// has no cache, or not all that it depends on has ended.
func (s *State) CacheParts(task string, index int) ([]job.CachePart, bool) {
	r, ok := s.locate(task, index)
	if !ok || s.Spec.Tasks[r.task].Cache == nil || s.at(r).Phase == IndexBlocked || s.work.tasks[r.task].upstream > 0 {
		return nil, false
	}
	return (&tick{State: s}).cacheParts(r), true
}

// cacheParts is what the result of a ready index depends on.
func (t *tick) cacheParts(r ref) []job.CachePart {
	task := &t.Spec.Tasks[r.task]
	a := t.assignment(job.AttemptID{Task: task.Name, Index: int(r.index)}, &AttemptRecord{}, r)
	return job.CacheParts(task, &a, t.Spec.Inputs)
}

// askCache emits the questions for results: new ones, or, at the first tick of
// a tenure, all that are open. A run that is held or paused keeps nobody
// waiting: it gives its claims up, and asks again when it goes on.
func (t *tick) askCache(all bool) {
	if all {
		t.work.newLooks = t.work.newLooks[:0]
		for r, l := range t.work.looks {
			if !l.answered {
				t.work.newLooks = append(t.work.newLooks, r)
			}
		}
	}
	if t.stands() {
		t.yield()
		return
	}
	for _, r := range inOrder(t.work.newLooks) {
		l := t.work.looks[r]
		if l == nil || l.answered {
			continue
		}
		task := &t.Spec.Tasks[r.task]
		l.key = job.CacheKey(t.cacheParts(r))
		t.act(Action{CacheLookup: &ActionCacheLookup{
			Task: task.Name, Index: int(r.index), Key: l.key, Claim: claims(task.Cache)}})
	}
	t.work.newLooks = nil
}

// yield gives up the claims of what no instance has. What had no attempt yet
// is looked for again when the run goes on.
func (t *tick) yield() {
	var given []ref
	for r := range t.work.claimed {
		if t.at(r).current() == nil {
			given = append(given, r)
		}
	}
	for _, r := range inOrder(given) {
		t.act(t.releaseClaim(r))
		if t.work.looks[r] != nil {
			t.unqueue(r)
			t.work.looks[r] = &look{}
			t.work.newLooks = append(t.work.newLooks, r)
		}
	}
}

func inOrder(refs []ref) []ref {
	slices.SortFunc(refs, func(a, b ref) int {
		return cmp.Or(cmp.Compare(a.task, b.task), cmp.Compare(a.index, b.index))
	})
	return slices.Compact(refs)
}

// cacheAnswer takes in whether a result is there. An answer to an earlier
// question is passed over.
func (t *tick) cacheAnswer(a CacheAnswer) {
	r, ok := t.locate(a.Task, a.Index)
	if !ok {
		return
	}
	l, x := t.work.looks[r], t.at(r)
	switch {
	case l == nil || l.answered || l.key != a.Key:
	case a.Hit != nil:
		t.emit(Event{IndexCached: &IndexCached{Task: a.Task, Index: a.Index, From: a.Hit.From, Output: a.Hit.Output, Result: a.Hit.Result}})
	case a.Held != nil:
		if x.Waits == nil || *x.Waits != *a.Held {
			t.emit(Event{IndexAwaits: &IndexAwaits{Task: a.Task, Index: a.Index, By: a.Held}})
		}
	default:
		l.answered = true
		if claims(t.Spec.Tasks[r.task].Cache) {
			t.work.claimed[r] = struct{}{}
		}
		if a.Missed != nil {
			t.emit(Event{CacheMissed: &CacheMissed{Task: a.Task, Index: a.Index, CacheMiss: *a.Missed}})
		}
		if x.Waits != nil {
			t.emit(Event{IndexAwaits: &IndexAwaits{Task: a.Task, Index: a.Index}})
		} else {
			t.enqueue(r)
		}
	}
}

// keep asks for the result of an index that succeeded by an attempt to be kept.
func (t *tick) keep(r ref) {
	task, x := &t.Spec.Tasks[r.task], t.at(r)
	if task.Cache == nil || x.Phase != IndexSucceeded || x.Cached != nil || x.Kept || len(x.Attempts) == 0 {
		return
	}
	last := &x.Attempts[len(x.Attempts)-1]
	parts := t.cacheParts(r)
	key := job.CacheKey(parts)
	store := &ActionCacheStore{
		Key: key, Parts: parts, Output: x.Output, Result: x.Result,
		From:      job.CachedFrom{Key: key, Run: t.Spec.Run, Task: task.Name, Index: int(r.index), Attempt: last.Attempt},
		Overwrite: task.Cache.Overwrite || x.Missed != nil && x.Missed.Damaged && x.Missed.Key == key,
		Claimed:   claims(task.Cache),
	}
	if last.Evidence != nil && last.Evidence.End != nil {
		store.Elapsed = last.Evidence.End.Elapsed
	}
	t.work.keeping[r] = struct{}{}
	delete(t.work.claimed, r)
	t.act(Action{CacheStore: store})
}

// kept notes what is in the cache by now.
func (t *tick) kept(answers []CacheStored) {
	event := &CacheKept{}
	for _, a := range answers {
		if r, ok := t.locate(a.Task, a.Index); ok && !t.at(r).Kept {
			event.Kept = append(event.Kept, KeptResult(a))
		}
	}
	if len(event.Kept) > 0 {
		t.emit(Event{CacheKept: event})
	}
}

// unclaim gives up the claim of an index that ends without a result.
func (t *tick) unclaim(r ref) {
	if x := t.at(r); claims(t.Spec.Tasks[r.task].Cache) && x.Phase != IndexBlocked {
		t.act(t.releaseClaim(r))
	}
}

func (t *tick) releaseClaim(r ref) Action {
	delete(t.work.claimed, r)
	return Action{CacheRelease: &ActionCacheRelease{
		Task: t.Spec.Tasks[r.task].Name, Index: int(r.index), Key: job.CacheKey(t.cacheParts(r))}}
}

// keepAgain repeats, at the first tick of a tenure, what may have been left
// undone by the one before: results that are not known to be kept, and claims
// of what failed.
func (t *tick) keepAgain() {
	for i := range t.Tasks {
		cache := t.Spec.Tasks[i].Cache
		if cache == nil {
			continue
		}
		for j := range t.Tasks[i].Indexes {
			r := ref{int32(i), int32(j)}
			switch x := t.at(r); {
			case x.Phase == IndexSucceeded:
				t.keep(r)
			case x.Phase.ended() && claims(cache) && t.work.tasks[i].upstream == 0:
				t.act(t.releaseClaim(r))
			case x.Next > 0 && claims(cache):
				t.work.claimed[r] = struct{}{}
			}
		}
	}
}
