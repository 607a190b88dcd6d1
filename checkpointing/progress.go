package checkpointing

import "sync"

// reporter calls a Progress function from one goroutine, with the newest
// state, however many goroutines make progress.
type reporter struct {
	call    func(Progress)
	mu      sync.Mutex
	state   Progress
	changed chan struct{}
	done    chan struct{}
}

func newReporter(call func(Progress)) *reporter {
	r := &reporter{call: call}
	if call == nil {
		return r
	}
	r.changed = make(chan struct{}, 1)
	r.done = make(chan struct{})
	go r.run()
	return r
}

func (r *reporter) run() {
	defer close(r.done)
	for range r.changed {
		r.call(r.snapshot())
	}
}

func (r *reporter) snapshot() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// update changes the state and wakes the caller of the function.
func (r *reporter) update(change func(*Progress)) {
	if r.call == nil {
		return
	}
	r.mu.Lock()
	change(&r.state)
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default: // it will see this state too
	}
}

// shared counts bytes that need not be sent.
func (r *reporter) shared(n int64) {
	r.update(func(p *Progress) { p.BytesShared += n })
}

func (r *reporter) stage(stage Stage) {
	r.update(func(p *Progress) { p.Stage = stage })
}

// stop waits until the last state was reported. No update may come after.
func (r *reporter) stop() {
	if r.call == nil {
		return
	}
	close(r.changed)
	<-r.done
}
