//go:build unix

package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/task/socket"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Options is what an agent is made from.
type Options struct {
	Config   bootstrap.Config
	Instance string // the instance's id
	Home     string // the folder it works in
	// Metadata overrides the notice probe's base address; "" does not.
	Metadata string
	// UploadLimit bounds sending, in bytes a second; 0 is unbounded.
	UploadLimit int64
	// Address at which other instances reach this one, bootstrap.AddressNone
	// where none does; "" is found out when it is needed.
	Address string
	// NoticeLead is how long ahead this instance's notice comes; 0 is as the
	// probe says.
	NoticeLead time.Duration
	Version    string // of this program
	Bucket     bucket.Bucket
	Logger     *slog.Logger
	// Environ is the agent's own environment, of which tasks get a part.
	Environ []string
	// Reap: this process is the first of its namespace, or may become a
	// subreaper: it collects every child there is. Nothing else in the program
	// may then wait for children.
	Reap bool
	// FixedHome is the folder for tasks that are dumped, which must have the
	// same path on every instance; "" is /var/lib/spotrelay/tasks.
	FixedHome string
	// Rig stands in for the machine in simulations; nil elsewhere.
	Rig *Rig
}

// The timings where the configuration has none.
const (
	defaultHeartbeat   = 10 * time.Second
	defaultLease       = 30 * time.Second
	defaultOrphanGrace = 10 * time.Minute
	defaultPoll        = time.Second
)

// patience is how long an attempt's preparation waits for a bucket that cannot
// be reached.
const patience = 2 * time.Minute

// Agent runs what its instance should be running.
type Agent struct {
	config      bootstrap.Config
	instance    string
	home        string
	fixedHome   string // for tasks that are dumped
	metadata    string
	version     string
	uploadLimit int64
	address     string
	boot        string
	log         *slog.Logger
	bucket      bucket.Bucket
	engine      checkpointing.Engine
	patience    time.Duration

	socketDir       string // short enough for sockets
	taskEnvironment environment
	processes       *processes
	cgroups         *cgroups
	workdirs        *workdirs
	trash           *trash
	folders         spareFolders
	sockets         spareServers
	bandwidth       *bandwidth
	rig             *Rig
	courier         *courier
	noticeLead      time.Duration // how long a notice usually is, 0: not known
	lookEvery       time.Duration
	hub             *hub
	execs           *execs
	report          *reporter

	life    context.Context // ends with the agent
	endLife context.CancelFunc
	wake    chan struct{} // something changed that may let it leave
	reap    bool

	mu       sync.Mutex
	phase    job.Phase
	reason   string
	beat     int64
	desired  job.Desired // the last one taken
	running  map[job.AttemptID]*attempt
	kept     map[job.AttemptID]*attempt // ended, with their folders kept
	order    []job.AttemptID            // of running, by acceptance
	known    map[job.AttemptID]bool
	waiting  waiting
	ended    []job.AttemptEnd
	warnings []string
	serial   int
	stopping bool // the operating system stops
	orphaned bool // nobody controls the run
	notices  notices
}

// New makes an agent. Errors are those of its configuration.
func New(o Options) (*Agent, error) {
	switch {
	case o.Bucket == nil:
		return nil, errors.New("an agent needs a bucket")
	case o.Config.Run == "" || !filepath.IsLocal(o.Config.Run):
		return nil, fmt.Errorf("%s: the run is %q", bootstrap.VarConfig, o.Config.Run)
	case o.Instance == "" || strings.Contains(o.Instance, "/"):
		return nil, fmt.Errorf("%s is %q: it must be the instance's id, without a slash; the provider sets it", bootstrap.VarInstance, o.Instance)
	case o.Home == "":
		return nil, fmt.Errorf("%s is empty: it must be a folder that can be written", bootstrap.VarHome)
	}
	home, err := filepath.Abs(o.Home)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Agent{
		config: o.Config, instance: o.Instance, home: home, metadata: o.Metadata, version: o.Version,
		uploadLimit: max(o.UploadLimit, 0), address: o.Address, boot: strings.ToLower(rand.Text()),
		log:    o.Logger.With("run", o.Config.Run, "instance", o.Instance),
		bucket: o.Bucket, engine: checkpointing.Open(o.Bucket), patience: patience,
		processes: newProcesses(o.Reap),
		cgroups:   &cgroups{},
		workdirs:  newWorkdirs(filepath.Join(home, "workdirs")),
		trash:     &trash{dir: filepath.Join(home, "trash")},
		bandwidth: &bandwidth{limit: max(o.UploadLimit, 0)},
		hub:       newHub(),
		wake:      make(chan struct{}, 1),
		reap:      o.Reap,
		rig:       o.Rig,
		lookEvery: lookEvery,
		phase:     job.PhaseReady,
		running:   map[job.AttemptID]*attempt{},
		kept:      map[job.AttemptID]*attempt{},
		known:     map[job.AttemptID]bool{},
	}
	a.courier = newCourier(a)
	a.execs = &execs{agent: a, known: map[string]*requested{}}
	if a.rig != nil && a.rig.Look > 0 {
		a.lookEvery, a.courier.sweep = a.rig.Look, a.rig.Look
	}
	a.noticeLead = cmp.Or(max(o.NoticeLead, 0), leadOf(o.Config.Notice))
	a.fixedHome = cmp.Or(o.FixedHome, defaultFixedHome)
	a.life, a.endLife = context.WithCancel(context.Background())
	a.taskEnvironment = baseEnvironment(o.Environ, filepath.Join(home, "bin"))
	a.report = newReporter(a.bucket, orDefault(o.Config.Timing.Heartbeat, defaultHeartbeat), a.log, a.snapshot)
	return a, nil
}

func orDefault(d job.Duration, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d.D()
	}
	return otherwise
}

// Run works until the instance is to end, and ends it as the configuration
// says. When ctx ends it stops at once: processes are killed and nothing more
// is saved; Stop is the kind way.
func (a *Agent) Run(ctx context.Context) error {
	defer a.endLife()
	defer context.AfterFunc(ctx, a.endLife)()
	done, err := a.settle()
	if err != nil {
		return err
	}
	defer done()
	var work sync.WaitGroup
	defer work.Wait()
	defer a.endLife()
	work.Go(func() { a.follow(&work) })
	work.Go(func() { a.courier.run(a.life) })
	for {
		select {
		case <-a.life.Done():
			a.abandon()
			return ctx.Err()
		case <-a.wake:
		}
		if reason, ok := a.mayLeave(); ok {
			return a.leave(reason)
		}
	}
}

// follow starts what the agent watches, after it has learnt what an earlier
// life of it left in the status.
func (a *Agent) follow(work *sync.WaitGroup) {
	if a.config.Notice != nil || a.rig != nil {
		work.Go(a.watchNotices) // a notice matters before all else
	}
	if !a.adopt() {
		return
	}
	a.changed()
	work.Go(func() { a.report.run(a.life) })
	work.Go(a.watchLease)
	if a.rig == nil { // a rig has no processes to look at
		work.Go(a.watchExecs)
	}
	a.watchDesired()
}

// settle makes the agent's folders and starts what it needs itself.
func (a *Agent) settle() (done func(), err error) {
	if err := a.makeHome(); err != nil {
		return nil, fmt.Errorf("the agent's folder %s cannot be used: %w; set %s to one that can be written", a.home, err, bootstrap.VarHome)
	}
	if a.rig != nil {
		return a.trash.work.Wait, nil
	}
	const socketName = len("999999999.sock")
	sockets, unlink, err := socket.Shorten(filepath.Join(a.home, "s"), socketName)
	if err != nil {
		return nil, err
	}
	a.socketDir = sockets
	machine, err := a.serveMachine()
	if err != nil {
		unlink()
		return nil, err
	}
	a.cgroups = findCgroups(a.boot)
	stop := make(chan struct{})
	if a.reap {
		keepOpenFiles()
		if err := becomeSubreaper(); err != nil {
			a.log.Warn("orphans of tasks go to another process", "error", err)
		}
		go a.processes.collect(stop)
	}
	a.log.Info("the agent is up", "boot", a.boot, "version", a.version, "memory_limits", a.cgroups.limits())
	return func() {
		machine.close()
		a.sockets.close()
		unlink()
		a.cgroups.remove()
		a.trash.work.Wait()
		close(stop)
	}, nil
}

// makeHome makes the folders, without what an earlier life left in them.
func (a *Agent) makeHome() error {
	old := a.trash.dir + "." + a.boot
	if err := os.MkdirAll(old, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"attempts", "workdirs", "spill", "trash", "s", "bin"} {
		dir := filepath.Join(a.home, name)
		if err := os.Rename(dir, filepath.Join(old, name)); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	a.trash.remove(old)
	like, err := os.Lstat(filepath.Join(a.home, "attempts"))
	if err != nil {
		return err
	}
	a.folders.like = like
	if self, err := os.Executable(); err == nil {
		// So that tasks find it in their PATH, whatever it was started as.
		return os.Symlink(self, filepath.Join(a.home, "bin", "spotrelay-agent"))
	}
	return nil
}

func (a *Agent) spillDir() string { return filepath.Join(a.home, "spill") }

// changed has the status written.
func (a *Agent) changed() { a.report.mark() }

// look wakes Run, which then sees whether it may leave.
func (a *Agent) look() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// snapshot is the status as it is now.
func (a *Agent) snapshot() job.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.beat++
	s := job.Status{
		Version: job.SpecVersion, Run: a.config.Run, Instance: a.instance, Agent: a.version, Boot: a.boot,
		Beat: a.beat, Phase: a.phase, Epoch: a.desired.Epoch, Sequence: a.desired.Sequence,
		Notice: a.notices.shown, Reason: a.reason, Written: time.Now(),
		Slots:    a.slots(),
		Returned: append([]job.AttemptID(nil), a.waiting.returned...),
		Ended:    append([]job.AttemptEnd(nil), a.ended...),
		Warnings: append([]string(nil), a.warnings...),
	}
	for _, id := range a.order {
		s.Running = append(s.Running, a.running[id].status())
	}
	return s
}

// notice is the one that is shown in the status, nil for none.
func (a *Agent) notice() *job.Notice {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.notices.shown
}

// all are the attempts that run now.
func (a *Agent) all() []*attempt {
	attempts := make([]*attempt, 0, len(a.order))
	for _, id := range a.order {
		attempts = append(attempts, a.running[id])
	}
	return attempts
}

// Stop ends the agent since its machine's operating system stops it: the status
// says so first, then the tasks are told and saved. It returns at once; Run
// returns when all is done. May be repeated.
func (a *Agent) Stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping {
		return
	}
	a.stopping = true
	a.goAway("the operating system is stopping", stop{reason: stopOS, deadline: time.Now().Add(shutdownWindow)})
}

const (
	// shutdownWindow is what an operating system gives a service to end; GCE
	// gives the whole machine thirty seconds.
	shutdownWindow = 25 * time.Second
	// sayFirst bounds how long the tasks wait for the status to say it first.
	sayFirst = 300 * time.Millisecond
)

// goAway writes that the agent leaves, and then tells the attempts. Called
// with the lock held.
func (a *Agent) goAway(reason string, s stop) {
	a.phase = job.PhaseLeaving
	a.waiting.clear()
	if a.reason == "" {
		a.reason = reason
	}
	a.log.Info("leaving", "reason", reason)
	a.changed()
	attempts := a.all()
	go func() {
		ctx, cancel := context.WithTimeout(a.life, sayFirst)
		defer cancel()
		_ = a.report.flush(ctx) // when the bucket is slow the tasks are told all the same
		for _, t := range attempts {
			t.tell(s)
		}
		a.look()
	}()
}

// abandon kills what runs and waits for it.
func (a *Agent) abandon() {
	a.mu.Lock()
	attempts := a.all()
	a.mu.Unlock()
	for _, t := range attempts {
		<-t.done
	}
}
