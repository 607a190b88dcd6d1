package main

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"github.com/spotrelay/spotrelay/providers"
)

// Terminate ends instances, those that are gone among them.
func (p *provider) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	c, err := parse("terminate", fleet)
	if err != nil {
		return err
	}
	unlock, err := p.lock(ctx, "terminate", c)
	if err != nil {
		return err
	}
	defer unlock()
	all, err := p.records("terminate", c)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r record) bool { return !slices.Contains(ids, r.ID) })
	for _, r := range all { // all are ours, or nothing is ended
		if !r.ours() {
			return failed(providers.CodeNotOurs, "terminate", "%s does not bear the tag %s", r.ID, providers.TagBucket)
		}
	}
	for _, r := range all {
		if r.Cause != "" {
			continue // what ended by itself keeps its cause
		}
		if r.PID > 0 {
			if err := syscall.Kill(-r.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return failed(providers.CodeDenied, "terminate", "%s: %v", r.ID, err)
			}
		}
		r.Cause, r.State = providers.EndByUs, providers.StateTerminated
		if err := r.write(c); err != nil {
			return failed(providers.CodeUnavailable, "terminate", "%v", err)
		}
	}
	return nil
}
