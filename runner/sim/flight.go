package sim

import (
	"sync"
	"time"
)

// flights are writes that their caller was told had failed, and that will have
// their effect all the same: after a while, or just before or after somebody
// else comes to what they are about, which is when they do the most harm.
type flights struct {
	mu sync.Mutex
	of map[string][]*flight
}

type flight struct {
	call *call
	once sync.Once
}

func (f *flight) land() {
	f.once.Do(func() {
		w := f.call.actor.world
		if w.ctx.Err() == nil {
			w.tell("%s has its effect", f.call)
			_ = f.call.effect()
		}
	})
}

// fly has a call's effect later.
func (w *World) fly(c *call, by time.Duration) {
	w.tell("%s fails, and has its effect %s later at the latest", c, by.Round(time.Millisecond))
	f := &flight{call: c}
	w.flights.mu.Lock()
	if w.flights.of == nil {
		w.flights.of = map[string][]*flight{}
	}
	w.flights.of[c.about] = append(w.flights.of[c.about], f)
	w.flights.mu.Unlock()
	w.later(by, f.land)
}

// meet lands what is in flight to what a call is about, by chance.
func (w *World) meet(c *call, what string) {
	w.flights.mu.Lock()
	waiting := w.flights.of[c.about]
	if len(waiting) == 0 || !c.happens(0.4, what) {
		w.flights.mu.Unlock()
		return
	}
	delete(w.flights.of, c.about)
	w.flights.mu.Unlock()
	for _, f := range waiting {
		f.land()
	}
}
