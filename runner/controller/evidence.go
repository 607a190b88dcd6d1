package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	evidenceBatch = 100
	// rereads is how often the provider is asked again when it knows nothing
	// of an end, which for a while may mean: not yet.
	rereads = 3
)

// evidenceDesk asks a fleet's provider for evidence; what is wanted while a
// call is under way is asked for together in the next one.
type evidenceDesk struct {
	fleet *fleet

	mu      sync.Mutex
	waiting []evidenceWish
	busy    bool
}

type evidenceWish struct {
	id     string
	answer chan<- evidenceAnswer
}

type evidenceAnswer struct {
	evidence providers.Evidence
	err      error
}

// of is the evidence of an instance's end. When the provider knows nothing,
// it is asked again so many times, then that is the answer.
func (d *evidenceDesk) of(ctx context.Context, id string, again int) (providers.Evidence, error) {
	pause := min(max(d.fleet.pace(), retryFirst), 5*time.Second)
	for try := 0; ; try++ {
		evidence, err := d.ask(ctx, id)
		if providers.CodeOf(err) == providers.CodeNotFound {
			evidence, err = providers.Evidence{ID: id, Cause: providers.EndUnknown}, nil
		}
		if err != nil || evidence.Cause != providers.EndUnknown || try >= again {
			return evidence, err
		}
		if err := sleep(ctx, pause); err != nil {
			return evidence, err
		}
	}
}

func (d *evidenceDesk) ask(ctx context.Context, id string) (providers.Evidence, error) {
	answer := make(chan evidenceAnswer, 1)
	d.mu.Lock()
	d.waiting = append(d.waiting, evidenceWish{id, answer})
	if !d.busy {
		d.busy = true
		go d.work(ctx)
	}
	d.mu.Unlock()
	select {
	case a := <-answer:
		return a.evidence, a.err
	case <-ctx.Done():
		return providers.Evidence{}, ctx.Err()
	}
}

// work answers until nobody waits. Its context is the applier's, as of all who
// ask.
func (d *evidenceDesk) work(ctx context.Context) {
	for {
		d.mu.Lock()
		n := min(len(d.waiting), evidenceBatch)
		wishes := d.waiting[:n:n]
		d.waiting = d.waiting[n:]
		d.busy = n > 0
		d.mu.Unlock()
		if n == 0 {
			return
		}
		d.answer(ctx, wishes)
	}
}

func (d *evidenceDesk) answer(ctx context.Context, wishes []evidenceWish) {
	ids := make([]string, len(wishes))
	for i, wish := range wishes {
		ids[i] = wish.id
	}
	found, err := d.call(ctx, ids)
	if len(wishes) > 1 && oneOf(err) {
		for i := range wishes {
			d.answer(ctx, wishes[i:i+1])
		}
		return
	}
	if err == nil && len(found) != len(ids) {
		err = &providers.Error{Code: providers.CodeUnavailable, Op: "evidence", Message: fmt.Sprintf("asked for %d instances, it told of %d", len(ids), len(found))}
	}
	for i, wish := range wishes {
		a := evidenceAnswer{err: err}
		if err == nil {
			a.evidence = found[i]
			if a.evidence.Cause == "" {
				a.evidence.Cause = providers.EndUnknown
			}
		}
		wish.answer <- a
	}
}

func (d *evidenceDesk) call(ctx context.Context, ids []string) ([]providers.Evidence, error) {
	p, _, err := d.fleet.provider(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return p.Evidence(ctx, d.fleet.is(), ids)
}
