package main

import (
	"cmp"
	"context"

	"github.com/spotrelay/spotrelay/providers"
)

// Evidence says why instances ended, one for each id in the order of ids.
func (p *provider) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	c, err := parse("evidence", fleet)
	if err != nil {
		return nil, err
	}
	unlock, err := p.lock(ctx, "evidence", c)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := p.records("evidence", c)
	if err != nil {
		return nil, err
	}
	evidence := make([]providers.Evidence, len(ids))
	for i, id := range ids {
		evidence[i] = providers.Evidence{ID: id, Cause: providers.EndUnknown}
		for _, r := range all {
			if r.ID == id {
				evidence[i].Cause, evidence[i].State = cmp.Or(r.Cause, providers.EndRunning), r.State
			}
		}
	}
	return evidence, nil
}
