package plan

import (
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Action is something to do. Exactly one of the pointers is set.
type Action struct {
	Launch    *ActionLaunch
	Terminate *ActionTerminate
	Desired   *ActionDesired
	Offers    *ActionOffers
	End       *ActionEnd
	Find      *ActionFind
	List      *ActionList
	Prune     *ActionPrune

	CacheLookup  *ActionCacheLookup
	CacheStore   *ActionCacheStore
	CacheRelease *ActionCacheRelease
}

// Key is the same for actions of which only the newest matters.
func (a Action) Key() string {
	switch {
	case a.Launch != nil:
		return "launch/" + a.Launch.Token
	case a.Terminate != nil:
		return "terminate/" + a.Terminate.Fleet + "/" + a.Terminate.Instance
	case a.Desired != nil:
		return "desired/" + a.Desired.Instance
	case a.Offers != nil:
		return "offers/" + a.Offers.Fleet + "/" + a.Offers.Group
	case a.End != nil:
		return "end/" + a.End.Instance
	case a.Find != nil:
		return "find/" + a.Find.Task + "/" + a.Find.Series()
	case a.List != nil:
		return "list/" + a.List.Fleet
	case a.Prune != nil:
		return "prune/" + a.Prune.Task
	case a.CacheLookup != nil:
		return cacheActionKey(a.CacheLookup.Task, a.CacheLookup.Index)
	case a.CacheStore != nil:
		return cacheActionKey(a.CacheStore.From.Task, a.CacheStore.From.Index)
	case a.CacheRelease != nil:
		return cacheActionKey(a.CacheRelease.Task, a.CacheRelease.Index)
	}
	return ""
}

// cacheActionKey is one for all that is done about an index's cache entry, so
// that it is done in order.
func cacheActionKey(task string, index int) string { return "cache/" + task + "/" + indexText(index) }

// ActionLaunch makes the launch call of an open intent, once. Answer:
// LaunchAnswer, always.
type ActionLaunch struct {
	LaunchOpened
	// Opened is the run's time of the intent, to hold against the token window.
	Opened Time
}

// ActionTerminate ends an instance. Calls for one fleet may be joined. The
// answer is its absence, or state terminated, in a later listing.
type ActionTerminate struct {
	Fleet    string
	Instance string
}

// ActionDesired writes an instance's desired document; the controller adds
// version, run, epoch and sequence. Repeated until written or superseded.
type ActionDesired struct {
	Instance     string
	Attempts     []job.Assignment
	Acknowledged []job.AttemptID
	Return       bool
	Leave        bool
}

// ActionOffers asks a fleet for the offers that serve a group. Answer:
// OffersAnswer, always.
type ActionOffers struct {
	Fleet string
	Group string
	Need  providers.Need
}

// ActionEnd gathers the evidence of an instance's end: the provider's, then
// the last status. With Fence it is done before an instance that seems lost is
// terminated. Answer: EndAnswer, when both could be read.
type ActionEnd struct {
	Fleet    string
	Instance string
	Fence    bool // echoed by the answer
	// Whether it is gone is all that matters, not why.
	Whether bool
}

// ActionFind looks for the newest whole checkpoint of an index, in each of its
// series, passing over those in Exclude. Answer: FoundCheckpoint.
type ActionFind struct {
	Task    string
	Index   int
	Names   []string // of the series beside the one without a name
	Exclude []string // keys that could not be restored
	// Nodes of a gang, of which all must have it; 0: it is none.
	Nodes int
	// Attempt that ended last, echoed by the answer, so that a late answer to
	// an earlier question is known as such.
	Attempt int
}

// Series is the index as text.
func (a ActionFind) Series() string { return indexText(a.Index) }

// ActionPrune removes a task's checkpoints at the run's end, as the job file
// says, when no instance is left that could use or write one. It may be
// repeated. Answer: PruneAnswer.
type ActionPrune struct {
	Task string
	// AtEnd by the series' name; one that is not there is kept as it is.
	AtEnd map[string]job.AtEnd
	// Unfinished are the indexes that did not succeed: of these the newest
	// stays in any case.
	Unfinished []int
	// Gang: a task's nodes have checkpoints each; of an unfinished index all
	// stay, since the newest that all nodes have may be an older one of some.
	Gang bool
	// Bad are the keys of checkpoints that could not be restored: they do not
	// count as the newest.
	Bad []string
}

// ActionList asks for a listing of a fleet soon, beside the periodical ones.
type ActionList struct {
	Fleet string
}
