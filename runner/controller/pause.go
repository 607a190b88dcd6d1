package controller

import (
	"errors"

	"github.com/spotrelay/spotrelay/runner/store"
)

// ErrPaused: the run is paused and nothing of it is left to control. It goes on
// with the next controller after a request to resume it.
var ErrPaused = errors.New("the run is paused")

// leavePaused takes the mark of a run away that is paused, so that nobody takes
// it up in vain, and reports whether it may be left: whoever resumes it asks
// first and marks it then, so a request that came before the mark was gone is
// seen here, and any other one finds the mark gone and sets it.
func (t *tenure) leavePaused() (left bool, err error) {
	ctx := t.held.ctx
	if err := store.UnmarkLive(ctx, t.b, t.runID); err != nil {
		return false, err
	}
	requests, _, err := store.ListRequests(ctx, t.b, t.runID)
	if err != nil {
		return false, err
	}
	for _, request := range requests {
		if _, taken := t.watch.taken.Load(request.Key); !taken {
			return false, store.MarkLive(ctx, t.b, t.runID)
		}
	}
	t.log.Info("leaves the run, which is paused")
	return true, ErrPaused
}
