//go:build linux || darwin

package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	// housekeeping is how often a supervisor looks after its folder.
	housekeeping = 2 * time.Second
	// farewell bounds the wait for those who still hear an answer.
	farewell = time.Second

	supervisorMemory = 32 << 20
)

// verdict is how an instance ends.
type verdict struct {
	cause   providers.EndCause
	code    string
	message string
}

// supervisor is an instance's own: it boots it, serves its metadata, plays its
// market and writes down how it ended. All but the servers runs on one
// goroutine, whose thread the instance's life depends on.
type supervisor struct {
	folder  instanceFolder
	cache   string
	rec     record
	state   state
	console *console
	lock    *os.File

	metadata *metadata
	market   market
	agenda   agenda
	machine  *machine

	orders  chan order
	saves   chan saveEvent
	fetched chan error
	gone    chan struct{} // closed when it has ended
	servers sync.WaitGroup
	started time.Time
	ctx     context.Context
	stop    context.CancelFunc
}

// supervise is the supervisor's main. The lock is descriptor 3, standard
// output and error are the console.
func supervise(folder string) int {
	runtime.LockOSThread()
	runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	debug.SetMemoryLimit(supervisorMemory)
	syscall.CloseOnExec(3)
	s := &supervisor{
		folder:  instanceFolder(folder),
		console: &console{path: instanceFolder(folder).console(), file: os.Stdout},
		lock:    os.NewFile(3, "lock"),
		orders:  make(chan order),
		saves:   make(chan saveEvent),
		fetched: make(chan error, 1),
		gone:    make(chan struct{}),
		started: time.Now(),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	defer s.stop()
	// <state>/fleets/<fleet>/instances/<id>
	s.cache = stateFolder(filepath.Join(folder, "..", "..", "..", "..")).cache()
	if err := s.open(); err != nil {
		s.console.say("the supervisor cannot start: %v", err)
		s.end(verdict{providers.EndHostEvent, codeSupervisor, "the supervisor could not start: " + err.Error()})
		return 1
	}
	s.end(s.run())
	return 0
}

// open reads the record, starts the servers and shows the instance as pending.
func (s *supervisor) open() error {
	if err := readJSON(s.folder.recordFile(), &s.rec); err != nil {
		return err
	}
	s.console.say("instance %s: %s %s in %s", s.rec.Instance.ID, s.rec.Instance.Offer.Capacity, s.rec.Instance.Offer.InstanceType, s.rec.Instance.Offer.Zone)
	s.market = market{script: s.rec.Script}
	s.metadata = newMetadata(s.rec.Instance)
	for _, dir := range []string{s.folder.home(), s.folder.tmp(), s.folder.bin()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(s.folder.tmp(), 0o777|fs.ModeSticky); err != nil {
		return err
	}
	s.state = state{
		Supervisor: identity{PID: os.Getpid(), Start: processStart(os.Getpid()), Boot: bootID()},
		Secret:     rand.Text(),
		Phase:      providers.StatePending,
	}
	control, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.state.Control = "http://" + control.Addr().String()
	s.serve(control, controlHandler(s.state.Secret, s.orders, s.gone))
	s.state.Metadata = linkLocalMetadata
	if s.rec.Network != networkIsolated {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.state.Metadata = "http://" + listener.Addr().String()
		s.serve(listener, s.metadata)
	}
	return s.publish()
}

func (s *supervisor) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second}
	go func() { _ = server.Serve(listener) }()
	s.servers.Add(1)
	context.AfterFunc(s.ctx, func() {
		defer s.servers.Done()
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
}

// publish writes state.json.
func (s *supervisor) publish() error { return writeJSON(s.folder.stateFile(), s.state) }

// run is the instance's life. It returns how it ends.
func (s *supervisor) run() verdict {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if s.rec.MaxLife > 0 {
		s.at(s.rec.MaxLife, func() *verdict {
			return &verdict{providers.EndMaxLife, codeMaxLife, fmt.Sprintf("its longest life of %s is over", s.rec.MaxLife)}
		})
	}
	s.at(s.rec.BootDelay, s.boot)
	s.at(housekeeping, s.keepHouse)
	for {
		wait := time.NewTimer(s.agenda.next(time.Since(s.started)))
		var end *verdict
		select {
		case <-wait.C:
			end = s.agenda.run(time.Since(s.started))
		case o := <-s.orders:
			end = s.obey(o)
		case e := <-s.saves:
			end = s.play(s.market.observe(e))
		case err := <-s.fetched:
			end = s.start(err)
		case <-s.exit():
			end = s.agentEnded()
		case sig := <-signals:
			end = &verdict{providers.EndHostEvent, codeHost, fmt.Sprintf("the host shuts down: the supervisor got %s", sig)}
		}
		wait.Stop()
		if end != nil {
			return *end
		}
	}
}

// at does something so long after the instance's launch.
func (s *supervisor) at(elapsed time.Duration, do func() *verdict) { s.agenda.add(elapsed, do) }

// in does something so long from now.
func (s *supervisor) in(delay time.Duration, do func() *verdict) {
	s.at(time.Since(s.started)+delay, do)
}

func (s *supervisor) exit() <-chan struct{} {
	if s.machine == nil {
		return nil
	}
	return s.machine.exited
}

// keepHouse ends an instance whose folder was removed, since nothing would
// find it again, and bounds its console.
func (s *supervisor) keepHouse() *verdict {
	if _, err := os.Stat(s.folder.recordFile()); errors.Is(err, fs.ErrNotExist) {
		return &verdict{providers.EndByUser, codeFolder, "its folder was removed"}
	}
	s.console.trim()
	if s.machine != nil && s.machine.group {
		reapOrphans(s.machine.cmd.Process.Pid)
	}
	s.in(housekeeping, s.keepHouse)
	return nil
}

// agentEnded judges the end of the first process, which nobody here brought
// about.
func (s *supervisor) agentEnded() *verdict {
	how := "the agent ended: " + s.machine.describeExit()
	if i := s.state.Interruption; i != nil {
		end := &verdict{providers.EndReclaimed, codeReclaim, "reclaimed after its notice; " + how}
		if i.Maintenance {
			end.cause, end.code = providers.EndHostEvent, codeHost
		}
		return end
	}
	return &verdict{providers.EndFromInside, codeInside, how}
}

// end brings the instance to its end and writes down why.
func (s *supervisor) end(v verdict) {
	s.state.Phase = providers.StateStopping
	if s.state.Control != "" {
		_ = s.publish()
	}
	if s.machine != nil {
		if err := s.machine.kill(); err != nil {
			s.console.say("something is left of the instance: %v", err)
		}
	}
	s.console.say("ended: %s: %s", v.cause, v.message)
	writeEnd(s.folder, v)
	for _, o := range s.agenda.waiting {
		o.answer <- orderAnswer{status: http.StatusOK}
	}
	close(s.gone)
	if err := s.folder.loseDisk(); err != nil {
		s.console.say("the disk could not be removed: %v", err)
	}
	s.stop()
	s.servers.Wait()
	s.lock.Close()
}

// Codes of Evidence.
const (
	codeReclaim    = "Local.SpotInstanceTermination"
	codeOurs       = "Local.TerminateCall"
	codeUser       = "Local.UserTermination"
	codeInside     = "Local.InstanceInitiatedShutdown"
	codeBoot       = "Local.BootFailure"
	codeHost       = "Local.HostError"
	codeSupervisor = "Local.SupervisorLost"
	codeCutOff     = "Local.LaunchCutOff"
	codeMaxLife    = "Local.MaxLife"
	codeFolder     = "Local.FolderRemoved"
)

// writeEnd writes ended.json, unless the folder is gone.
func writeEnd(folder instanceFolder, v verdict) {
	_ = writeJSON(folder.endedFile(), providers.Evidence{
		ID: folder.id(), Cause: v.cause, State: providers.StateTerminated,
		Code: v.code, Message: v.message, At: time.Now().UTC(),
	})
}
