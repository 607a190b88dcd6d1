package narrate

import (
	"fmt"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// cache tells what the cache spared, and what is waited for.
func (t *Teller) cache(event plan.Event) Line {
	switch {
	case event.IndexCached != nil:
		e := event.IndexCached
		return Line{Text: fmt.Sprintf("%s cached, computed by run %s", t.Name(e.Task, e.Index), e.From.Run), Weight: Good}
	case event.IndexAwaits != nil && event.IndexAwaits.By != nil:
		e := event.IndexAwaits
		return Line{Text: t.Name(e.Task, e.Index) + " " + Waits(t.State.Spec, e.By)}
	case event.IndexAwaits != nil:
		e := event.IndexAwaits
		return Line{Text: t.Name(e.Task, e.Index) + " waits no more: it is computed here"}
	case event.CacheMissed != nil:
		e := event.CacheMissed
		return Line{Text: t.Name(e.Task, e.Index) + " is computed: " + e.Reason, Weight: Warning}
	case event.CacheKept != nil:
		for _, kept := range event.CacheKept.Kept {
			if kept.Fault != "" {
				return Line{Text: fmt.Sprintf("the result of %s is not kept in the cache: %s", t.Name(kept.Task, kept.Index), kept.Fault), Weight: Warning}
			}
		}
	}
	return Line{}
}

// Waits says for whom an index waits.
func Waits(spec *job.Spec, by *job.CacheClaim) string {
	return fmt.Sprintf("waits for run %s, whose %s computes the same", by.Run, Name(spec, by.Task, by.Index))
}
