package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/controller"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	// DefaultBeat is how often a controller says that it lives: three times
	// before anybody misses it, within half a lease.
	DefaultBeat = 3 * time.Second
	// parallelLooks bounds the leases that are read at once.
	parallelLooks = 16
	// handedAtOnce bounds the runs that are handed over in one beat.
	handedAtOnce = 8
	// submissionMost is the age at which a mark without a specification is of a
	// submission that ended before it got so far.
	submissionMost = 24 * time.Hour
	// mostPause is the longest pause before a run that fails to be controlled
	// is tried again.
	mostPause = 5 * time.Minute
)

// Options says what to serve, and with what.
type Options struct {
	Bucket    bucket.Bucket
	Providers controller.Providers
	Log       *slog.Logger // nil: none
	Name      string       // for people: user@host
	// Most is how many runs are controlled at once; 0: as many as there are.
	Most int
	// Beat is how often the controller says that it lives and looks for runs;
	// 0 is DefaultBeat.
	Beat time.Duration
	// Watcher is told what happens; may be nil.
	Watcher Watcher
}

// Watcher is told what a server does, for its metrics. Its methods are called
// from several goroutines.
type Watcher interface {
	// Looked is told of each look at the bucket.
	Looked(View, error)
	// Happened is told of what was journalled for a run.
	Happened(run string, events []plan.Event)
	// Ticked is told of a run's state after each tick; it must not keep it.
	Ticked(run string, state *plan.State)
	// Left is told that a run is controlled here no more; err is nil when it
	// is over.
	Left(run string, err error)
}

// View is what a server knows at one moment.
type View struct {
	Live        int // runs that are not over
	Held        int // of these, controlled here
	Failing     int // of these, those that could not be controlled here
	Controllers int // that live, this one among them
}

// Server is one controller of a bucket's runs.
type Server struct {
	opts   Options
	id     string
	beat   time.Duration
	log    *slog.Logger
	roster *roster

	// Of the loop's goroutine.
	beaten time.Time // the last beat
	beats  int

	tenures sync.WaitGroup

	mu      sync.Mutex
	claims  map[string]*claim
	counter int64
	passed  time.Time // the last look
	good    time.Time // the last look that succeeded
	lastErr error
	view    View
}

// New makes a server that does nothing yet.
func New(opts Options) *Server {
	s := &Server{opts: opts, id: strings.ToLower(rand.Text()), beat: opts.Beat, log: opts.Log, claims: map[string]*claim{}}
	if s.beat <= 0 {
		s.beat = DefaultBeat
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.roster = newRoster(opts.Bucket, s.id, s.beat, s.log)
	return s
}

// ID is the controller's, as in controllers/<id>.
func (s *Server) ID() string { return s.id }

// Serve controls runs until ctx ends; then it gives its leases up, so that
// others can go on at once, and returns nil. A bucket that cannot be reached
// for a while is waited for. Errors: those of a bucket that is not fit for use.
func (s *Server) Serve(ctx context.Context) error {
	if _, err := bucket.Identify(ctx, s.opts.Bucket); err != nil {
		return err
	}
	ticker := time.NewTicker(s.pause())
	defer ticker.Stop()
	for {
		s.pass(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			s.tenures.Wait()
			s.leave(ctx)
			return nil
		}
	}
}

// pause is between two looks for runs: the bucket's own, and not above a beat.
func (s *Server) pause() time.Duration {
	poll := s.opts.Bucket.Describe().Poll
	if poll <= 0 {
		return s.beat
	}
	return min(poll, s.beat)
}

// leave takes the controller's document away: the others need not wait.
func (s *Server) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := store.RemoveMember(ctx, s.opts.Bucket, s.id); err != nil {
		s.log.Warn("the controller's document could not be removed; it is taken for dead soon", "error", err)
	}
}

// pass is one look: at each beat say that we live and see who else does; then
// look for runs that nobody has, and take those that are meant for us.
func (s *Server) pass(ctx context.Context) {
	began := time.Now()
	beat := s.beaten.IsZero() || began.Sub(s.beaten) >= s.beat-s.beat/10
	err := s.look(ctx, beat)
	if err == nil && beat {
		s.beaten = began
		s.beats++
	}
	// At the first beat those that began with us were not to be seen yet.
	if err == nil && s.beats > 1 {
		s.take(ctx)
		if beat {
			s.handOver()
		}
	}
	s.note(err)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the bucket cannot be looked at for now", "error", err)
	}
}

func (s *Server) look(ctx context.Context, beat bool) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit(s.beat))
	defer cancel()
	if beat {
		if err := s.sayAlive(ctx); err != nil {
			return err
		}
		if err := s.roster.look(ctx); err != nil {
			return err
		}
	}
	live, err := store.ListLive(ctx, s.opts.Bucket)
	if err != nil {
		return err
	}
	return s.lookAtLeases(ctx, s.due(live))
}

func (s *Server) sayAlive(ctx context.Context) error {
	host, _ := os.Hostname() // for people
	s.mu.Lock()
	s.counter++
	member := store.Member{
		ID: s.id, Name: s.opts.Name, Host: host, Counter: s.counter, Beat: job.Duration(s.beat),
		Runs: s.heldLocked(), Most: s.opts.Most,
	}
	s.mu.Unlock()
	return store.WriteMember(ctx, s.opts.Bucket, member)
}

func (s *Server) heldLocked() int {
	n := 0
	for _, c := range s.claims {
		if c.held {
			n++
		}
	}
	return n
}

// due forgets the runs that are over and gives those whose lease is worth a
// look.
func (s *Server) due(live []store.Live) []*claim {
	now := time.Now()
	others := s.roster.living(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	marked := make(map[string]bool, len(live))
	var due []*claim
	for _, l := range live {
		marked[l.Run] = true
		c := s.claims[l.Run]
		if c == nil {
			c = &claim{run: l.Run, marked: l.Marked}
			s.claims[l.Run] = c
		}
		first := rank(s.id, l.Run, others) == 0
		if c.stop == nil && !now.Before(c.nextLook(s.beat, first, s.lives)) {
			due = append(due, c)
		}
	}
	for run, c := range s.claims {
		if !marked[run] && c.stop == nil {
			delete(s.claims, run)
		}
	}
	return due
}

func (s *Server) lives(id string) bool { return s.roster.knows(id, time.Now()) }

func (s *Server) lookAtLeases(ctx context.Context, due []*claim) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLooks)
	for _, c := range due {
		group.Go(func() error {
			lease, _, err := store.ReadLease(ctx, s.opts.Bucket, c.run)
			absent := errors.Is(err, bucket.ErrNotFound)
			if err != nil && !absent {
				if errors.Is(err, store.ErrVersion) || errors.Is(err, store.ErrCorrupt) {
					s.fault(c, err)
					return nil
				}
				return err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			c.saw(lease, absent, time.Now(), s.lives)
			return nil
		})
	}
	return group.Wait()
}

// take tries for the runs that are free: at once where the run is meant for us,
// two beats later for each controller that is meant for it more, since that one
// may look up to a beat after us; oldest first.
func (s *Server) take(ctx context.Context) {
	now := time.Now()
	others := s.roster.living(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	var free []*claim
	busy := 0
	for _, c := range s.claims {
		switch {
		case c.stop != nil:
			busy++
		case !c.free.IsZero() && !now.Before(c.not):
			if wait := 2 * time.Duration(rank(s.id, c.run, others)) * s.beat; now.Sub(c.free) >= wait {
				free = append(free, c)
			}
		}
	}
	slices.SortFunc(free, func(a, b *claim) int { return cmp.Compare(a.run, b.run) })
	for _, c := range free {
		if s.opts.Most > 0 && busy >= s.opts.Most {
			return
		}
		busy++
		s.start(ctx, c)
	}
}

// start tries for a run, and controls it, on a goroutine of its own.
func (s *Server) start(ctx context.Context, c *claim) {
	ctx, c.stop = context.WithCancel(ctx)
	s.tenures.Go(func() { s.ended(ctx, c, s.control(ctx, c)) })
}

func (s *Server) control(ctx context.Context, c *claim) error {
	err := controller.Run(ctx, controller.Options{
		Bucket: s.opts.Bucket, Run: c.run, Providers: s.opts.Providers, Log: s.log, Name: s.opts.Name, Serving: s.id,
		Observe: func(state *plan.State) {
			s.mu.Lock()
			c.held, c.faults, c.err = true, 0, nil
			s.mu.Unlock()
			if s.opts.Watcher != nil {
				s.opts.Watcher.Ticked(c.run, state)
			}
		},
		Happened: func(events []plan.Event) {
			if s.opts.Watcher != nil {
				s.opts.Watcher.Happened(c.run, events)
			}
		},
	})
	if errors.Is(err, bucket.ErrNotFound) && s.roster.age(c.marked) > submissionMost {
		return store.UnmarkLive(ctx, s.opts.Bucket, c.run)
	}
	return err
}

// ended takes in how a try for a run, or its control, ended.
func (s *Server) ended(ctx context.Context, c *claim, err error) {
	stopped := ctx.Err() != nil
	s.mu.Lock()
	held := c.held
	c.stop()
	c.stop, c.held = nil, false
	c.looked, c.free = time.Time{}, time.Time{} // look anew
	if c.leaving {
		c.leaving = false
		c.not = time.Now().Add(3 * s.beat) // the one that it is meant for comes first
	}
	var heldBy *controller.HeldError
	fault := err != nil && !stopped && !errors.As(err, &heldBy) && !errors.Is(err, store.ErrLost)
	if err == nil {
		delete(s.claims, c.run)
	}
	s.mu.Unlock()
	if fault {
		s.fault(c, err)
	}
	if s.opts.Watcher != nil && (held || err == nil) {
		s.opts.Watcher.Left(c.run, err)
	}
}

// fault pauses before a run is tried again that could not be controlled.
func (s *Server) fault(c *claim, err error) {
	if errors.Is(err, bucket.ErrNotFound) {
		err = fmt.Errorf("it has no specification; its submission did not get so far, or it was removed: %w", err)
	}
	s.mu.Lock()
	c.faults++
	c.err = err
	pause := min(s.beat<<min(c.faults, 10), mostPause)
	c.not = time.Now().Add(pause)
	s.mu.Unlock()
	s.log.Error("a run cannot be controlled for now", "run", c.run, "error", err, "again", pause)
}

// handOver gives runs to controllers that have fewer, those first that are
// meant for others.
func (s *Server) handOver() {
	others := s.roster.living(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.heldLocked()
	all := own
	for _, other := range others {
		all += other.member.Runs
	}
	n := min(excess(own, all, len(others)+1), handedAtOnce)
	for _, c := range s.claims {
		if n == 0 {
			return
		}
		if c.held && !c.leaving && rank(s.id, c.run, others) > 0 {
			s.log.Info("hands a run over to a controller that has fewer", "run", c.run)
			c.leaving = true
			c.stop()
			n--
		}
	}
}

// note keeps what the endpoints tell.
func (s *Server) note(err error) {
	others := s.roster.living(time.Now())
	s.mu.Lock()
	s.lastErr, s.passed = err, time.Now()
	if err == nil {
		s.good = s.passed
	}
	view := View{Live: len(s.claims), Held: s.heldLocked(), Controllers: len(others) + 1}
	for _, c := range s.claims {
		if c.err != nil {
			view.Failing++
		}
	}
	s.view = view
	s.mu.Unlock()
	if s.opts.Watcher != nil {
		s.opts.Watcher.Looked(view, err)
	}
}
