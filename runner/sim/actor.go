package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// actor is a process of the simulation: a controller or an agent. Everything it
// does to the world goes through call, where the faults are.
type actor struct {
	name  string
	kind  actorKind
	world *World
	kill  context.CancelFunc // ends its goroutines

	mu     sync.Mutex
	calls  map[string]int // by what is called, so that chance does not hang on interleaving
	all    int
	dead   bool
	paused time.Time // until then nothing of it goes on
}

type actorKind string

const (
	controllerKind actorKind = "controller"
	agentKind      actorKind = "agent"
)

// errDead is what a process sees that is no more: nobody reads it.
var errDead = errors.New("this process is dead")

// errLostNet is what the network does.
var errLostNet = errors.New("connection reset by peer")

func newActor(w *World, kind actorKind, name string, kill context.CancelFunc) *actor {
	return &actor{name: name, kind: kind, world: w, kill: kill, calls: map[string]int{}}
}

// service is what a call goes to, with the rates of its faults.
type service struct {
	name                              string
	refused, lost, slow, late, outage float64
	slowest                           time.Duration
}

func (w *World) bucketService() service {
	f := w.faults()
	return service{"bucket", f.BucketRefused, f.BucketLostAnswer, f.BucketSlow, f.BucketLate, f.Outages, 20 * time.Second}
}

func (w *World) cloudService() service {
	f := w.faults()
	return service{"cloud", f.Refused, f.LostAnswer, f.SlowCall, f.LateCall, 0, time.Minute}
}

// call does something to the world on behalf of an actor. An effect may come
// without its answer, an answer without its effect, and an effect long after
// the one who wanted it has given up. lost makes the error of a call that
// failed. writes: the effect may come late.
func (a *actor) call(ctx context.Context, s service, op, about string, writes bool, effect func() error, lost func(error) error) error {
	if err := ctx.Err(); err != nil {
		return lost(err)
	}
	name := fmt.Sprint(a.name, " ", s.name, " ", op, " ", about)
	a.mu.Lock()
	a.calls[name]++
	a.all++
	nth := a.calls[name]
	a.mu.Unlock()
	if err := a.alive(); err != nil {
		return lost(err)
	}
	w := a.world
	chance := func(rate float64, what string) bool { return w.seed.happens(rate, what, name, nth) }

	if a.kind == controllerKind && chance(w.faults().Pause, "pause") {
		a.pause(w.seed.span(0, 3*leaseTime, "pause time", name, nth))
	}
	crashes := a.kind == controllerKind && chance(w.faults().Crash, "crash")
	if crashes && w.seed.happens(0.5, "crash before", name, nth) {
		return lost(a.die("crashes before %s", name))
	}
	a.stall() // whatever was on its way goes on after a pause, also late
	err := a.deliver(ctx, s, name, nth, writes, effect, lost, chance)
	if crashes {
		return lost(a.die("crashes after %s", name))
	}
	return err
}

func (a *actor) deliver(ctx context.Context, s service, name string, nth int, writes bool, effect func() error, lost func(error) error, chance func(float64, string) bool) error {
	w := a.world
	slot := time.Since(w.began) / (10 * time.Minute)
	switch {
	case w.seed.happens(s.outage/6, "outage", s.name, slot):
		if !w.wait(ctx, w.seed.span(time.Second, 10*time.Second, "outage wait", name, nth)) {
			return lost(ctx.Err())
		}
		return lost(errLostNet)
	case chance(s.refused, "refused"):
		if writes {
			w.tell("%s fails before its effect", name)
		}
		return lost(errLostNet)
	case chance(s.lost, "lost answer"):
		if writes {
			w.tell("%s fails after its effect", name)
		}
		_ = effect()
		return lost(errLostNet)
	case writes && chance(s.late, "late"):
		after := w.seed.span(0, time.Minute, "late by", name, nth)
		w.tell("%s fails, and has its effect %s later", name, after.Round(time.Millisecond))
		w.later(after, func() { _ = effect() })
		return lost(errLostNet)
	case chance(s.slow, "slow"):
		return a.slowly(ctx, w.seed.span(0, s.slowest, "slow by", name, nth), effect, lost)
	}
	return effect()
}

// slowly has the effect after a while, though who wanted it gave up meanwhile.
func (a *actor) slowly(ctx context.Context, by time.Duration, effect func() error, lost func(error) error) error {
	done := make(chan error, 1)
	a.world.later(by, func() { done <- effect() })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return lost(ctx.Err())
	}
}

func (a *actor) alive() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dead {
		return errDead
	}
	return nil
}

// die ends a process at this very moment.
func (a *actor) die(format string, args ...any) error {
	a.mu.Lock()
	dead := a.dead
	a.dead = true
	a.mu.Unlock()
	if !dead {
		a.world.tell("%s %s", a.name, fmt.Sprintf(format, args...))
		a.kill()
	}
	return errDead
}

// pause stops a process as SIGSTOP does.
func (a *actor) pause(by time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if until := time.Now().Add(by); until.After(a.paused) {
		a.paused = until
		a.world.tell("%s is paused for %s", a.name, by.Round(time.Millisecond))
	}
}

// stall waits while the process is paused, whatever its contexts say.
func (a *actor) stall() {
	for {
		a.mu.Lock()
		rest := time.Until(a.paused)
		a.mu.Unlock()
		if rest <= 0 {
			return
		}
		<-time.After(rest)
	}
}
