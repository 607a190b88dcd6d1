package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// actor is a process of the simulation: a controller or an agent. Everything it
// does to the world goes through do, where the faults are.
type actor struct {
	name  string
	kind  actorKind
	world *World
	kill  context.CancelFunc // ends its goroutines
	hash  uint64             // of its name

	mu     sync.Mutex
	calls  map[uint64]int // by what is called, so that chance does not hang on interleaving
	dead   bool
	paused time.Time // until then nothing of it goes on
	asleep bool      // meanwhile its clock stands still, too

	eyes eyes // of the witness
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
	return &actor{name: name, kind: kind, world: w, kill: kill, hash: w.seed.hash(name), calls: map[uint64]int{}}
}

// service is what a call goes to, with the rates of its faults.
type service struct {
	name                              string
	refused, lost, slow, late, outage float64
	slowest, latest                   time.Duration
}

func (f *Faults) bucketService() service {
	return service{"bucket", f.BucketRefused, f.BucketLostAnswer, f.BucketSlow, f.BucketLate, f.Outages, 20 * time.Second, time.Hour}
}

func (f *Faults) cloudService() service {
	return service{"cloud", f.Refused, f.LostAnswer, f.SlowCall, f.LateCall, 0, time.Minute, 5 * time.Minute}
}

// call is one call of an actor to a service.
type call struct {
	service
	actor     *actor
	op, about string
	kind      string            // as Faults.Focus has it
	writes    bool              // the effect may come late
	meets     bool              // and meets others to the same
	effect    func() error      // on the world
	lost      func(error) error // makes the error of a call that failed

	nth  int
	hash uint64
}

// String is the call in the history.
func (c *call) String() string {
	return fmt.Sprintf("%s %s %s %s (%d)", c.actor.name, c.service.name, c.op, c.about, c.nth)
}

// happens reports whether something of a probability happens to the call.
func (c *call) happens(probability float64, what string) bool {
	return probability > 0 && part(hashText(c.hash, what)) < probability
}

func (c *call) span(least, most time.Duration, what string) time.Duration {
	return least + time.Duration(part(hashText(c.hash, what))*float64(most-least))
}

// have has the effect, among what is in flight to the same.
func (c *call) have() error {
	if !c.meets {
		return c.effect()
	}
	c.actor.world.meet(c, "meets before")
	err := c.effect()
	c.actor.world.meet(c, "meets after")
	return err
}

// drawn is a rate, greater for the calls that faults are drawn to today.
func (c *call) drawn(f *Faults, rate float64) float64 {
	const stronger, most, weaker = 10, 0.6, 0.5
	switch {
	case f.Focus == "":
		return rate
	case f.Focus == c.kind:
		return min(rate*stronger, max(most, rate))
	}
	return rate * weaker
}

// weight makes up for how rare the calls are by which a controller does
// something, among those by which it looks and keeps its lease.
func (c *call) weight() float64 {
	const rents, does, looks = 24, 8, 0.4
	if c.kind == focusLaunch {
		return rents
	}
	if c.kind == "" || c.kind == focusLease || c.kind == focusStatus || !c.writes {
		return looks
	}
	return does
}

// do does something to the world on behalf of an actor. An effect may come
// without its answer, an answer without its effect, and an effect long after
// the one who wanted it has given up.
func (a *actor) do(ctx context.Context, c call) error {
	if err := ctx.Err(); err != nil {
		return c.lost(err)
	}
	if a.gone() {
		return c.lost(errDead)
	}
	c.actor = a
	c.hash = hashText(hashText(hashText(a.hash, c.service.name), c.op), c.about)
	a.mu.Lock()
	a.calls[c.hash]++
	c.nth = a.calls[c.hash]
	a.mu.Unlock()
	c.hash = hashNumber(c.hash, uint64(c.nth))
	f := a.world.faults()
	crashes := false
	if a.kind == controllerKind {
		a.mayPause(&c, f)
		crashes = c.happens(c.drawn(f, f.Crash*c.weight()), "crash")
		if crashes && c.happens(0.5, "crash before") {
			return c.lost(a.die("crashes before %s", &c))
		}
	}
	a.stall() // whatever was on its way goes on after a pause, also late
	err := a.deliver(ctx, &c, f)
	if crashes {
		return c.lost(a.die("crashes after %s", &c))
	}
	return err
}

func (a *actor) mayPause(c *call, f *Faults) {
	const longestSleep = 4 * time.Minute // less than a launch token leaves, see controller/launch.go
	if c.happens(c.drawn(f, f.Pause*c.weight()), "pause") {
		a.pause(c.span(0, 3*leaseTime, "pause time"), false)
	}
	if c.happens(c.drawn(f, f.Suspend*c.weight()), "suspend") {
		a.pause(c.span(leaseTime, longestSleep, "suspend time"), true)
		if c.happens(0.5, "noticed") {
			a.world.startOther(c.span(0, leaseTime, "noticed after"), c.span(time.Minute, time.Hour, "noticed for"))
		}
	}
}

func (a *actor) deliver(ctx context.Context, c *call, f *Faults) error {
	w := a.world
	switch {
	case c.outage > 0 && w.seed.happens(c.outage/6, "outage", c.service.name, w.slot()):
		if !w.wait(ctx, c.span(time.Second, 10*time.Second, "outage wait")) {
			return c.lost(ctx.Err())
		}
		return c.lost(errLostNet)
	case c.happens(c.drawn(f, c.refused), "refused"):
		if c.writes {
			w.tell("%s fails before its effect", c)
		}
		return c.lost(errLostNet)
	case c.happens(c.drawn(f, c.service.lost), "lost answer"):
		if c.writes {
			w.tell("%s fails after its effect", c)
		}
		_ = c.have()
		return c.lost(errLostNet)
	case c.writes && c.happens(c.drawn(f, c.late), "late"):
		w.fly(c, c.span(0, min(f.LateBy, c.latest), "late by"))
		return c.lost(errLostNet)
	case c.happens(c.drawn(f, c.slow), "slow"):
		return a.slowly(ctx, c)
	}
	return c.have()
}

// slowly has the effect after a while, though who wanted it gave up meanwhile.
func (a *actor) slowly(ctx context.Context, c *call) error {
	done := make(chan error, 1)
	a.world.later(c.span(0, c.slowest, "slow by"), func() { done <- c.have() })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return c.lost(ctx.Err())
	}
}

func (a *actor) gone() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dead
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

// pause stops a process as SIGSTOP does. A machine that is suspended stands
// still with its clock, so that the process does not know of it.
func (a *actor) pause(by time.Duration, asleep bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	until := time.Now().Add(by)
	if !until.After(a.paused) {
		return
	}
	a.paused = until
	a.asleep = asleep || a.asleep && time.Now().Before(a.paused)
	if asleep {
		a.world.tell("%s is suspended for %s, with its clock", a.name, by.Round(time.Millisecond))
	} else {
		a.world.tell("%s is paused for %s", a.name, by.Round(time.Millisecond))
	}
}

// sleeps reports whether the process stands still together with its clock. All
// processes here have one clock, so its own goes on in truth; it is given the
// renewals of its lease that it would not have had to make.
func (a *actor) sleeps() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asleep && time.Now().Before(a.paused)
}

// stall waits while the process is paused, whatever its contexts say.
func (a *actor) stall() {
	for {
		a.mu.Lock()
		rest := time.Until(a.paused)
		if rest <= 0 {
			a.asleep = false
		}
		a.mu.Unlock()
		if rest <= 0 {
			return
		}
		<-time.After(rest)
	}
}
